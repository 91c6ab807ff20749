import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one kernel table, so the comparison with onnxruntime runs once in a process of its own for each table this CPU has.
const path = fileURLToPath(new URL('child/networks.ts', import.meta.url))

for (const isa of native().cpu().available) {
  t.spawn(process.execPath, [...process.execArgv, path], { env: { ...process.env, POLYADIC_ISA: isa } }, `networks on ${isa}`)
}
