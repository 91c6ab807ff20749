import { bodyOf } from '../graph/body.js'
import type { Graph, Node, ValueInfo } from '../graph/graph.js'
import { producers } from '../graph/values.js'
import { operators } from './registry.js'

/** Their results depend on shapes alone. */
const shapeOperators: ReadonlySet<string> = new Set(['Shape', 'Size'])

const known = new WeakMap<Graph, ReadonlySet<string>>()

/**
 * Inputs of the graph that determine shapes or steps: the shape of a Reshape, the pads of a Pad, what those are computed from. A plan is
 * made for their contents.
 */
export function constantInputs(graph: Graph): ReadonlySet<string> {
  const result = known.get(graph) ?? findConstantInputs(graph)
  known.set(graph, result)
  return result
}

function findConstantInputs(graph: Graph): ReadonlySet<string> {
  const inputs = new Set(graph.inputs.filter(isSmall).map(({ name }) => name))
  const nodes = withBodies(graph.nodes)
  const producer = producers({ nodes })
  const needed = new Set<string>()
  const stack = nodes.flatMap((node) => {
    const indices = node.domain === '' ? (operators.get(node.opType)?.constants ?? []) : []
    return indices.flatMap((index) => node.inputs[index] ?? [])
  })
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    if (name === '' || needed.has(name)) continue
    needed.add(name)
    const node = producer.get(name)
    if (node !== undefined && !shapeOperators.has(node.opType)) stack.push(...node.inputs)
  }
  return new Set([...needed].filter((name) => inputs.has(name)))
}

/** The nodes and those of their branches. */
function withBodies(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => {
    const bodies = [...node.attributes.values()].flatMap((attribute) => bodyOf(attribute)?.nodes ?? [])
    return bodies.length === 0 ? [node] : [...withBodies(bodies), node]
  })
}

/** No image: shapes, axes and scales are integers or vectors. */
function isSmall({ dtype, dims }: ValueInfo): boolean {
  return !dtype.includes('float') || (dims !== undefined && dims.length <= 1)
}
