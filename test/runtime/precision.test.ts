import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// What a processor has for bfloat16 is settled once a process: none, as where it lacks the instructions; the twin; its own.
const child = fileURLToPath(new URL('child/precision.ts', import.meta.url))

t.setTimeout(0)

for (const bf16 of ['off', 'scalar', ...(native().cpu().features.avx512Bf16 ? ['avx512_bf16'] : [])])
  t.spawn(process.execPath, [...process.execArgv, child], { env: { ...process.env, POLYADIC_BF16: bf16 } }, `POLYADIC_BF16=${bf16}`)
