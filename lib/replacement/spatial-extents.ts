import { PolyadicError } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { type InputShapes, inferShapes } from '../operators/infer.js'

/** As a graph states them: a free dimension has a name or nothing. */
export type Dims = readonly (number | string | null)[]

/**
 * The spatial extents (H, W) of each node's first input (of a matrix product the rows an example has), or `undefined` where the shapes at hand do not tell: the graph
 * leaves dimensions open, or has operators that polyadic does not know, which is no reason not to compress it.
 * Throws POLYADIC_SHAPE for input shapes that were given and do not fit.
 */
export function spatialExtents(
  graph: Graph,
  nodes: readonly Node[],
  inputShapes: InputShapes | undefined
): (readonly number[] | undefined)[] {
  const known = knownShapes(graph, inputShapes)
  return nodes.map(({ opType, inputs: [input = ''] }) => {
    const dims = known.get(input)
    const spatial = opType === 'Conv' ? dims?.slice(2) : dims?.slice(1, -1)
    return spatial?.every((extent) => typeof extent === 'number') ? (spatial as number[]) : undefined
  })
}

/** The dims of the graph's values, as far as they can be told. Errors as of `spatialExtents`. */
export function knownShapes(graph: Graph, inputShapes: InputShapes | undefined): Map<string, Dims | undefined> {
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
