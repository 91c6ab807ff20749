import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

// Each script checks itself, in a process of its own without tap's loaders, so that a crash or a silent end is seen.
const scripts: readonly (readonly [name: string, title: string, ...nodeOptions: string[]])[] = [
  ['workers', '100 worker threads end in every way'],
  ['worker-only', 'worker threads alone load the addon, and end'],
  ['cluster', 'processes of a cluster'],
  ['realm', 'a test runner’s realm', '--experimental-vm-modules', '--no-warnings'],
  ['abort', 'aborts at random moments'],
  ['memory', '10,000 runs and 400 sessions in flat memory', '--expose-gc'],
  ['training', 'training, decomposing and running side by side'],
  ['concurrent', '64 runs at a time'],
  ['buffers', 'memory of every kind'],
  ['event-loop', 'the event loop while the compute thread is busy']
]

// What takes long for its arithmetic, not for what is tested, takes much longer under a sanitizer: there, fewer runs of it.
const counts: Readonly<Record<string, readonly string[]>> = process.env.POLYADIC_SANITIZER === undefined ? {} : { 'event-loop': ['4'] }

const dist = new URL('../../dist/lib/index.js', import.meta.url)
if (!existsSync(dist)) throw new Error('dist/ is missing: run npm run build:ts (npm test does)')

for (const [name, title, ...options] of scripts) {
  t.test(title, async (t) => {
    const { code, output } = await finished(name, options)
    t.equal(code, 0, output)
    const last = output.trim().split('\n').at(-1) ?? ''
    t.doesNotThrow(() => JSON.parse(last) as unknown, 'it came to its end')
    t.comment(last)
  })
}

function finished(name: string, options: readonly string[]): Promise<{ code: number | string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const script = fileURLToPath(new URL(`child/${name}.mjs`, import.meta.url))
    // By env -i: tap adds its loaders to every child's environment. A sanitizer's settings are let through.
    const kept = [
      'PATH',
      'LD_PRELOAD',
      'POLYADIC_PREBUILD',
      'POLYADIC_SANITIZER',
      'ASAN_OPTIONS',
      'LSAN_OPTIONS',
      'UBSAN_OPTIONS',
      'TSAN_OPTIONS'
    ]
    const variables = kept.filter((key) => process.env[key] !== undefined).map((key) => `${key}=${process.env[key] ?? ''}`)
    const child = spawn('/usr/bin/env', ['-i', ...variables, process.execPath, ...options, script, ...(counts[name] ?? [])])
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }))
  })
}
