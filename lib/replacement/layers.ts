import { PolyadicError } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import { inlineCalls } from '../graph/inline.js'
import { constantFinder } from '../operators/constants.js'
import { fullRank } from './exact.js'
import { type ReplacementForm, kernelShape } from './kernel-tensor.js'
import { isLayer, readLayer } from './layer.js'

/** A layer that `compress` can replace. */
export interface CompressibleLayer {
  readonly name: string
  readonly operator: string
  /** Cout × Cin/groups × spatial extents; outputs × inputs of a matrix product. */
  readonly kernel: readonly number[]
  readonly groups: number
  readonly form: ReplacementForm
  /** The rank from which on its decomposition is exact. */
  readonly fullRank: number
  /** Weights, without the bias. */
  readonly parameters: number
}

/**
 * The layers of `model` that `compress` can replace, in the order of its nodes: those whose weights are constant, finite and no mere vector.
 * Those in functions of the model's own are named after the call: `block1/conv`.
 */
export function compressibleLayers(model: Graph): readonly CompressibleLayer[] {
  checkForm(model, 'model')
  const graph = inlineCalls(model, isLayer)
  const constant = constantFinder(graph)
  return graph.nodes.filter(isLayer).flatMap((node) => {
    try {
      const layer = readLayer(graph, node, constant)
      const { dims, form } = kernelShape(layer)
      const kernel = [layer.outputs, layer.inputsPerGroup, ...layer.spec.kernel]
      const { groups } = layer.spec
      return [{ name: node.name, operator: node.opType, kernel, groups, form, fullRank: fullRank(dims), parameters: layer.weight.length }]
    } catch (error) {
      if (error instanceof PolyadicError) return []
      throw error
    }
  })
}
