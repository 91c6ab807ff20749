import { PolyadicError, argumentError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { elementCount, floatTensor } from '../tensor.js'

/** Where a trainable parameter of a plan comes from. */
export interface ParameterSource {
  /** The initializers that share its values, and the nodes that use them. */
  readonly initializers: readonly string[]
  readonly nodes: readonly string[]
  readonly role: 'weight' | 'bias'
  /** The plan holds the initializer (a matrix) transposed. */
  readonly transposed: boolean
}

/** By index of the plan's parameters; `undefined` for those that stand for no initializer and are never trained. */
export type ParameterSources = readonly (ParameterSource | undefined)[]

/** A node or initializer: by exact name or by pattern. */
export type NamePattern = string | RegExp

/**
 * The factor on each parameter's learning rate: 0 where `frozen` names its node or initializer, else 1.
 * Throws POLYADIC_ARGUMENT for an entry that matches nothing, and when nothing is left to train.
 */
export function rateScales(parameters: ParameterSources, frozen: readonly NamePattern[] = []): Float32Array {
  const scales = Float32Array.from(parameters, (parameter) => (parameter === undefined ? 0 : 1))
  for (const pattern of frozen) {
    let matched = false
    parameters.forEach((parameter, index) => {
      if (parameter === undefined || ![...parameter.nodes, ...parameter.initializers].some((name) => matches(pattern, name))) return
      matched = true
      scales[index] = 0
    })
    if (!matched) throw unmatched(pattern, parameters)
  }
  if (scales.every((scale) => scale === 0))
    throw new PolyadicError('POLYADIC_ARGUMENT', 'frozen: every parameter is frozen, there is nothing to train', { subject: 'frozen' })
  return scales
}

/** Weight decay a parameter: none for biases unless `decayBiases`. */
export function weightDecays(parameters: ParameterSources, weightDecay: number, decayBiases: boolean): Float32Array {
  return Float32Array.from(parameters, (parameter) => (parameter?.role === 'weight' || decayBiases ? weightDecay : 0))
}

/** A new graph with the plan's values in place of the initializers they were made of. Frozen ones stay as they are. */
export function writeParameters(graph: Graph, parameters: ParameterSources, values: readonly Float32Array[], scales: Float32Array): Graph {
  const initializers = new Map(graph.initializers)
  parameters.forEach((parameter, index) => {
    if (parameter === undefined || scales[index] === 0) return
    const { initializers: names, transposed } = parameter
    const [first = ''] = names
    const before = graph.initializers.get(first)
    const data = values[index] as Float32Array
    if (before?.dtype !== 'float32' || elementCount(before.dims) !== data.length) {
      throw new PolyadicError(
        'POLYADIC_GRAPH',
        `initializer ${show(first)}: expected a float32 tensor of ${data.length} values to write trained weights to`,
        { subject: first }
      )
    }
    const after = transposed ? transposedBack(before.dims, data) : data.slice()
    for (const name of names) initializers.set(name, floatTensor(after, (graph.initializers.get(name) ?? before).dims))
  })
  return { ...graph, initializers }
}

// data: the transpose of a rows×columns matrix, row-major.
function transposedBack([rows = 1, columns = 1]: readonly number[], data: Float32Array): Float32Array {
  const result = new Float32Array(data.length)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[i * columns + j] = data[j * rows + i] as number
  }
  return result
}

function matches(pattern: NamePattern, name: string): boolean {
  if (typeof pattern === 'string') return pattern === name
  if (!(pattern instanceof RegExp)) throw argumentError('frozen', 'names and regular expressions', pattern)
  // A global or sticky expression keeps a position between calls.
  return name.search(pattern) >= 0
}

function unmatched(pattern: NamePattern, parameters: ParameterSources): PolyadicError {
  const nodes = [...new Set(parameters.flatMap((parameter) => parameter?.nodes ?? []))]
  return new PolyadicError(
    'POLYADIC_ARGUMENT',
    `frozen: ${String(pattern)} matches no node or initializer with trainable weights; nodes that have some: ${nodes.join(', ')}`,
    { subject: String(pattern) }
  )
}
