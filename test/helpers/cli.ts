import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a run of the command line left behind. */
export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The compiled command line, the one that is shipped. */
export const main = path.join(root, 'dist', 'lib', 'cli', 'main.js')

/** Starts the compiled command line, the one that is shipped. */
export function start(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {}
): { child: ChildProcess; finished: Promise<Run> } {
  if (!existsSync(main)) throw new Error('dist/ is missing: run npm run build:ts (npm test does)')
  // Without tap's own loaders and colour settings.
  const env = { PATH: process.env.PATH ?? '', HOME: tmpdir(), ...options.env }
  const child = spawn(process.execPath, [main, ...args], { cwd: options.cwd ?? root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const finished = new Promise<Run>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, finished }
}

/** Runs `polyadic …` to its end. */
export function polyadic(...args: string[]): Promise<Run> {
  return start(args).finished
}

/** A folder of the test's own, removed with it. */
export async function temporaryFolder(t: { teardown(done: () => Promise<void>): unknown }): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polyadic-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}
