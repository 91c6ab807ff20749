import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'
import { findAmx } from '../helpers/amx.js'

// What a processor has for bfloat16 is settled once a process: none, as where it lacks the instructions; the twin; its own.
const child = fileURLToPath(new URL('child/precision.ts', import.meta.url))

t.setTimeout(0)

for (const bf16 of ['off', 'scalar', ...(native().cpu().features.avx512Bf16 ? ['avx512_bf16'] : [])])
  t.spawn(process.execPath, [...process.execArgv, child], { env: { ...process.env, POLYADIC_BF16: bf16 } }, `POLYADIC_BF16=${bf16}`)

const amx = findAmx(t.testdir())
t.test(`POLYADIC_BF16=amx_bf16: ${amx.name}`, { skip: amx.missing }, async (t) => {
  t.spawn(process.execPath, [...process.execArgv, child], { env: { ...process.env, ...amx.forced } }, 'sessions')
  const skip = !amx.emulated && 'only the emulator counts'
  t.test('on tiles, in worker threads as well, all of them released', { skip }, async (t) => {
    const [{ products, configured, released } = { products: 0, configured: 0, released: -1 }] = amx.executed()
    t.ok(products > 1000, `${products} products`)
    t.equal(released, configured)
  })
})
