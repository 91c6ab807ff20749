import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { amxEmulator } from '../helpers/amx-emulator.js'

// The AMX kernels, emulated, over all shapes of bf16.test.ts. They sum in another order than the scalar twin: the bits are the twin's where
// sums are exact, over integers. Real numbers are within the child's own bounds.
const child = fileURLToPath(new URL('child/bf16.ts', import.meta.url))
const folder = t.testdir({})
const emulator = amxEmulator(folder)
const integers = { POLYADIC_INTEGERS: '1' }
const exact = {
  'all of the cache': { ...integers, ...emulator.env },
  '64 KiB of cache': { ...integers, ...emulator.env, POLYADIC_L2_KIB: '64' }
}

t.setTimeout(0) // the twin takes as long as it takes

const digests = (name: string): string => path.join(folder, `${name}.json`)

function bitsOf(name: string): Record<string, string> {
  return JSON.parse(readFileSync(digests(name), 'utf8')) as Record<string, string>
}

t.test('AMX, emulated', { skip: emulator.missing }, async (t) => {
  const spawn = (name: string, env: Record<string, string>) =>
    t.spawn(process.execPath, [...process.execArgv, child], { env: { ...process.env, ...env, POLYADIC_DIGESTS: digests(name) } }, name)
  spawn('twin', { ...integers, POLYADIC_BF16: 'scalar' })
  for (const [name, env] of Object.entries(exact)) spawn(name, env)
  spawn('real numbers, 2 KiB of cache', { ...emulator.env, POLYADIC_L2_KIB: '2' })

  t.test('bit for bit where no order can matter', async (t) => {
    const expected = bitsOf('twin')
    // What these compute is no integer, so later sums are not exact.
    const names = Object.keys(expected).filter((name) => !/sigmoid|tanh|leaky|average|float32 step|special/.test(name))
    t.ok(names.length > 250, `${names.length} cases`)
    for (const run of Object.keys(exact)) {
      const got = bitsOf(run)
      for (const name of names) t.equal(got[name], expected[name], `${run}: ${name}`)
    }
  })

  t.test('on tiles, released as often as configured', async (t) => {
    const runs = emulator.executed()
    t.equal(runs.length, 3)
    for (const { products, configured, released } of runs) {
      t.ok(products > 10000, `${products} products`)
      t.equal(released, configured)
    }
  })
})
