import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one kernel table, so every file of child/ listed here runs once in a process of its own for each table this CPU has. With a
// tiny second-level cache, blocking takes the other ways: bands of a row, batches an image at a time.
const files = {
  'forward.ts': [undefined, '2'],
  'gradients.ts': [undefined],
  'dense-gradients.ts': [undefined],
  'functions.ts': [undefined],
  'winograd.ts': [undefined, '64']
}

t.jobs = 2
t.setTimeout(0) // a child takes as long as it takes; the kernels are compared thousands of times

const folder = t.testdir()

for (const [file, caches] of Object.entries(files)) {
  // One after another: the first leaves what the others compare with.
  t.test(file, async (t) => {
    t.setTimeout(0)
    const references = path.join(folder, `${file}.references`)
    for (const isa of native().cpu().available) {
      for (const cache of caches) {
        const limited = cache === undefined ? {} : { POLYADIC_L2_KIB: cache }
        const env = { ...process.env, POLYADIC_ISA: isa, POLYADIC_REFERENCES: references, ...limited }
        const script = fileURLToPath(new URL(`child/${file}`, import.meta.url))
        t.spawn(
          process.execPath,
          [...process.execArgv, script],
          { env, buffered: true },
          `on ${isa}${cache ? `, ${cache} KiB of cache` : ''}`
        )
      }
    }
  })
}
