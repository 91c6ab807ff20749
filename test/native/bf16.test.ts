import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'
import { findAmx } from '../helpers/amx.js'

// A process uses one table of bfloat16 kernels. Each runs in processes of its own, with little second-level cache as well: then
// blocks go by bands of few rows. The scalar twin goes with every float32 table.
const child = fileURLToPath(new URL('child/bf16.ts', import.meta.url))
const { available, features } = native().cpu()
const folder = t.testdir()
// The first process leaves what the others compare with.
const references = path.join(folder, 'references')

t.setTimeout(0) // the twin takes as long as it takes

function spawn(isa: string, bf16: string, cache: string | undefined): string {
  const digests = path.join(folder, `${isa}-${bf16}-${cache}.json`)
  const env = { ...process.env, POLYADIC_ISA: isa, POLYADIC_BF16: bf16, POLYADIC_DIGESTS: digests, POLYADIC_REFERENCES: references }
  const limited = cache === undefined ? env : { ...env, POLYADIC_L2_KIB: cache }
  t.spawn(process.execPath, [...process.execArgv, child], { env: limited }, `${bf16} with ${isa}, ${cache ?? 'all'} KiB of cache`)
  return digests
}

// AMX sums in another order: the bits are the twin's where sums are exact. Real numbers are within the child's own bounds.
const amx = findAmx(folder)
t.test(amx.name, { skip: amx.missing }, async (t) => {
  const digests = (name: string) => path.join(folder, `${name}.json`)
  const integers = { POLYADIC_INTEGERS: '1', POLYADIC_REFERENCES: `${references} integers` }
  const runs = [
    { name: 'twin', env: { ...integers, POLYADIC_BF16: 'scalar' } },
    ...[undefined, '64', '2'].map((cache) => ({
      name: `amx, ${cache ?? 'all'} KiB of cache`,
      env: { ...integers, ...amx.forced, ...(cache ? { POLYADIC_L2_KIB: cache } : {}) }
    })),
    { name: 'amx real numbers', env: { ...amx.forced, POLYADIC_REFERENCES: references } }
  ]
  for (const { name, env } of runs)
    t.spawn(process.execPath, [...process.execArgv, child], { env: { ...process.env, ...env, POLYADIC_DIGESTS: digests(name) } }, name)
  t.test('bit for bit where no order can matter', async (t) => {
    const expected = bitsOf(digests('twin'))
    // What these compute is no integer, so later sums are not exact.
    const exact = Object.keys(expected).filter((name) => !/sigmoid|tanh|leaky|average|float32 step|special/.test(name))
    t.ok(exact.length > 250, `${exact.length} cases`)
    for (const { name } of runs.slice(1, 4)) {
      const got = bitsOf(digests(name))
      for (const key of exact) t.equal(got[key], expected[key], `${name}: ${key}`)
    }
  })
  const skip = !amx.emulated && 'only the emulator counts'
  t.test('tiles were used, and released as often as configured', { skip }, async (t) => {
    const lines = amx.executed()
    t.equal(lines.length, 4)
    for (const { products, configured, released } of lines) {
      t.ok(products > 10000, `${products} products`)
      t.equal(released, configured)
    }
  })
})

function bitsOf(file: string): Record<string, string> {
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>
}

for (const isa of available) {
  const twin = spawn(isa, 'scalar', undefined)
  if (isa !== 'avx512' || !features.avx512Bf16) continue
  for (const cache of [undefined, '64', '2']) {
    const kernels = spawn(isa, 'avx512_bf16', cache)
    t.test(`AVX512-BF16, ${cache ?? 'all'} KiB of cache: the bits of the scalar twin`, async (t) => {
      const [expected, got] = [bitsOf(twin), bitsOf(kernels)]
      t.ok(Object.keys(expected).length > 300)
      for (const [name, bits] of Object.entries(expected)) t.equal(got[name], bits, name)
    })
  }
}
