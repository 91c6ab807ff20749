import { argumentError, PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { constantInputs } from '../operators/constant-inputs.js'
import { analyse, type Analysis, type Evaluate, type InputShapes, type InputValues } from '../operators/infer.js'
import { definedOnly } from '../options.js'
import { own } from '../own.js'
import type { DataType, Tensor } from '../tensor.js'
import { inBf16 } from './bf16.js'
import { compact, type Draft } from './draft.js'
import { evaluate } from './evaluate.js'
import { fuse } from './fusion.js'
import { settleCandidates } from './learning.js'
import type { PlanSpec } from './plan-spec.js'
import type { Precision } from './precision.js'
import { DraftWriter } from './plan-writer.js'
import { checkThreads } from './threads.js'

export interface CompileOptions {
  /** Dims of graph inputs by name; those left out are the graph's, with a batch of 1 where it is not fixed. */
  readonly inputShapes?: InputShapes
  /** Contents of the graph inputs that determine shapes or steps (`constantInputs`): a plan is made for them. */
  readonly inputValues?: InputValues
  /** Default: 1. */
  readonly threads?: number
  /**
   * Keeps every initializer as a parameter of its own: only biases are fused. A Softmax or LogSoftmax that makes output 0 is left
   * out, as the loss is taken of the logits. Weights that nodes compute from initializers are constants. Default: false.
   */
  readonly training?: boolean
  /** In training: batch normalisation with the batch's statistics, not the running ones. Default: false. */
  readonly batchStatistics?: boolean
  /** In training: Dropout drops. Default: false. */
  readonly dropout?: boolean
  /** Fuses batch normalisation, activations, maxout and sums into convolutions. Default: true. */
  readonly fusion?: boolean
  /** Runs chains of convolutions that form a CP block as one operator; needs `fusion`. Default: true. */
  readonly cpBlocks?: boolean
  /** `bf16`: convolutions, matrix products and CP blocks by bfloat16 kernels; for inference. Default: `f32`. */
  readonly precision?: Precision
}

/** A value of the network at the border of a plan. */
export interface CompiledValue {
  readonly name: string
  /** As ONNX has them. */
  readonly dims: readonly number[]
  /** Its ONNX type; in the plan it is float32. */
  readonly dtype: DataType
}

/** What `PlanSpec.parameters[i]` is in the graph. */
export interface CompiledParameter {
  /** The initializer that it is; none when it was computed from others (`derived`). */
  readonly initializers: readonly string[]
  /** `same`: the initializer's elements in its order. `transposed`: an inner×columns matrix as columns×inner. `derived`: cannot be written back. */
  readonly layout: 'same' | 'transposed' | 'derived'
}

export interface Compiled {
  readonly spec: PlanSpec
  /** One a plan input, in its order; a graph input read in several shapes occurs several times, one never read not at all. */
  readonly inputs: readonly CompiledValue[]
  /**
   * One a plan output, in its order: that of the graph, without those in `constants` and, in inference, without repetitions. In training output 0 may be the logits in the place of
   * this one.
   */
  readonly outputs: readonly CompiledValue[]
  /** Outputs of the graph that follow from shapes and constants. */
  readonly constants: ReadonlyMap<string, Tensor>
  readonly parameters: readonly CompiledParameter[]
}

const defaults = {
  inputShapes: {},
  inputValues: {},
  threads: 1,
  training: false,
  fusion: true,
  cpBlocks: true,
  batchStatistics: false,
  dropout: false,
  precision: 'f32'
} as const

/**
 * Turns a graph and input shapes into a plan: shapes resolved, constants folded, steps fused, dead code dropped. Throws
 * `POLYADIC_SHAPE` for shapes that do not fit and `POLYADIC_UNSUPPORTED` for what polyadic cannot run, before anything is computed.
 */
export function compile(graph: Graph, options: CompileOptions = {}): Compiled {
  const { inputShapes, inputValues, training, fusion, cpBlocks, batchStatistics, dropout, precision } = {
    ...defaults,
    ...definedOnly(options)
  }
  const threads = checkThreads(options.threads ?? defaults.threads)
  if (graph.outputs.length === 0) throw argumentError('graph', 'a graph with outputs', graph.name)
  const values: InputValues = inputValues
  const missing = [...constantInputs(graph)].find((name) => own(values, name) === undefined)
  if (missing !== undefined) {
    const message = `input ${show(missing)} determines shapes: its value is needed to make a plan (inputValues)`
    throw new PolyadicError('POLYADIC_ARGUMENT', message, { subject: missing })
  }
  const analysis = analyse(graph, inputShapes, inputValues, training ? evaluateForTraining : evaluate)
  const constants = new Map(graph.outputs.flatMap(({ name }) => constantOf(analysis, name)))
  const names = graph.outputs.map(({ name }) => name).filter((name) => !constants.has(name))
  // A graph may list an output twice. Training counts on their places, results only on their names.
  const computed = training ? names : [...new Set(names)]
  const writer = new DraftWriter(graph, analysis, training ? { batchStatistics, dropout } : undefined)
  for (const node of analysis.nodes) writer.write(node)
  const written = writer.draft(computed.map((name) => writer.output(name)))
  const live = training ? settleCandidates(compact(withLogits(written))) : compact(written)
  const fused = fusion ? compact(fuse(live, { training, cpBlocks })) : live
  const draft = precision === 'bf16' && !training ? inBf16(fused) : fused
  const spec: PlanSpec = {
    threads,
    training,
    values: draft.values,
    steps: draft.steps,
    inputs: draft.inputs.map((input) => input.value),
    outputs: draft.outputs,
    parameters: draft.parameters.map(({ data, trainable }) => ({ data, trainable }))
  }
  const value = (name: string): CompiledValue => ({
    name,
    dims: analysis.dims.get(name) as readonly number[],
    dtype: analysis.dtypes.get(name) ?? 'float32'
  })
  return {
    spec,
    inputs: draft.inputs.map((input) => value(input.name)),
    outputs: computed.map(value),
    constants,
    parameters: draft.parameters.map(({ initializers, layout }) => ({ initializers, layout }))
  }
}

/** A weight that is only repeated (a token for each image of a batch) still is that weight. */
const evaluateForTraining: Evaluate = (analysed, dtypes) =>
  analysed.node.opType === 'Expand' && dtypes[0] === 'float32' ? undefined : evaluate(analysed, dtypes)

function constantOf(analysis: Analysis, name: string): [string, Tensor][] {
  const constant = analysis.constants.get(name)
  return constant === undefined ? [] : [[name, constant]]
}

/** Output 0 as it is before softmax. */
function withLogits(draft: Draft): Draft {
  const [first, ...others] = draft.outputs
  const last = draft.steps.find((step) => step.output === first)
  return last?.op === 'softmax' || last?.op === 'log_softmax' ? { ...draft, outputs: [last.input, ...others] } : draft
}
