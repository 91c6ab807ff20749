/** The one bench format of the project: what `npm run bench -- --json FILE` writes. */
export interface BenchReport {
  readonly machine: Readonly<Record<string, unknown>>
  readonly versions: Readonly<Record<string, string>>
  /** The commit that was measured, with `-dirty` when the tree had changes; absent outside of a clone. */
  readonly commit?: string
  readonly cases: readonly BenchCase[]
}

/** One comparison with one peer. Fields that do not apply are left out. */
export interface BenchCase {
  readonly suite: string
  readonly name: string
  readonly form?: 'dense' | 'cp'
  readonly threads: number
  readonly isa: string
  /** What ours computes in; `isa` then names the kernels that do. */
  readonly precision: 'float32' | 'float64' | 'bfloat16'
  /** Median milliseconds of one run (of a whole batch). */
  readonly ours_ms: number
  readonly peer?: string
  readonly peer_ms?: number
  /** peer_ms / ours_ms: above 1, ours is faster. */
  readonly ratio?: number
  /** Arithmetic rate of ours, two operations a multiply-add, in units of 10⁹ a second. */
  readonly gflops?: number
  /** gflops over the multiply-add peak of as many threads, measured in turn with ours. */
  readonly peak_fraction?: number
  /** Largest absolute difference between our result and the peer's. */
  readonly max_abs_diff?: number
  /** Largest absolute value of our result, which that difference is to be seen against. */
  readonly scale?: number
  /** Of a solver: least relative error over starts, and from how many of them the target was reached, ours and the peer's. */
  readonly error?: number
  readonly reached?: number
  readonly peer_error?: number
  readonly peer_reached?: number
  /** Of how many starts; and at how many of them the peer was stopped since its time was over. */
  readonly starts?: number
  readonly peer_stopped?: number
  /** Of suite overhead: microseconds of a call over the plan's own time, the median of differences within a round; noise may make it negative. */
  readonly overhead_us?: number
  /** Of training: by how many bytes the peak memory of a process grows. */
  readonly ours_peak_bytes?: number
  readonly peer_peak_bytes?: number
}

/** A suite makes its cases one by one; it must check results itself and throw when they differ. */
export interface Suite {
  readonly name: string
  run(context: SuiteContext): AsyncIterable<BenchCase>
}

export interface SuiteContext {
  readonly threads: number
  readonly isa: string
  /** Runtimes that inference is compared with, of `peerNames`. */
  readonly peers: readonly string[]
  /** Fewer samples, to see that a suite works. */
  readonly quick: boolean
  /** Inference in bfloat16 as well, beside every case of float32: the name of its kernels; `undefined`: not asked for, or none here. */
  readonly bf16: string | undefined
  /** Of inference and of suite cpd: only cases whose names (with their form, such as `AlexNet cp`) hold this. */
  readonly only: string
  /** Of suite cpd: one peer or all, so many starts, and the seconds that a peer gets at most for each. */
  readonly peer: string | undefined
  readonly starts: number
  readonly patience: number
}

const solverFields = ['error', 'reached', 'peer_error', 'peer_reached', 'starts', 'peer_stopped'] as const
const memoryFields = ['ours_peak_bytes', 'peer_peak_bytes'] as const
const optional = [
  'form',
  'peer',
  'peer_ms',
  'ratio',
  'gflops',
  'peak_fraction',
  'max_abs_diff',
  'scale',
  'overhead_us',
  ...solverFields,
  ...memoryFields
] as const
const required = ['suite', 'name', 'threads', 'isa', 'precision', 'ours_ms'] as const

/** Checks a case before it is written; a bench file that lies about its format is worse than none. */
export function checkCase(value: BenchCase): BenchCase {
  const known: readonly string[] = [...required, ...optional]
  for (const key of Object.keys(value)) if (!known.includes(key)) throw new TypeError(`bench case ${value.name}: unknown field ${key}`)
  for (const key of required) if (value[key] === undefined) throw new TypeError(`bench case ${value.name}: ${key} is missing`)
  for (const [key, field] of Object.entries(value)) {
    if (typeof field === 'number' && !(Number.isFinite(field) && (field >= 0 || key === 'overhead_us')))
      throw new TypeError(`bench case ${value.name}: ${key} is ${field}`)
  }
  const paired = [value.peer, value.peer_ms, value.ratio].filter((field) => field !== undefined).length
  if (paired !== 0 && paired !== 3) throw new TypeError(`bench case ${value.name}: peer, peer_ms and ratio come together`)
  return value
}
