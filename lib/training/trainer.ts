import { PolyadicError, show } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { consumers } from '../graph/rewrite.js'
import { type NativeTrainer, native } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'
import { calledFunction } from '../graph/body.js'
import { operatorOf } from '../operators/registry.js'
import { type CompiledParameter, compile } from '../runtime/compile.js'
import { defaultThreads } from '../runtime/threads.js'
import { elementCount, isFloating } from '../tensor.js'
import { exampleDims, singleInput, withOpenBatch, withOutputs } from './network.js'
import { type NamePattern, type ParameterGroup, type ParameterSource, type ParameterSources, rateScales } from './parameters.js'
import type { StudentOutput } from './objective.js'
import { sensitivities } from './sensitivity.js'

/** What has to be said to make a network trainable. */
export interface TrainingShape {
  readonly batchSize: number
  readonly threads?: number | undefined
  readonly logits?: string | undefined
  readonly inputShape?: readonly number[] | undefined
  readonly frozen?: readonly NamePattern[] | undefined
  readonly groups?: readonly ParameterGroup[] | undefined
  /** A factor on the learning rate of single initializers. */
  readonly rates?: ReadonlyMap<string, number> | undefined
  /** Batch normalisation with the batch's statistics; default: the running ones, as they are. */
  readonly batchStatistics?: boolean
  /** Whether Dropout drops; default false. */
  readonly dropout?: boolean
  /** Values that losses are taken of besides the logits. */
  readonly features?: readonly string[]
  /** Weight of the CP sensitivity of each decomposed layer in the loss; 0, the default: none. */
  readonly sensitivity?: number
}

/** A trainer in native memory (close it), and what its parameters stand for. */
export interface Training {
  readonly trainer: NativeTrainer
  readonly parameters: ParameterSources
  /** Factor on each parameter's learning rate; 0 for what is frozen. */
  readonly rateScale: Float32Array
  /** C×H×W. */
  readonly example: readonly number[]
  readonly classes: number
  /** The logits, then `features`. */
  readonly outputs: readonly StudentOutput[]
  /** Elements of an example's output 0. */
  readonly outputSize: number
  /** How many inputs the plan has: all are the same batch (read in several shapes). */
  readonly planInputs: number
  /** Initializers that hold weights but keep their values: of another type than float32, or such that the plan only has values computed from them. */
  readonly untrained: readonly string[]
}

export type PrepareTraining = (graph: Graph, shape: TrainingShape) => Training

/** Compiles a network for training and hands its plan to native code. Frozen parameters get no gradient at all. */
export const prepareTraining: PrepareTraining = (graph, shape) => {
  const { batchSize, threads = defaultThreads(), batchStatistics = false, dropout = false } = shape
  const input = singleInput(graph)
  const example = exampleDims(input, shape.inputShape)
  const network = withOpenBatch(withOutputs(graph, shape.logits, shape.features ?? []))
  const inputShapes = { [input.name]: [batchSize, ...example] }
  const compiled = compile(network, { training: true, threads, inputShapes, batchStatistics, dropout })
  const parameters = parameterSources(graph, compiled)
  const untrained = untrainedWeights(network, parameters)
  checkTypes(network, parameters, untrained)
  const rateScale = rateScales(parameters, shape.frozen, shape.groups, shape.rates)
  const spec = {
    ...compiled.spec,
    parameters: compiled.spec.parameters.map((parameter, i) => ({ ...parameter, trainable: parameter.trainable && rateScale[i] !== 0 }))
  }
  const penalties = shape.sensitivity === undefined ? [] : sensitivities(graph, parameters, shape.sensitivity)
  const trainer = fromNative(() => native().createTrainer(spec, penalties))
  const outputDims = compiled.outputs[0]?.dims ?? []
  return {
    trainer,
    parameters,
    rateScale,
    example,
    classes: outputDims[1] ?? 0,
    outputs: compiled.outputs,
    outputSize: elementCount(outputDims.slice(1)),
    planInputs: spec.inputs.length,
    untrained
  }
}

function parameterSources(
  graph: Graph,
  {
    parameters,
    spec
  }: { readonly parameters: readonly CompiledParameter[]; readonly spec: { readonly parameters: readonly { trainable: boolean }[] } }
): ParameterSources {
  const users = consumers(graph)
  return parameters.map(({ initializers, layout }, index): ParameterSource | undefined => {
    const [first] = initializers
    if (first === undefined || layout === 'derived') return undefined
    const nodes = initializers.flatMap((name) => users.get(name) ?? [])
    const isVector = (graph.initializers.get(first)?.dims.length ?? 0) <= 1
    const isBias = isVector || nodes.some((node) => inputsThatAre('biases', graph, node).some((name) => initializers.includes(name)))
    const role = spec.parameters[index]?.trainable !== true ? 'statistics' : isBias ? 'bias' : 'weight'
    return { initializers, nodes: nodes.map(({ name }) => name), role, transposed: layout === 'transposed' }
  })
}

/** Inputs that the node's operator says are weights, or biases. */
function inputsThatAre(kind: 'parameters' | 'biases', graph: Graph, node: Node): string[] {
  if (calledFunction(graph, node) !== undefined) return []
  return (operatorOf(node, graph.opsets).operator[kind] ?? []).map((index) => node.inputs[index] ?? '')
}

function untrainedWeights(graph: Graph, parameters: ParameterSources): string[] {
  const trained = new Set(parameters.flatMap((parameter) => parameter?.initializers ?? []))
  const sources = constantSources(graph)
  const weights = graph.nodes.flatMap((node) => inputsThatAre('parameters', graph, node).flatMap((name) => sources.get(name) ?? []))
  return [...new Set(weights)].filter((name) => !trained.has(name))
}

/**
 * By value that follows from initializers alone: those among them that look like weights, which it is or is computed from (by a Cast, a Transpose, a
 * DequantizeLinear).
 */
function constantSources(graph: Graph): ReadonlyMap<string, readonly string[]> {
  const sources = new Map<string, readonly string[]>()
  for (const [name, { dtype, data }] of graph.initializers) {
    // A single number, such as an epsilon or a scale, is no weight.
    const isWeight = data.length > 1 && (isFloating(dtype) || dtype === 'int8' || dtype === 'uint8')
    sources.set(name, isWeight ? [name] : [])
  }
  for (const { opType, inputs, outputs } of graph.nodes) {
    const found = inputs.filter((name) => name !== '').map((name) => sources.get(name))
    if (found.some((some) => some === undefined) || (found.length === 0 && opType !== 'Constant')) continue
    const weights = [...new Set(found.flatMap((some) => some ?? []))]
    for (const name of outputs) sources.set(name, weights)
  }
  return sources
}

/** Throws POLYADIC_UNSUPPORTED for a network whose weights are all of another type than training computes in. */
function checkTypes(graph: Graph, parameters: ParameterSources, untrained: readonly string[]): void {
  if (parameters.some((parameter) => parameter !== undefined && parameter.role !== 'statistics')) return
  const types = new Set(untrained.map((name) => graph.initializers.get(name)?.dtype).filter((dtype) => dtype !== 'float32'))
  if (types.size === 0) return
  const what = `there are no float32 weights in it to train: ${untrained.slice(0, 3).map(show).join(', ')}${untrained.length > 3 ? ' and others' : ''}`
  const message = `graph: ${what} ${untrained.length > 1 ? 'are' : 'is'} ${[...types].join(', ')}, and training is in float32; export the network in float32`
  throw new PolyadicError('POLYADIC_UNSUPPORTED', message, { subject: 'graph' })
}
