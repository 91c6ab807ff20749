import type { GroupReport } from './decompose.js'
import type { LayerLatency } from './latency.js'
import type { ReplacementForm } from './kernel-tensor.js'

/** What was done to one layer. Sums and maxima are over its groups. */
export interface LayerReport {
  readonly name: string
  /** Components a group; below `requestedRank` when some vanished, or fewer are exact. */
  readonly rank: number
  /** What was asked for, or found for `requestedError`. */
  readonly requestedRank: number
  /** With rank `{ error }`: the bound on the error. */
  readonly requestedError?: number
  /** With rank `{ error }`: what was tried, in order. */
  readonly ranksTried?: readonly { readonly rank: number; readonly error: number }[]
  readonly groups: number
  /** Cout × Cin/groups × spatial extents. */
  readonly kernel: readonly number[]
  readonly form: ReplacementForm
  /** The batch normalisation that was multiplied into the layer beforehand, if any. */
  readonly foldedBatchNorm: string | undefined
  /** Names of the new nodes. */
  readonly nodes: readonly string[]
  /** ‖K − M‖ / ‖K‖ over all groups. */
  readonly relativeError: number
  /** Relative error of the layer's output over the calibration inputs; absent without calibration. */
  readonly outputError?: number
  /** The same of the decomposition by weights alone. */
  readonly outputErrorBefore?: number
  readonly sensitivity: number
  readonly sensitivityBefore: number
  readonly congruence: number
  /** Sum over groups. */
  readonly iterations: number
  /** Of the group with the largest error. */
  readonly stopReason: GroupReport['stopReason']
  /** Overall relative error by iteration. */
  readonly trace: readonly number[]
  readonly perGroup: readonly GroupReport[]
  /** Weights and biases. */
  readonly parametersBefore: number
  readonly parametersAfter: number
  /** Multiply-adds for one example on the maps' real sizes; `undefined` when those are not known. */
  readonly macsBefore: number | undefined
  readonly macsAfter: number | undefined
  /** Fewer multiply-adds than before (fewer parameters, where multiply-adds are unknown). */
  readonly saves: boolean
  /** Of the layer and its chain on this CPU; absent where it was not measured. */
  readonly latency?: LayerLatency
  readonly seconds: number
}
