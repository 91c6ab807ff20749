import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one kernel table, so every file of child/ listed here runs once in a process of its own for each table this CPU has. With a
// tiny second-level cache, blocking takes the other ways: bands of a row, batches an image at a time.
const runs = [
  { file: 'forward.ts', cache: undefined },
  { file: 'forward.ts', cache: '2' },
  { file: 'gradients.ts', cache: undefined },
  { file: 'winograd.ts', cache: undefined },
  { file: 'winograd.ts', cache: '64' }
]

t.jobs = 2
t.setTimeout(0) // a child takes as long as it takes; the kernels are compared thousands of times

for (const isa of native().cpu().available) {
  for (const { file, cache } of runs) {
    const path = fileURLToPath(new URL(`child/${file}`, import.meta.url))
    const env = { ...process.env, POLYADIC_ISA: isa, ...(cache === undefined ? {} : { POLYADIC_L2_KIB: cache }) }
    t.spawn(
      process.execPath,
      [...process.execArgv, path],
      { env, buffered: true },
      `${file} on ${isa}${cache === undefined ? '' : `, ${cache} KiB of cache`}`
    )
  }
}
