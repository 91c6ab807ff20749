import { PolyadicError } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { type InputShapes, inferShapes } from '../operators/infer.js'

/**
 * The spatial extents (H, W) of each node's first input, or `undefined` where the shapes at hand do not tell: the graph
 * leaves dimensions open, or has operators that polyadic does not know, which is no reason not to compress it.
 * Throws POLYADIC_SHAPE for input shapes that were given and do not fit.
 */
export function spatialExtents(
  graph: Graph,
  nodes: readonly Node[],
  inputShapes: InputShapes | undefined
): (readonly number[] | undefined)[] {
  const known = shapesOf(graph, inputShapes)
  return nodes.map(({ inputs: [input = ''] }) => {
    const spatial = known.get(input)?.slice(2)
    return spatial?.every((extent) => typeof extent === 'number') ? (spatial as number[]) : undefined
  })
}

function shapesOf(graph: Graph, inputShapes: InputShapes | undefined): Map<string, readonly (number | string | null)[] | undefined> {
  try {
    return inferShapes(graph, inputShapes)
  } catch (error) {
    const isUnknown =
      error instanceof PolyadicError &&
      (error.code === 'POLYADIC_UNSUPPORTED' || (error.code === 'POLYADIC_SHAPE' && inputShapes === undefined))
    if (!isUnknown) throw error
    // What the exporter noted, then.
    return new Map([...graph.valueInfo, ...graph.inputs].map((value) => [value.name, value.dims]))
  }
}
