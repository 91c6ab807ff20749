import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { root } from '../examples/charnet/paths.js'
import type { Factor } from '../lib/decomposition/factors.js'
import { cpd, type Tensor, writeNpy, writeNpz } from '../lib/index.js'
import { type CpdProblem, cpdProblems, startOf } from './cpd-tensors.js'
import { type BenchCase, checkCase, type Suite, type SuiteContext } from './format.js'

const python = path.join(root, '.cache', 'peers', 'bin', 'python')
const script = path.join(root, 'bench', 'peers', 'run.py')
// Each names a solver of run.py.
const peers = ['tensorly', 'tensorly-linesearch', 'pytensorlab', 'tensorfox', 'pyttb'] as const
const within = 1.001 // of the best error that any solver reached from the same start
// From each start a peer may take this many times as long as ours took to the target, and so many seconds at least.
const patience = { times: 25, seconds: 1 } as const

interface Run {
  /** [seconds, relative error] by iteration. */
  readonly trace: readonly (readonly [number, number])[]
  /** Recomputed from the factors. */
  readonly error: number
  /** Its time was over before it had converged. */
  readonly stopped?: boolean
}

interface Solved {
  readonly name: string
  readonly runs: readonly Run[]
}

/**
 * CP solvers from the same starts: milliseconds until the error is within 0.1 % of the best that any of them reached from
 * that start (or below the target of an exact problem), medians over starts. Peers are those of bench/peers/setup.sh.
 */
export const cpdSuite: Suite = {
  name: 'cpd',
  async *run(context) {
    if (!existsSync(python)) console.error('cpd: there are no peers to compare with; bash bench/peers/setup.sh makes them')
    const chosen = cpdProblems.filter(({ name }) => name.includes(context.only))
    for (const problem of context.quick ? chosen.slice(0, 1) : chosen) yield* measure(problem, context)
  }
}

async function* measure(problem: CpdProblem, context: SuiteContext): AsyncGenerator<BenchCase> {
  const tensor = await problem.tensor()
  const starts = Array.from({ length: context.quick ? 1 : context.starts }, (_, seed) => startOf(tensor, problem.rank, seed))
  const ours: Run[] = []
  for (const start of starts) ours.push(await solveOurs(problem, tensor, start, context.threads))
  const solved: Solved[] = existsSync(python) ? await solvePeers(problem, tensor, starts, ours, context) : []
  const all = [ours, ...solved.map(({ runs }) => runs)]
  const targets = starts.map((_, i) => problem.target ?? within * Math.min(...all.map((runs) => runs[i]?.error ?? Infinity)))
  const [oursMs, oursReached] = timeTo(targets, ours)
  const common = {
    suite: 'cpd',
    name: problem.name,
    threads: context.threads,
    isa: context.isa,
    precision: 'float64',
    ours_ms: oursMs,
    error: least(ours),
    reached: oursReached,
    starts: starts.length
  } as const
  if (solved.length === 0) yield checkCase(common)
  for (const { name, runs } of solved) {
    const [peerMs, reached] = timeTo(targets, runs)
    yield checkCase({
      ...common,
      peer: name,
      peer_ms: peerMs,
      ratio: peerMs / oursMs,
      peer_error: least(runs),
      peer_reached: reached,
      peer_stopped: runs.filter(({ stopped }) => stopped).length
    })
  }
}

async function solveOurs({ rank, target }: CpdProblem, tensor: Tensor, factors: readonly Factor[], threads: number): Promise<Run> {
  const exact = target !== undefined
  const options = exact ? { tolerance: 1e-12, maxIterations: 1000 } : { tolerance: 2e-6, maxIterations: 500 }
  const result = await cpd(tensor, { rank, factors, ridge: 0, threads, ...options })
  return { trace: result.trace.map(({ seconds, error }) => [seconds, error] as const), error: result.relativeError }
}

async function solvePeers(
  problem: CpdProblem,
  tensor: Tensor,
  starts: readonly (readonly Factor[])[],
  ours: readonly Run[],
  context: SuiteContext
): Promise<Solved[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polyadic-cpd-'))
  try {
    const file = path.join(folder, 'tensor.npy')
    await writeNpy(file, tensor)
    const files = starts.map((_, i) => path.join(folder, `start_${i}.npz`))
    for (const [i, start] of starts.entries()) await writeNpz(files[i] as string, arraysOf(start))
    const [ms] = timeTo(
      ours.map(({ error }) => problem.target ?? within * error),
      ours
    )
    const seconds = context.quick ? 3 : Math.min(context.patience, Math.max(patience.seconds, (patience.times * ms) / 1000))
    const solved: Solved[] = []
    for (const peer of peers.filter((name) => context.peer === undefined || name === context.peer)) {
      const job = path.join(folder, 'job.json')
      await writeFile(job, JSON.stringify({ peer, tensor: file, starts: files, iterations: 100_000, seconds }))
      solved.push({ name: peer, runs: await runPeer(job, context.threads) })
    }
    return solved
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function arraysOf(factors: readonly Factor[]): Record<string, Tensor> {
  return Object.fromEntries(factors.map(({ data, dims }, n) => [`factor_${n}`, { dtype: 'float64', dims, data }]))
}

async function runPeer(job: string, threads: number): Promise<Run[]> {
  const count = String(threads)
  // Tensor-Fox asks numba for all processors, whatever it was granted, so numba is granted them.
  const env = { ...process.env, OPENBLAS_NUM_THREADS: count, OMP_NUM_THREADS: count, MKL_NUM_THREADS: count }
  const { stdout } = await promisify(execFile)(python, [script, job], { env, maxBuffer: 1 << 28 })
  const { runs } = JSON.parse(stdout.replaceAll('NaN', 'null').replaceAll('Infinity', 'null')) as { runs: Partial<Run>[] }
  return runs.map(({ trace = [], error, stopped = false }) => ({ trace, error: error ?? Infinity, stopped }))
}

/** Median milliseconds to the targets, and from how many starts they were reached; where they were not, all the time counts. */
function timeTo(targets: readonly number[], runs: readonly Run[]): [milliseconds: number, reached: number] {
  const times = targets.map((target, i) => {
    const { trace } = runs[i] as Run
    const hit = trace.find(([, error]) => error !== null && error <= target)
    return { seconds: hit?.[0] ?? trace.at(-1)?.[0] ?? 0, reached: hit !== undefined }
  })
  const sorted = times.map(({ seconds }) => seconds).sort((a, b) => a - b)
  return [1000 * (sorted[Math.floor(sorted.length / 2)] ?? 0), times.filter(({ reached }) => reached).length]
}

function least(runs: readonly Run[]): number {
  return Math.min(2, ...runs.map(({ error }) => error))
}
