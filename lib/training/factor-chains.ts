import type { Graph, Node } from '../graph/graph.js'
import { consumers, intAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'

/** The convolutions that took a layer's place: a chain whose weights are the factors of its kernel, group by group. */
export interface FactorChain {
  /** In their order. */
  readonly nodes: readonly string[]
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
 * convolutions, no bias but the last has one, and each weight is used once. `shortest` 2: also reduce → expand, which a matrix becomes, and which
 * networks that were never decomposed may have, too.
 */
export function factorChains(graph: Graph, shortest: 2 | 3 = 3): FactorChain[] {
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
    const found = chain.length < shortest ? undefined : chainOf(graph, chain)
    return found?.factors.every(({ weight }) => users.get(weight)?.length === 1) ? [found] : []
  })
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
  if (from === undefined || to === undefined || isDepthwise(graph, last)) return undefined
  const groups = intAttribute(last, 'group', 1)
  const rank = to[1] as number
  const channels = rank * groups
  const flat = elementCount(to.slice(2)) === 1 && (from[1] === 1 || elementCount(from.slice(2)) === 1)
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
  return { nodes: chain.map(({ name }) => name), rank, groups, factors }
}
