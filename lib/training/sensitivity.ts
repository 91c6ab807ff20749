import type { Graph, Node } from '../graph/graph.js'
import { consumers, intAttribute } from '../graph/rewrite.js'
import type { NativeSensitivity } from '../native/binding.js'
import { elementCount, type FloatTensor, floatTensor } from '../tensor.js'
import type { ParameterSources } from './parameters.js'

/** The convolutions that took a layer's place: a chain whose weights are the factors of its kernel, group by group. */
interface FactorChain {
  readonly rank: number
  readonly groups: number
  readonly factors: readonly {
    readonly weight: string
    /** Component (group·rank + r) of each weight in its order. */
    readonly component: Int32Array
    /** Rows of the factor matrix of one group. */
    readonly extent: number
  }[]
}

/**
 * Finds chains reduce 1×1 → depthwise … → expand 1×1 (or without the reduce, for one channel a group) in which nothing lies between the
 * convolutions, no bias but the last has one, and each weight is used once.
 */
export function factorChains(graph: Graph): FactorChain[] {
  const users = consumers(graph)
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const next = (node: Node): Node | undefined => {
    const [value = ''] = node.outputs
    const after = users.get(value) ?? []
    return after.length === 1 && !outputs.has(value) && after[0]?.opType === 'Conv' && after[0].inputs[0] === value ? after[0] : undefined
  }
  return graph.nodes.flatMap((node) => {
    if (node.opType !== 'Conv' || isDepthwise(graph, node) || node.inputs[2]) return []
    const chain = [node]
    for (let at = next(node); at !== undefined; at = next(at)) {
      chain.push(at)
      if (!isDepthwise(graph, at) || at.inputs[2]) break
    }
    const found = chainOf(graph, chain)
    return found?.factors.every(({ weight }) => users.get(weight)?.length === 1) ? [found] : []
  })
}

/** Penalties of all chains whose factors the plan has as parameters, each times `weight`. */
export function sensitivities(graph: Graph, parameters: ParameterSources, weight: number): NativeSensitivity[] {
  if (weight === 0) return []
  const indexOf = (name: string): number => parameters.findIndex((parameter) => parameter?.initializers.includes(name))
  return factorChains(graph).flatMap(({ rank, groups, factors }) => {
    const found = factors.map(({ weight: name, component, extent }) => ({ parameter: indexOf(name), component, extent }))
    return found.some(({ parameter }) => parameter < 0) ? [] : [{ weight, components: rank * groups, factors: found }]
  })
}

/** The CP sensitivity of all chains together: Σ over components and factors of a factor's rows times the squared norms of the others. */
export function sensitivityOf(graph: Graph): number {
  let sum = 0
  for (const { rank, groups, factors } of factorChains(graph)) {
    const squares = squaredNorms(graph, rank * groups, factors)
    factors.forEach(({ extent }, n) => {
      for (let r = 0; r < rank * groups; r++)
        sum += extent * squares.reduce((product, square, other) => (other === n ? product : product * (square[r] as number)), 1)
    })
  }
  return sum
}

/** ‖f_r‖² of each factor's components. */
function squaredNorms(graph: Graph, components: number, factors: FactorChain['factors']): Float64Array[] {
  return factors.map(({ weight, component }) => {
    const { data } = graph.initializers.get(weight) as FloatTensor
    const squares = new Float64Array(components)
    component.forEach((r, i) => {
      squares[r] = (squares[r] as number) + (data[i] as number) ** 2
    })
    return squares
  })
}

/**
 * The graph with the weight of each component spread evenly over its chain: the network computes the same, and no layer of a chain is much
 * stiffer than the others.
 */
export function balanceFactors(graph: Graph): Graph {
  const initializers = new Map(graph.initializers)
  for (const { rank, groups, factors } of factorChains(graph)) {
    const tensors = factors.map(({ weight }) => graph.initializers.get(weight) as FloatTensor)
    const norms = squaredNorms(graph, rank * groups, factors).map((squares) => squares.map(Math.sqrt))
    const mean = Float64Array.from({ length: rank * groups }, (_, r) =>
      norms.some((norm) => norm[r] === 0) ? 0 : Math.exp(norms.reduce((sum, norm) => sum + Math.log(norm[r] as number), 0) / norms.length)
    )
    factors.forEach(({ weight, component }, n) => {
      const { data, dims } = tensors[n] as FloatTensor
      // A component with a factor of zeros stays as it is: it contributes nothing, but gradients may revive it.
      const scale = mean.map((value, r) => (value === 0 ? 1 : value / (norms[n]?.[r] as number)))
      initializers.set(
        weight,
        floatTensor(
          data.map((value, i) => value * (scale[component[i] as number] as number)),
          dims
        )
      )
    })
  }
  return { ...graph, initializers }
}

function isDepthwise(graph: Graph, node: Node): boolean {
  const dims = weightDims(graph, node)
  return dims !== undefined && dims[1] === 1 && intAttribute(node, 'group', 1) === dims[0] && dims[0] > 1
}

function weightDims(graph: Graph, node: Node): readonly number[] | undefined {
  const tensor = graph.initializers.get(node.inputs[1] ?? '')
  return node.opType === 'Conv' && tensor?.dtype === 'float32' ? tensor.dims : undefined
}

function chainOf(graph: Graph, chain: readonly Node[]): FactorChain | undefined {
  const [first, last] = [chain[0] as Node, chain.at(-1) as Node]
  const [from, to] = [weightDims(graph, first), weightDims(graph, last)]
  if (chain.length < 3 || from === undefined || to === undefined || isDepthwise(graph, last)) return undefined
  const groups = intAttribute(last, 'group', 1)
  const rank = to[1] as number
  const channels = rank * groups
  const flat = elementCount(to.slice(2)) === 1 && elementCount(from.slice(2)) === 1
  if (!flat || from[0] !== channels || intAttribute(first, 'group', 1) !== groups) return undefined
  const outputs = (to[0] as number) / groups
  const factors = chain.map((node, n) => {
    const dims = weightDims(graph, node) as readonly number[]
    const row = elementCount(dims.slice(1))
    const component = Int32Array.from({ length: elementCount(dims) }, (_, i) =>
      n < chain.length - 1 ? Math.floor(i / row) : Math.floor(i / row / outputs) * rank + (i % rank)
    )
    return { weight: node.inputs[1] as string, component, extent: n < chain.length - 1 ? row : outputs }
  })
  return { rank, groups, factors }
}
