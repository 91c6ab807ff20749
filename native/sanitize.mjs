// Runs a command with the addon compiled under a sanitizer, and fails on any report: CONTRIBUTING.md says what each finds.
//   node native/sanitize.mjs address|thread [--short | TESTS... | COMMAND ARGS...]
// Without a command: the tests, or for `thread` those of native code, of training on it and of embedding; --short takes a few of them, those with the most threads and
// the most hostile input; TESTS are files named *.test.ts.
// address: AddressSanitizer, leaks included, and UndefinedBehaviorSanitizer. thread: ThreadSanitizer.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { compile, root } from './variant.mjs'

const kinds = {
  address: {
    flags: 'address,undefined',
    library: 'libasan.so',
    tests: [],
    short: ['native/executor', 'native/malformed-plans', 'runtime/session']
  },
  // onnxruntime, with which other tests compare, is not compiled for it.
  thread: {
    flags: 'thread',
    library: 'libtsan.so',
    tests: ['test/native/*.test.ts', 'test/embedding/*.test.ts', 'test/training/5*.test.ts'],
    short: ['native/executor', 'native/team']
  }
}
const [kind, ...command] = process.argv.slice(2)
const chosen = kinds[kind]
if (!chosen) throw new Error(`node native/sanitize.mjs ${Object.keys(kinds).join('|')} [--short | TESTS... | COMMAND...]`)
const library = execFileSync('g++', [`-print-file-name=${chosen.library}`], { encoding: 'utf8' }).trim()
// A compiler that has no such library gives the bare name back.
if (!path.isAbsolute(library)) throw new Error(`${chosen.library} is not installed with this compiler`)
const named = command.filter((argument) => argument.endsWith('.test.ts'))
const short = command[0] === '--short'
const runsTests = short || named.length === command.length
const tests = short ? chosen.short.map((name) => `test/${name}.test.ts`) : named.length > 0 ? named : chosen.tests

const addon = compile(`sanitize-${kind}`, { env: { POLYADIC_SANITIZE: chosen.flags } })
const logs = mkdtempSync(path.join(tmpdir(), 'polyadic-sanitize-'))
const log = path.join(logs, 'report')
const suppressions = (name) => path.join(root, 'native', 'sanitizers', `${name}.supp`)
// Not by npx: npm itself crashes under ThreadSanitizer.
const tap = [process.execPath, path.join(root, 'node_modules/tap/dist/esm/run.mjs'), '--timeout=3600', ...tests]
const [first, ...rest] = runsTests ? tap : command
const result = spawnSync(first, rest, {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    LD_PRELOAD: library,
    POLYADIC_PREBUILD: path.resolve(path.dirname(addon), '../..'),
    POLYADIC_SANITIZER: kind,
    // Node itself frees little at its end; what the addon leaks has the addon in its stack, all else is suppressed.
    ASAN_OPTIONS: `log_path=${log}:detect_leaks=1:exitcode=99:alloc_dealloc_mismatch=0:detect_odr_violation=0`,
    LSAN_OPTIONS: `suppressions=${suppressions('leak')}:print_suppressions=0`,
    UBSAN_OPTIONS: `log_path=${log}:print_stacktrace=1:halt_on_error=1`,
    TSAN_OPTIONS: `log_path=${log}:exitcode=99:suppressions=${suppressions('thread')}:report_bugs=1:history_size=4`
  }
})
const reports = readdirSync(logs)
for (const report of reports) console.error(readFileSync(path.join(logs, report), 'utf8').slice(0, 6000))
rmSync(logs, { recursive: true, force: true })
console.log(`sanitize ${kind}: ${reports.length} reports, the command ${result.signal ?? `exited with ${result.status}`}`)
process.exitCode = reports.length === 0 && result.status === 0 ? 0 : 1
