import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

// Once a shape has run, its runs ask for no native memory: counted by a library that stands in for malloc, in a process of its own.
const child = (name: string): string => fileURLToPath(new URL(`child/${name}`, import.meta.url))
const folder = t.testdir()
const library = path.join(folder, 'counter.so')
const compiler = process.env.CC ?? 'cc'
const compiled = spawnSync(compiler, ['-O1', '-shared', '-fPIC', '-o', library, child('allocation-counter.c'), '-ldl'], {
  encoding: 'utf8'
})

t.setTimeout(0)

if (process.platform !== 'linux' || compiled.status !== 0) {
  t.pass(`needs glibc and a C compiler: ${compiled.error?.message ?? compiled.stderr}`, { skip: true })
} else {
  const count = path.join(folder, 'count')
  writeFileSync(count, Buffer.alloc(8))
  const env = { ...process.env, LD_PRELOAD: library, ALLOCATION_COUNT: count }
  t.spawn(process.execPath, [...process.execArgv, child('allocations.ts')], { env }, 'allocations')
}
