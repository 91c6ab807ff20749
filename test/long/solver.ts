import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { cpdProblems } from '../../bench/cpd-tensors.js'
import { cpd, type CpdOptions, type Tensor, writeNpy } from '../../lib/index.js'

const megabyte = 1e6
const rank = 256

async function largeKernel(): Promise<Tensor> {
  const problem = cpdProblems.find(({ name }) => name === `smooth 512×512×3×3 R=${rank}`)
  if (problem === undefined) throw new Error('the problem has another name')
  return problem.tensor()
}

/** Peak memory in bytes of a process of its own that is the command line with these arguments. */
async function peakOf(args: readonly string[]): Promise<number> {
  const main = new URL('../../dist/lib/cli/main.js', import.meta.url)
  const script = `
    process.on('exit', () => console.error('peak', process.resourceUsage().maxRSS))
    process.argv = [process.execPath, ${JSON.stringify(fileURLToPath(main))}, ...${JSON.stringify(args)}]
    await import(${JSON.stringify(main.href)})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  let told = ''
  child.stderr.on('data', (piece) => (told += String(piece)))
  const code = await new Promise((resolve) => child.on('close', resolve))
  const peak = /peak (\d+)/.exec(told)?.[1]
  if (code !== 0 || peak === undefined) throw new Error(`polyadic ${args.join(' ')} ended with ${String(code)}: ${told}`)
  return Number(peak) * 1024
}

t.test('a 512×512×3×3 kernel at rank 256 in less than 300 MB, all of the process', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'kernel.npy')
  await writeNpy(file, await largeKernel())
  const files = ['-o', join(folder, 'factors.npz'), '--plot', join(folder, 'trace.svg')]
  const start = ['cpd', file, '--rank', String(rank), ...files]
  for (const options of [
    ['--max-iterations', '12'],
    ['--max-iterations', '5', '--init', 'svd', '--epc', '1.005'],
    ['--max-iterations', '5', '--init', 'gevd'],
    ['--max-iterations', '5', '--method', 'als']
  ]) {
    const peak = await peakOf([...start, ...options])
    t.ok(peak < 300 * megabyte, `${options.join(' ')}: ${(peak / megabyte).toFixed(0)} MB`)
  }
})

t.test('aborted at any moment of its longest steps, it leaves nothing behind', async (t) => {
  const tensor = await largeKernel()
  const attempt = async (wait: number, options: Partial<CpdOptions>): Promise<void> => {
    const controller = new AbortController()
    const running = cpd(tensor, { rank, signal: controller.signal, ...options })
    const timer = setTimeout(() => controller.abort(new Error('enough')), wait)
    await t.rejects(running, { message: 'enough' }, `after ${wait} ms: ${JSON.stringify(options)}`)
    clearTimeout(timer)
  }
  // Core and subspaces, eigenvalues, sweeps, steps, pencil of slices.
  const ways: readonly Partial<CpdOptions>[] = [
    {},
    { init: 'svd' },
    { init: 'gevd' },
    { method: 'als', tolerance: 0, maxIterations: 10_000 }
  ]
  const round = async (): Promise<void> => {
    for (const options of ways) for (const wait of [1, 30, 90, 200, 450]) await attempt(wait, options)
  }
  await round() // what is allocated once
  const before = process.memoryUsage.rss()
  await round()
  const grown = process.memoryUsage.rss() - before
  t.ok(grown < 40 * megabyte, `40 aborted runs: the process has grown by ${(grown / megabyte).toFixed(0)} MB since the first 20`)
  const { relativeError } = await cpd(tensor, { rank: 4 })
  t.ok(relativeError < 1, 'the compute thread goes on')
})
