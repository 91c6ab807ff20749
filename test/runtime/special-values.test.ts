import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one kernel table of each kind: the first one leaves what the others compare with.
const script = fileURLToPath(new URL('child/special-values.ts', import.meta.url))
const references = path.join(t.testdir(), 'references')
const { available, features } = native().cpu()
const bf16 = ['scalar', ...(features.avx512Bf16 ? ['avx512_bf16'] : [])]

t.setTimeout(0)

for (const isa of available) {
  for (const half of isa === 'avx512' ? bf16 : ['scalar']) {
    const env = { ...process.env, POLYADIC_ISA: isa, POLYADIC_BF16: half, POLYADIC_REFERENCES: references }
    t.spawn(process.execPath, [...process.execArgv, script], { env, buffered: true }, `NaN, infinities and −0 on ${isa}, bfloat16 ${half}`)
  }
}
