import { PolyadicError, argumentError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { didYouMean, nearest } from '../nearest.js'
import { elementCount, floatTensor } from '../tensor.js'

/** Where a trainable parameter of a plan comes from. */
export interface ParameterSource {
  /** The initializers that share its values, and the nodes that use them. */
  readonly initializers: readonly string[]
  readonly nodes: readonly string[]
  /** Statistics are not trained by gradients: batch normalisation keeps them up to date. */
  readonly role: 'weight' | 'bias' | 'statistics'
  /** The plan holds the initializer (a matrix) transposed. */
  readonly transposed: boolean
}

/** By index of the plan's parameters; `undefined` for those that stand for no initializer and are never trained. */
export type ParameterSources = readonly (ParameterSource | undefined)[]

/** Which parameter an initializer is, −1 for none. */
export function parameterOf(parameters: ParameterSources, initializer: string): number {
  return parameters.findIndex((parameter) => parameter?.initializers.includes(initializer))
}

/** A node or initializer: by exact name or by pattern. */
export type NamePattern = string | RegExp

/** Parameters with a learning rate or weight decay of their own. */
export interface ParameterGroup {
  /** Nodes or initializers. */
  readonly match: readonly NamePattern[]
  /** Factor on the learning rate; default 1. */
  readonly learningRate?: number
  readonly weightDecay?: number
}

/**
 * The factor on each parameter's learning rate: 0 where `frozen` names its node or initializer, else the product of its groups' and of what `rates`
 * has for its initializer. Throws POLYADIC_ARGUMENT for an entry that matches nothing, and when nothing is left to train.
 */
export function rateScales(
  parameters: ParameterSources,
  frozen: readonly NamePattern[] = [],
  groups: readonly ParameterGroup[] = [],
  rates: ReadonlyMap<string, number> = new Map()
): Float32Array {
  const scales = Float32Array.from(parameters, (parameter) => (parameter === undefined || parameter.role === 'statistics' ? 0 : 1))
  if (scales.every((scale) => scale === 0))
    throw new PolyadicError('POLYADIC_UNSUPPORTED', 'graph: there are no float32 weights in it to train', { subject: 'graph' })
  for (const { match, learningRate = 1 } of groups) {
    for (const index of matching('groups', match, parameters)) scales[index] = (scales[index] as number) * learningRate
  }
  parameters.forEach((parameter, index) => {
    for (const name of parameter?.initializers ?? []) scales[index] = (scales[index] as number) * (rates.get(name) ?? 1)
  })
  for (const index of matching('frozen', frozen, parameters)) scales[index] = 0
  if (scales.every((scale) => scale === 0))
    throw new PolyadicError('POLYADIC_ARGUMENT', 'frozen: every parameter is frozen, there is nothing to train', { subject: 'frozen' })
  return scales
}

/** Weight decay a parameter: none for biases unless `decayBiases`, a group's own where it has one. */
export function weightDecays(
  parameters: ParameterSources,
  weightDecay: number,
  decayBiases: boolean,
  groups: readonly ParameterGroup[] = []
): Float32Array {
  const decays = Float32Array.from(parameters, (parameter) => (parameter?.role === 'weight' || decayBiases ? weightDecay : 0))
  for (const group of groups) {
    if (group.weightDecay === undefined) continue
    for (const index of matching('groups', group.match, parameters)) decays[index] = group.weightDecay
  }
  return decays
}

/** Parameters that each pattern names; a pattern that names none is an error. */
function matching(option: string, patterns: readonly NamePattern[], parameters: ParameterSources): Set<number> {
  const found = new Set<number>()
  for (const pattern of patterns) {
    const indices = parameters.flatMap((parameter, index) =>
      parameter !== undefined && [...parameter.nodes, ...parameter.initializers].some((name) => matches(option, pattern, name))
        ? [index]
        : []
    )
    if (indices.length === 0) throw unmatched(option, pattern, parameters)
    for (const index of indices) found.add(index)
  }
  return found
}

/** A new graph with the plan's values in place of the initializers they were made of. Frozen ones stay as they are. */
export function writeParameters(graph: Graph, parameters: ParameterSources, values: readonly Float32Array[], scales: Float32Array): Graph {
  const initializers = new Map(graph.initializers)
  parameters.forEach((parameter, index) => {
    if (parameter === undefined || (scales[index] === 0 && parameter.role !== 'statistics')) return
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

function matches(option: string, pattern: NamePattern, name: string): boolean {
  if (typeof pattern === 'string') return pattern === name
  if (!(pattern instanceof RegExp)) throw argumentError(option, 'names and regular expressions', pattern)
  // A global or sticky expression keeps a position between calls.
  return name.search(pattern) >= 0
}

function unmatched(option: string, pattern: NamePattern, parameters: ParameterSources): PolyadicError {
  const nodes = [...new Set(parameters.flatMap((parameter) => parameter?.nodes ?? []))]
  const names = [...nodes, ...parameters.flatMap((parameter) => parameter?.initializers ?? [])]
  const meant = typeof pattern === 'string' ? didYouMean(nearest(pattern, names).map(show)) : ''
  return new PolyadicError(
    'POLYADIC_ARGUMENT',
    `${option}: ${typeof pattern === 'string' ? show(pattern) : String(pattern)} matches no node or initializer with trainable weights${meant || `; nodes that have some: ${nodes.join(', ')}`}`,
    { subject: String(pattern) }
  )
}
