import type { Graph } from '../../lib/graph/graph.js'
import { NetworkBuilder } from './network-builder.js'

/** A small network and the shapes of its inputs for one run after another (the same session, so batches may change). */
export interface NetworkCase {
  readonly name: string
  readonly graph: Graph
  readonly runs: readonly (readonly (readonly number[])[])[]
}

type Dims = readonly number[]
type Build = (b: NetworkBuilder, x: string) => string

/** One input whose batch is free; runs with the batch of `dims`, then with another one. */
export function single(name: string, dims: Dims, build: Build, opset = 17): NetworkCase {
  const b = new NetworkBuilder(
    opset,
    dims.reduce((sum, dim) => sum * 31 + dim, name.length)
  )
  const output = build(b, b.input(['batch', ...dims.slice(1)]))
  const other = [(dims[0] as number) + 2, ...dims.slice(1)]
  return { name, graph: b.graph(output), runs: [[dims], [other], [dims]] }
}
