import type { Graph, Node } from './graph.js'

/** The values of the graph around it that something carried uninterpreted refers to: see `Attribute` of kind `opaque`. */
export function capturesOf(carried: unknown): readonly string[] {
  const captures = typeof carried === 'object' && carried !== null ? (carried as { captures?: unknown }).captures : undefined
  return Array.isArray(captures) ? captures.filter((name) => typeof name === 'string') : []
}

/** Every value that `node` needs: its inputs without the omitted ones, then what its sub-graphs use. */
export function usedValues(node: Node): string[] {
  const used = node.inputs.filter((name) => name !== '')
  for (const attribute of node.attributes.values()) {
    if (attribute.kind === 'opaque') used.push(...capturesOf(attribute.value))
  }
  return used
}

/** The values that `node` computes, without the omitted ones. */
export function producedValues(node: Node): string[] {
  return node.outputs.filter((name) => name !== '')
}

/** The values that exist before any node has run: inputs and initializers. */
export function givenValues(graph: Graph): string[] {
  const opaque = graph.opaqueInitializers?.keys() ?? []
  return [...graph.inputs.map((input) => input.name), ...graph.initializers.keys(), ...opaque]
}

/** Which node computes each value. Inputs and initializers have no producer. */
export function producers(graph: Pick<Graph, 'nodes'>): Map<string, Node> {
  const result = new Map<string, Node>()
  for (const node of graph.nodes) for (const name of producedValues(node)) result.set(name, node)
  return result
}

/** The nodes that use each value, each node once, sub-graphs' uses included. Values that only are graph outputs have none. */
export function consumers(graph: Graph): Map<string, Node[]> {
  const result = new Map<string, Node[]>()
  for (const node of graph.nodes) {
    for (const name of new Set(usedValues(node))) {
      const list = result.get(name)
      if (list === undefined) result.set(name, [node])
      else list.push(node)
    }
  }
  return result
}
