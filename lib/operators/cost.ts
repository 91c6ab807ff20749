import { checkForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import { isFloating } from '../tensor.js'
import { analyse, type AnalysedNode, type InputShapes } from './infer.js'

export interface NodeCost {
  readonly name: string
  readonly opType: string
  /** Multiply-adds of a run at the batch of the input shapes. Only convolutions and matrix products have any. */
  readonly macs: number
  /** Weights, biases and statistics that the node reads; those shared by several nodes count at each. */
  readonly parameters: number
  readonly outputDims: readonly number[]
}

export interface Cost {
  readonly macs: number
  /** Shared ones counted once. */
  readonly parameters: number
  readonly nodes: readonly NodeCost[]
}

/** Counts multiply-adds (a convolution's exactly: N·Cout·Ho·Wo·Cin/g·kH·kW) and parameters of every node that is computed at run time. */
export function cost(graph: Graph, inputShapes: InputShapes = {}): Cost {
  checkForm(graph)
  const analysis = analyse(graph, inputShapes)
  const nodes = analysis.nodes.map(nodeCost)
  const shared = new Map(analysis.nodes.flatMap(weights))
  return {
    macs: nodes.reduce((sum, node) => sum + node.macs, 0),
    parameters: [...shared.values()].reduce((sum, count) => sum + count, 0),
    nodes
  }
}

function nodeCost(analysed: AnalysedNode): NodeCost {
  const { node, operator, context } = analysed
  const outputDims = analysed.outputDims[0] ?? []
  return {
    name: node.name,
    opType: node.opType,
    macs: operator.macs?.(context, outputDims) ?? 0,
    parameters: weights(analysed).reduce((sum, [, count]) => sum + count, 0),
    outputDims
  }
}

/** Constant float inputs that are weights: their data, by which shared ones are told, and how many values they hold. */
function weights({ operator, context }: AnalysedNode): [data: object, count: number][] {
  return (operator.parameters ?? []).flatMap((index): [object, number][] => {
    const tensor = context.inputs[index]?.constant
    return tensor !== undefined && isFloating(tensor.dtype) ? [[tensor.data, tensor.data.length]] : []
  })
}
