import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { preloadLibrary } from '../helpers/preload.js'

// Once a shape has run, its runs ask for no native memory: counted by a library that stands in for malloc, in a process of its own.
const folder = t.testdir()
const counter = preloadLibrary('allocation-counter.c', folder)

t.setTimeout(0)

if (typeof counter === 'string') {
  t.pass(counter, { skip: true })
} else {
  const count = path.join(folder, 'count')
  writeFileSync(count, Buffer.alloc(8))
  const env = { ...process.env, LD_PRELOAD: counter.library, ALLOCATION_COUNT: count }
  t.spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL('child/allocations.ts', import.meta.url))], { env }, 'allocations')
}
