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

t.setTimeout(0)

/** Why nothing is counted here. */
function missing(): string | undefined {
  if (process.platform !== 'linux') return 'needs glibc'
  if (process.env.POLYADIC_SANITIZER !== undefined) return 'a sanitizer stands in for malloc itself'
  const options = ['-O1', '-shared', '-fPIC', '-o', library, child('allocation-counter.c'), '-ldl']
  const { status, error, stderr } = spawnSync(compiler, options, { encoding: 'utf8' })
  return status === 0 ? undefined : `needs a C compiler: ${error?.message ?? stderr}`
}

const reason = missing()
if (reason !== undefined) {
  t.pass(reason, { skip: true })
} else {
  const count = path.join(folder, 'count')
  writeFileSync(count, Buffer.alloc(8))
  const env = { ...process.env, LD_PRELOAD: library, ALLOCATION_COUNT: count }
  t.spawn(process.execPath, [...process.execArgv, child('allocations.ts')], { env }, 'allocations')
}
