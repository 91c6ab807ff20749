import type { Names } from '../arguments.js'
import type { InputShapes } from '../operators/infer.js'
import type { PrecisionChoice } from '../runtime/precision.js'
import type { Calibration } from './calibration.js'
import { type SolverOptions, solverOptions } from './solver.js'

/** What becomes of a layer besides the decomposition of its kernel. */
export interface FormOptions {
  /**
   * `fold` multiplies a batch normalisation behind a Conv into its weights first: one node less, and the decomposition minds channels by
   * what they are scaled to. `keep` (default) leaves it, which fine-tuning can make use of. Nothing happens where there is none.
   */
  readonly batchNorm?: 'keep' | 'fold'
}

/** One layer's rank (components a group) and whatever it does differently from the other layers. */
export interface LayerOptions extends SolverOptions, FormOptions {
  /**
   * `{ error: 0.2 }`: the least rank with a relative error of at most that (of the layer's output with `calibration`, else of its weights), found by
   * doubling and halving as `cpd` does; the layer stays as it is where no chain with fewer weights reaches it, unless `whenSlower` is `replace`.
   * `full`: what an exact decomposition takes, which costs more than the layer: to check that nothing else changes.
   */
  readonly rank: number | 'full' | { readonly error: number }
  /**
   * Of a Gemm or MatMul: `matrix` (default) makes two of it, by truncated singular value decomposition. `convolution`, for one behind a
   * flatten of C×H×W maps, makes the chain of small convolutions, by CP decomposition of its outputs×C×H×W tensor.
   */
  readonly form?: 'matrix' | 'convolution'
}

export interface CompressProgress {
  /** Of the whole call, from 0 to 1. */
  readonly fraction: number
  readonly layer: string
  readonly group: number
  readonly iteration: number
  /** Relative error reached in this group. */
  readonly error: number
}

export interface CompressOptions extends SolverOptions, FormOptions {
  /** Rank by layer (a Conv, Gemm or MatMul), such as 64 or `{ error: 0.2 }`; a layer is named by its node, its output or its weights. */
  readonly layers: Readonly<Record<string, LayerOptions['rank'] | LayerOptions>>
  /** Shapes of graph inputs by name, for exact counts of multiply-adds when the graph leaves dimensions open. */
  readonly inputShapes?: InputShapes
  /**
   * Unlabelled inputs: the error of each convolution's output over them is minimised instead of that of its weights, and
   * reported. Method `nls` without correction. Matrix products are decomposed by their weights all the same.
   */
  readonly calibration?: Calibration
  /**
   * What becomes of a layer whose chain is not faster on this CPU than the layer itself, by the kernels that `Session` would take (Winograd's among
   * them): `keep` (default) leaves it as it is and says so in the result; `replace` replaces it all the same, for fewer parameters or for
   * another machine, and measures nothing. Measured with one thread and one example before anything is decomposed, where the shape of the
   * layer's input is known; rank `full` is always replaced.
   */
  readonly whenSlower?: 'keep' | 'replace'
  /**
   * The precision that the network will run in, as `Session` takes it: layers and chains are measured in it. Which one was used is in
   * each `latency` of the result. Default: `f32`.
   */
  readonly precision?: PrecisionChoice
  readonly signal?: AbortSignal
  /** What it throws ends the call. */
  readonly onProgress?: (progress: CompressProgress) => void
}

const formOptions: Names<FormOptions> = { batchNorm: true }
/** The names of a layer's options. */
export const layerOptions: Names<LayerOptions> = { ...solverOptions, ...formOptions, rank: true, form: true }

/** The names of all options. */
export const compressOptions: Names<CompressOptions> = {
  ...solverOptions,
  ...formOptions,
  layers: true,
  inputShapes: true,
  calibration: true,
  whenSlower: true,
  precision: true,
  signal: true,
  onProgress: true
}
