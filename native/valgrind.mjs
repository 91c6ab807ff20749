// Runs a script under Valgrind and fails when memory that the addon allocated is lost, or when the addon reads or writes what it must not:
//   node native/valgrind.mjs [SCRIPT ARGS...]      default: a short run of test/embedding/child/memory.mjs
// Node's own blocks (it frees little at its end, and its compiled JavaScript is not followed) do not count: only reports with the addon in their stack do.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { root } from './variant.mjs'

const script = process.argv.length > 2 ? process.argv.slice(2) : ['test/embedding/child/memory.mjs', '100']
const folder = mkdtempSync(path.join(tmpdir(), 'polyadic-valgrind-'))
const log = path.join(folder, 'log')
const options = [
  '--leak-check=full',
  '--show-leak-kinds=definite,possible',
  '--num-callers=40',
  '--undef-value-errors=no',
  `--log-file=${log}`
]
// The compiler threads of V8 are left out: under Valgrind only one thread runs at a time.
const node = [process.execPath, '--expose-gc', '--single-threaded-gc', ...script]
const result = spawnSync('valgrind', [...options, ...node], {
  cwd: root,
  encoding: 'utf8',
  env: process.env
})
if (result.error) throw result.error
const text = readFileSync(log, 'utf8').replace(/^==\d+== ?/gm, '')
rmSync(folder, { recursive: true, force: true })

// Reports are separated by empty lines. What the C library keeps for threads until the process ends is possibly lost to Valgrind, and not the addon's.
const reports = text
  .split(/\n\s*\n/)
  .filter((report) => /polyadic\.node/.test(report) && !/^.*possibly lost[\s\S]*pthread_create/.test(report))
for (const report of reports) console.error(`${report}\n`)
const summary = /definitely lost: .*/.exec(text)?.[0] ?? 'Valgrind came to no summary'
console.log(`${(result.stdout + result.stderr).trim().split('\n').at(-1)}`)
console.log(
  `valgrind: ${reports.length} reports about the addon (whole process: ${summary}), the script ${result.signal ?? `exited with ${result.status}`}`
)
process.exitCode = reports.length === 0 && result.status === 0 && /definitely lost/.test(text) ? 0 : 1
