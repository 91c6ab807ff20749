import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { readOnnx } from '../onnx/read.js'
import { graphCost } from '../operators/cost.js'

/** Reads a network for a command. */
export async function loadNetwork(file: string): Promise<Graph> {
  return readOnnx(file)
}

/** Parameters and multiply-adds of a network for one example; `undefined` where shapes are open. */
export function totals(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): { parameters: number; macs: number } {
  const cost = graphCost(graph, shapes)
  return { parameters: cost.parameters, macs: cost.macs }
}

/** The one input and one output that classification needs. */
export function onlyInput(graph: Graph): string {
  const [input, ...rest] = graph.inputs
  if (input && rest.length === 0) return input.name
  throw new PolyadicError('POLYADIC_UNSUPPORTED', `the network has ${graph.inputs.length} inputs (${graph.inputs.map(({ name }) => show(name)).join(', ')}), expected one`)
}
