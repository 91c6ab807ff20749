import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type Candidate, measureInterleaved } from '../lib/report/measure.js'
import { machine } from '../lib/report/machine.js'
import { packageVersion } from '../lib/report/version.js'
import { native } from '../lib/native/binding.js'
import { mulberry32 } from '../lib/random.js'
import { type BenchCase, type BenchReport, checkCase, type SuiteContext } from './format.js'

type Precision = NonNullable<Parameters<ReturnType<typeof native>['peakGflops']>[0]>

/** What a suite knows about one comparison before it is timed. */
export interface Comparison {
  readonly suite: string
  readonly name: string
  readonly form?: 'dense' | 'cp'
  readonly precision?: BenchCase['precision']
  readonly ours: Candidate
  readonly peers: readonly Candidate[]
  /** Multiply-adds of one run of ours. */
  readonly macs?: number
  /** Largest absolute difference between our result and each peer's, in the order of `peers`. */
  readonly maxAbsDiff?: readonly number[]
  /** Largest absolute value of our result. */
  readonly scale?: number
}

/** Times ours and every peer in turn and makes one case a peer (one without a peer when there is none). */
export async function compare(comparison: Comparison, context: SuiteContext): Promise<BenchCase[]> {
  const half = comparison.precision === 'bfloat16' ? context.bf16 : undefined
  const roof = comparison.macs === undefined ? [] : [multiplyAdds(half ? 'bf16' : 'float32')]
  const measured = await measureInterleaved([comparison.ours, ...comparison.peers, ...roof], {
    runs: context.quick ? 5 : 25,
    sampleMs: context.quick ? 2 : 10,
    // onnxruntime spins for 50 to 60 ms after a run.
    settleMs: context.threads > 1 ? 80 : 0
  })
  const [ours, ...others] = measured.map(({ medianMs }) => medianMs)
  if (ours === undefined) return []
  const peers = others.slice(0, comparison.peers.length)
  const operationMs = others[comparison.peers.length]
  const common = {
    suite: comparison.suite,
    name: comparison.name,
    ...(comparison.form && { form: comparison.form }),
    threads: context.threads,
    isa: half ?? context.isa,
    precision: comparison.precision ?? 'float32',
    ours_ms: ours,
    ...rates(comparison.macs, ours, context.threads, operationMs)
  } as const
  if (peers.length === 0) return [checkCase(common)]
  return peers.map((peerMs, i) => {
    const difference = comparison.maxAbsDiff?.[i]
    const peer = comparison.peers[i]?.name ?? 'peer'
    return checkCase({
      ...common,
      peer,
      peer_ms: peerMs,
      ratio: peerMs / ours,
      ...(difference !== undefined && { max_abs_diff: difference }),
      ...(comparison.scale !== undefined && { scale: comparison.scale })
    })
  })
}

/** `operationMs`: of one operation of the peak on one thread. */
function rates(
  macs: number | undefined,
  ms: number,
  threads: number,
  operationMs: number | undefined
): { gflops?: number; peak_fraction?: number } {
  if (macs === undefined || operationMs === undefined) return {}
  return { gflops: (2 * macs) / (ms * 1e6), peak_fraction: (2 * macs * operationMs) / (ms * threads) }
}

/**
 * The multiply-add peak of one thread with the kernels in use, as one of those that take turns: the milliseconds of one operation. A
 * tenant on the core's other hardware thread takes from the peak what it takes from everybody.
 */
function multiplyAdds(precision: Precision): Candidate {
  const time = async (): Promise<number> => {
    const rates = Array.from({ length: 8 }, () => native().peakGflops(precision))
    return rates.reduce((sum, gflops) => sum + 1e-6 / gflops, 0) / rates.length
  }
  return { name: 'multiply-adds', run: () => undefined, time }
}

/** The multiply-add peak of one thread undisturbed, in GFLOP/s: the best of some short runs. */
export function peakGflops(precision: Precision): number {
  return Math.max(...Array.from({ length: 12 }, () => native().peakGflops(precision)))
}

/** The largest absolute difference; NaN in either is infinitely far. */
export function maxAbsDiff(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`cannot compare ${a.length} values with ${b.length}`)
  let largest = 0
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number))
    largest = difference <= largest ? largest : Number.isNaN(difference) ? Infinity : difference
  }
  return largest
}

/** Normally distributed values, the same for a seed everywhere: inputs whose speed does not depend on chance. */
export function gaussian(count: number, seed = 1): Float32Array {
  const bits = mulberry32(seed)
  const unit = (): number => bits() / 4294967296
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit()))
}

/** Everything around the cases: machine, versions, commit. */
export function benchReport(cases: readonly BenchCase[]): BenchReport {
  const commit = currentCommit()
  return {
    machine: { ...machine() },
    versions: { polyadic: packageVersion(), node: process.versions.node, ...peerVersions(['onnxruntime-node']) },
    ...(commit !== undefined && { commit }),
    cases
  }
}

/** Writes the cases to a report of before, each in the place of what it measures anew. */
export async function updateReport(file: string, cases: readonly BenchCase[]): Promise<void> {
  const before = existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as BenchReport).cases : []
  const measured = new Set(cases.map(caseKey))
  const report = benchReport([...before.filter((one) => !measured.has(caseKey(one))), ...cases])
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)
}

/** What a case is of, without what was measured and by which version of a peer. */
export function caseKey({ suite, name, form, threads, isa, peer }: BenchCase): string {
  return [suite, name, form, threads, isa, peer].join('|')
}

/** Of packages that are installed. */
export function peerVersions(names: readonly string[]): Record<string, string> {
  const require = createRequire(import.meta.url)
  const versions: Record<string, string> = {}
  for (const name of names) {
    try {
      versions[name] = (require(`${name}/package.json`) as { version: string }).version
    } catch {
      // A peer that is not installed has no version to tell.
    }
  }
  return versions
}

/** The commit of the sources, with `-dirty` when files in git differ from it. */
export function currentCommit(): string | undefined {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    return `${git('rev-parse', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no', '--', ':(top,exclude)experiments/results', ':(top,exclude)docs') === '' ? '' : '-dirty'}`
  } catch {
    return undefined
  }
}
