import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one kernel table, so every file of child/ listed here runs once in a process of its own for each table this CPU has.
const files = ['forward.ts', 'gradients.ts']

for (const isa of native().cpu().available) {
  for (const file of files) {
    const path = fileURLToPath(new URL(`child/${file}`, import.meta.url))
    t.spawn(process.execPath, [...process.execArgv, path], { env: { ...process.env, POLYADIC_ISA: isa } }, `${file} on ${isa}`)
  }
}
