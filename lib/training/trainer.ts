import type { Graph } from '../graph/graph.js'
import { consumers } from '../graph/rewrite.js'
import { type NativeTrainer, native } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'
import { type CompiledParameter, compile } from '../runtime/compile.js'
import { defaultThreads } from '../runtime/threads.js'
import { elementCount } from '../tensor.js'
import { exampleDims, singleInput, withLogits, withOpenBatch } from './network.js'
import { type NamePattern, type ParameterSource, type ParameterSources, rateScales } from './parameters.js'

/** What has to be said to make a network trainable. */
export interface TrainingShape {
  readonly batchSize: number
  readonly threads: number | undefined
  readonly logits: string | undefined
  readonly inputShape: readonly number[] | undefined
  readonly frozen: readonly NamePattern[] | undefined
}

/** A trainer in native memory (close it), and what its parameters stand for. */
export interface Training {
  readonly trainer: NativeTrainer
  readonly parameters: ParameterSources
  /** Factor on each parameter's learning rate; 0 for what is frozen. */
  readonly rateScale: Float32Array
  /** C·H·W. */
  readonly exampleSize: number
  readonly classes: number
  /** How many inputs the plan has: all are the same batch (read in several shapes). */
  readonly planInputs: number
}

export type PrepareTraining = (graph: Graph, shape: TrainingShape) => Training

/** Compiles a network for training and hands its plan to native code. Frozen parameters get no gradient at all. */
export const prepareTraining: PrepareTraining = (graph, { batchSize, threads = defaultThreads(), logits, inputShape, frozen }) => {
  const input = singleInput(graph)
  const example = exampleDims(input, inputShape)
  const network = withOpenBatch(withLogits(graph, logits))
  const compiled = compile(network, { training: true, threads, inputShapes: { [input.name]: [batchSize, ...example] } })
  const parameters = parameterSources(graph, compiled.parameters)
  const rateScale = rateScales(parameters, frozen)
  const spec = {
    ...compiled.spec,
    parameters: compiled.spec.parameters.map((parameter, i) => ({ ...parameter, trainable: parameter.trainable && rateScale[i] !== 0 }))
  }
  const trainer = fromNative(() => native().createTrainer(spec))
  const classes = compiled.outputs[0]?.dims[1] ?? 0
  return { trainer, parameters, rateScale, exampleSize: elementCount(example), classes, planInputs: spec.inputs.length }
}

function parameterSources(graph: Graph, parameters: readonly CompiledParameter[]): ParameterSources {
  const users = consumers(graph)
  return parameters.map(({ initializers, layout }): ParameterSource | undefined => {
    const [first] = initializers
    if (first === undefined || layout === 'derived') return undefined
    const nodes = initializers.flatMap((name) => users.get(name) ?? []).map((node) => node.name)
    const dims = graph.initializers.get(first)?.dims ?? []
    return { initializers, nodes, role: dims.length > 1 ? 'weight' : 'bias', transposed: layout === 'transposed' }
  })
}
