import type { Graph } from '../graph/graph.js'
import { someStages } from './factors-to-convs.js'
import type { LayerReport } from './layer-report.js'
import type { CompressOptions } from './options.js'
import { checkCompression } from './plan.js'
import { replaceLayer } from './rebuild.js'

/** A network with chains of whatever weights and rank, and which nodes are in the place of which layer. */
export interface Outline {
  readonly graph: Graph
  readonly layers: readonly Pick<LayerReport, 'name' | 'nodes'>[]
}

/** Matrices of a single number would be no weights. */
const rank = 2

/**
 * What `compress` makes of a network if it replaces every layer, without decomposing anything: for who wants to know beforehand which nodes and weights
 * there will be. Throws as `compress` does before it computes anything.
 */
export function outline(model: Graph, options: CompressOptions): Outline {
  const { prepared, tasks } = checkCompression(model, options)
  let graph = prepared
  const layers = tasks.map(({ layer, shape }) => {
    const replaced = replaceLayer(graph, { layer, stages: someStages(layer, shape, rank) })
    graph = replaced.graph
    return { name: layer.node.name, nodes: replaced.nodes }
  })
  return { graph, layers }
}
