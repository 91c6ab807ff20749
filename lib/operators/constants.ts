import { PolyadicError } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { producers } from '../graph/values.js'
import type { Tensor } from '../tensor.js'
import type { InputInfo } from './operator.js'
import { operatorOf } from './registry.js'

/** Deeper than any exporter nests what it does to weights; a limit, because files are not trusted. */
const maximumDepth = 32

/** The tensor that a value always is, if it is one. */
export type ConstantFinder = (name: string) => Tensor | undefined

/**
 * Finds the tensors that values of `graph` always have: initializers, and what follows from them (Constant nodes, casts, transposes,
 * dequantised weights, …). Gives undefined for what depends on the network's input, or on operators that are not folded.
 */
export function constantFinder(graph: Graph): ConstantFinder {
  const producer = producers(graph)
  const known = new Map<string, Tensor | undefined>(graph.initializers)
  const find = (name: string, depth: number): Tensor | undefined => {
    const node = producer.get(name)
    if (node === undefined || known.has(name)) return known.get(name)
    const outputs = depth < maximumDepth ? foldNode(graph, node, (input) => find(input, depth + 1)) : undefined
    node.outputs.forEach((output, i) => known.set(output, outputs?.[i]))
    return known.get(name)
  }
  return (name) => find(name, 0)
}

function foldNode(graph: Graph, node: Node, find: (name: string) => Tensor | undefined): readonly Tensor[] | undefined {
  const inputs: (InputInfo | undefined)[] = []
  for (const name of node.inputs) {
    const constant = name === '' ? undefined : find(name)
    if (name !== '' && constant === undefined) return undefined
    inputs.push(constant && { name, dims: constant.dims, dtype: constant.dtype, constant })
  }
  try {
    const { operator, opset } = operatorOf(node, graph.opsets)
    return operator.fold?.({ node, opset, inputs })
  } catch (error) {
    // Asking whether something is constant must not fail: whoever runs the network will say what is wrong with the node.
    if (error instanceof PolyadicError) return undefined
    throw error
  }
}
