import type { Graph, Node } from '../graph/graph.js'

/** Shapes of graph inputs by name, batch first. */
export type InputShapes = Readonly<Record<string, readonly number[]>>

/** The spatial extents (H, W) of each node's first input, or `undefined` where the shapes at hand do not tell. */
export function spatialExtents(graph: Graph, nodes: readonly Node[], inputShapes: InputShapes = {}): (readonly number[] | undefined)[] {
  const hints = new Map([...graph.valueInfo, ...graph.inputs].map((value) => [value.name, value.dims]))
  return nodes.map((node) => {
    const [input = ''] = node.inputs
    const spatial = (inputShapes[input] ?? hints.get(input))?.slice(2)
    return spatial?.every((extent) => typeof extent === 'number') ? (spatial as number[]) : undefined
  })
}
