import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { PolyadicError } from '../errors.js'
import type { PlanSpec } from '../runtime/plan-spec.js'
import { type RawAddon, withJobs } from './raw.js'

/** A job on the compute thread: its result, and a way to ask it to stop. It is rejected only when native code has let go of every buffer. */
export interface NativeJob<T> {
  /** Rejected with a `PolyadicError`. */
  readonly promise: Promise<T>
  cancel(): void
}

export interface NativePlan {
  /** Runs forward: one Float32Array (N·C·H·W, NCHW) a plan input and output; outputs are filled in place. */
  run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): NativeJob<void>
  /** The same on the calling thread. */
  runSync(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void
  /** What was chosen: bytes of the arena and of packed weights, and a line for each step. */
  describe(): {
    readonly isa: string
    readonly imagesAtATime: number
    /** Why so many; empty for one image. */
    readonly imagesReason: string
    readonly arenaBytes: number
    readonly weightBytes: number
    /** Of them, what an earlier plan of the same planner held already. */
    readonly sharedWeightBytes: number
    /** `why`: of the kernel and its tile, by what has chosen it; empty where there was no choice. */
    readonly steps: readonly { readonly op: string; readonly kernel: string; readonly why: string }[]
  }
  /** Seconds that each step takes: the least of `runs` (1 to 10⁶) passes of one slice over zeros. */
  timeSteps(runs: number): NativeJob<Float64Array>
  /** Seconds of `runs` (1 to 10⁶) runs one after another on the calling thread, without any way between JavaScript and the plan. */
  timeRuns(inputs: readonly Float32Array[], outputs: readonly Float32Array[], runs: number): number
  /** Frees native memory now; later calls throw POLYADIC_ARGUMENT. */
  close(): void
}

/** Makes plans that share packed weights: those of one network for several input shapes. */
export interface NativePlanner {
  createPlan(spec: PlanSpec): NativePlan
  /** The same on the compute thread. What `spec` holds must not be changed meanwhile, nor its memory resized, transferred or shared. */
  preparePlan(spec: PlanSpec): NativeJob<NativePlan>
}

/**
 * One optimiser step. `sgd`: v ← momentum·v + g + decay·w; w ← w − rate·v (Nesterov: w ← w − rate·(g + decay·w + momentum·v)).
 * `adamw`: moments of the gradient with bias correction, decay apart from them (Loshchilov and Hutter).
 */
export interface NativeOptimiser {
  readonly kind: 'sgd' | 'adamw'
  readonly learningRate: number
  /** sgd; default 0. */
  readonly momentum?: number
  readonly nesterov?: boolean
  /** adamw; defaults 0.9, 0.999 and 1e-8. */
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
  /** Which update this is, from 1: for the bias of adamw's moments. */
  readonly step?: number
  /** One factor a parameter of the plan (0 for biases, say). */
  readonly weightDecay: Float32Array
  /** One factor on the learning rate a parameter; 0 freezes it. */
  readonly rateScale: Float32Array
  /** Gradients are scaled down when their global Euclidean norm is above this; 0 switches it off. */
  readonly clipNorm?: number
  /** Of the exponential moving average of the weights; 0: none is kept. */
  readonly averageDecay?: number
  /** Of this step's dropout: an integer below 2^53. */
  readonly seed?: number
}

/** What is wrong with one output of the plan, times `weight` (default 1). */
export type NativeLoss =
  /** Softmax cross-entropy of logits N×K with one class an example. */
  | {
      readonly kind: 'cross_entropy'
      readonly output: number
      readonly weight?: number
      readonly target: Int32Array
      readonly smoothing?: number
    }
  /** Mean over all elements of (x − target)²; target is dense N×C×H×W. */
  | { readonly kind: 'mean_squared'; readonly output: number; readonly weight?: number; readonly target: Float32Array }
  /** T²·KL(softmax(target/T) ‖ softmax(x/T)), mean over examples; target: a teacher's logits N×K. */
  | {
      readonly kind: 'distillation'
      readonly output: number
      readonly weight?: number
      readonly target: Float32Array
      readonly temperature?: number
    }

/** weight·Σ_n I_n Σ_r Π_{m≠n} ‖a_m,r‖² over the factors of one layer's decomposition. */
export interface NativeSensitivity {
  readonly weight: number
  readonly components: number
  readonly factors: readonly {
    readonly parameter: number
    /** Which component each of the parameter's weights belongs to, in ONNX order. */
    readonly component: Int32Array
    /** I_n: how many rows the factor matrix has. */
    readonly extent: number
  }[]
}

export interface NativeStepResult {
  /** Weighted sum of the losses and penalties, each a mean over the batch, before the update. */
  readonly loss: number
  /** The sensitivities' part of it. */
  readonly penalty: number
  /** Examples whose largest logit is the target's; of the first loss over logits. */
  readonly correct: number
  /** Euclidean norm of all gradients before clipping. */
  readonly gradientNorm: number
}

/** Weights; SGD's velocity or AdamW's first moment; AdamW's second; the moving average. */
export type NativeState = 'weights' | 'first' | 'second' | 'average'

/** A plan made with `training: true`; losses are of its outputs. */
export interface NativeTrainer {
  /** Forward, losses, backward and update, as one job. Not applied when the loss or gradient is not finite. */
  step(inputs: readonly Float32Array[], losses: readonly NativeLoss[], optimiser: NativeOptimiser): NativeJob<NativeStepResult>
  /** Forward (dropout and batch statistics off) and losses, over the first `count` examples of the batch. */
  evaluate(inputs: readonly Float32Array[], losses: readonly NativeLoss[], count: number): NativeJob<NativeStepResult>
  /** Gradients of the loss by parameter, without an update: for tests. */
  gradients(
    inputs: readonly Float32Array[],
    losses: readonly NativeLoss[],
    seed?: number
  ): NativeJob<NativeStepResult & { readonly gradients: readonly Float32Array[] }>
  /** Copies in ONNX layout and in the order of PlanSpec.parameters; empty where there is no such state (yet). */
  getParameters(what: NativeState): Float32Array[]
  /** An empty array drops that state; weights are never empty. */
  setParameters(what: NativeState, values: readonly Float32Array[]): void
  /** Exchanges weights and moving average. */
  swapAverage(): void
  describe(): ReturnType<NativePlan['describe']>
  close(): void
}

export interface NativeCpdSpec {
  /** Row-major tensor of order 2 to 6. */
  readonly tensor: Float64Array
  readonly dims: readonly number[]
  readonly rank: number
  readonly method: 'nls' | 'als' | 'greedy'
  readonly init: 'random' | 'svd' | 'gevd' | 'given'
  /** I_n×R row-major, one a mode, with init `given`. */
  readonly factors?: readonly Float64Array[]
  readonly seed: number
  readonly maxIterations: number
  /** Stop when the relative change of the error falls below this. */
  readonly tolerance: number
  /** γ of ½γ·Σ‖A_n‖², relative to ‖T‖^(2−2/N); 0 switches it off. */
  readonly ridge: number
  /** Bound on the weights λ_r of `nls`, relative to ‖T‖; 0: none. */
  readonly maxWeight: number
  /** Error-preserving correction: allowed growth of the error (1.001 …), 0 switches it off. */
  readonly correction: number
  /** D×D row-major with D = I_2·…·I_N: refine in the norm tr((T−M)·C·(T−M)ᵀ) of the I_1×D matrices. */
  readonly covariance?: Float64Array
  readonly threads: number
}

/** Input patches of a convolution over one batch, whose second moments are added to `moments`, one D×D matrix a group. */
export interface NativeMomentsSpec {
  /** N×C×spatial extents, row-major. */
  readonly input: Float32Array
  readonly dims: readonly number[]
  /** One entry a spatial axis, 1 to 3 of them; `pads` at the begin. */
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly dilations: readonly number[]
  readonly groups: number
  /** Image and output position of each patch, one behind the other. */
  readonly positions: readonly number[]
  readonly moments: readonly Float64Array[]
  readonly threads: number
}

/** Factors of one CP model. */
export interface NativeStiffnessSpec {
  readonly dims: readonly number[]
  readonly rank: number
  /** I_n×R row-major, one a mode. */
  readonly factors: readonly Float64Array[]
  readonly threads: number
}

export interface NativeCpdTrace {
  readonly error: number
  readonly gradientNorm: number
  readonly damping: number
  readonly innerIterations: number
  readonly seconds: number
}

export interface NativeCpdResult {
  /** I_n×R row-major, columns of equal norm over modes (weights absorbed). */
  readonly factors: readonly Float64Array[]
  /** ‖T − M‖ / ‖T‖ recomputed from the factors. */
  readonly relativeError: number
  readonly iterations: number
  readonly stopReason: 'converged' | 'max_iterations' | 'stalled' | 'exact'
  readonly trace: readonly NativeCpdTrace[]
  /** With a covariance C: √(tr(E·C·Eᵀ)/tr(T·C·Tᵀ)) for E = T − M, that of the plain solution, and tr(T·C·Tᵀ); otherwise 0. */
  readonly outputError: number
  readonly outputErrorBefore: number
  readonly outputPower: number
  readonly sensitivity: number
  readonly sensitivityBefore: number
  readonly congruence: number
  readonly componentNorm: number
}

export interface NativeAddon {
  cpu(): {
    readonly isa: string
    readonly available: readonly string[]
    readonly threads: number
    /** Null: none. The reason says why, or why not the best ones that the processor has; empty: nothing to say. */
    readonly bf16: string | null
    readonly bf16Reason: string
    readonly features: { readonly avx512Bf16: boolean; readonly amxBf16: boolean }
  }
  /** Chooses the kernel table; only before the first plan or solver call. */
  setIsa(name: string): void
  /** The rate of multiply-adds that one core reaches just now with the chosen kernels in float32 (or another precision), in GFLOP/s; measured, takes about 1 ms. */
  peakGflops(precision?: 'float32' | 'float64' | 'bf16'): number
  createPlan(spec: PlanSpec): NativePlan
  createPlanner(): NativePlanner
  createTrainer(spec: PlanSpec, sensitivities?: readonly NativeSensitivity[]): NativeTrainer
  cpd(spec: NativeCpdSpec, onProgress: ((iteration: number, error: number) => void) | undefined): NativeJob<NativeCpdResult>
  patchMoments(spec: NativeMomentsSpec): NativeJob<void>
  /** The largest eigenvalue of JᵀJ, J the derivative of the model by all its factors. */
  stiffness(spec: NativeStiffnessSpec): NativeJob<number>
}

let loaded: NativeAddon | undefined

/** The addon, loaded on first use. Throws POLYADIC_NATIVE that says what was tried and what to do. */
export function native(): NativeAddon {
  loaded ??= withJobs(load())
  return loaded
}

function load(): RawAddon {
  const root = packageRoot()
  const require = createRequire(import.meta.url)
  try {
    return (require('node-gyp-build') as (dir: string) => RawAddon)(root)
  } catch (cause) {
    const musl = muslBinary(root)
    if (musl !== undefined) return require(musl) as RawAddon
    throw new PolyadicError(
      'POLYADIC_NATIVE',
      `polyadic's native addon cannot be loaded on ${process.platform}-${process.arch}, Node ${process.versions.node}: ` +
        `${firstLine(cause)}. There is neither a prebuilt binary nor a compiled one that fits; \`npm rebuild polyadic\` compiles it ` +
        "(a C++17 compiler, make, Python 3 and Node's headers are needed) and says what is missing.",
      { cause }
    )
  }
}

// node-gyp-build knows musl by Alpine's release file alone.
function muslBinary(root: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const file = path.join(root, 'prebuilds', `linux-${process.arch}`, 'polyadic.musl.node')
  return header.glibcVersionRuntime === undefined && existsSync(file) ? file : undefined
}

// Sources run from lib/, compiled files from dist/lib/: the package's root is the nearest folder with binding.gyp.
function packageRoot(): string {
  let dir = path.dirname(fileURLToPath(import.meta.url))
  while (!existsSync(path.join(dir, 'binding.gyp'))) {
    const parent = path.dirname(dir)
    if (parent === dir) throw new PolyadicError('POLYADIC_NATIVE', 'polyadic: the package is incomplete, binding.gyp is missing')
    dir = parent
  }
  return dir
}

function firstLine(cause: unknown): string {
  return String(cause instanceof Error ? cause.message : cause).split('\n')[0] ?? ''
}
