import { PolyadicError, show } from '../errors.js'
import type { Graph, Node } from './graph.js'
import { givenValues, producedValues, producers, usedValues } from './values.js'

/**
 * Checks what every stage may rely on: values and nodes have unique names, every value that is used exists, outputs are
 * produced, the ONNX opset is known. Returns the graph with its nodes in topological order: itself when they already were.
 * Throws `POLYADIC_GRAPH` naming the node or value.
 */
export function checkGraph(graph: Graph): Graph {
  checkUniqueNames(graph)
  checkOpset(graph)
  const known = new Set([...givenValues(graph), ...producers(graph).keys()])
  for (const node of graph.nodes) {
    const missing = usedValues(node).find((name) => !known.has(name))
    if (missing !== undefined) throw graphError(`node ${describe(node)}: input ${show(missing)} does not exist`, node.name)
  }
  for (const output of graph.outputs) {
    if (!known.has(output.name)) throw graphError(`output ${show(output.name)} is not produced by any node`, output.name)
  }
  return isSorted(graph) ? graph : { ...graph, nodes: sortNodes(graph) }
}

/**
 * The nodes in topological order, otherwise as they were: a node only moves when something it needs comes after it.
 * Throws `POLYADIC_GRAPH` naming a node of the cycle when there is one.
 */
export function sortNodes(graph: Pick<Graph, 'nodes'>): Node[] {
  const producer = producers(graph)
  const sorted: Node[] = []
  const state = new Map<Node, 'open' | 'done'>()
  for (const root of graph.nodes) {
    // An explicit stack: networks are deeper than the call stack may be.
    const stack = [root]
    for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
      if (state.has(node)) {
        stack.pop()
        if (state.get(node) === 'open') sorted.push(node)
        state.set(node, 'done')
        continue
      }
      state.set(node, 'open')
      for (const name of usedValues(node).reverse()) {
        const source = producer.get(name)
        if (source === undefined || state.get(source) === 'done') continue
        if (state.get(source) === 'open') throw graphError(`node ${describe(source)} is part of a cycle`, source.name)
        stack.push(source)
      }
    }
  }
  return sorted
}

function isSorted(graph: Graph): boolean {
  const defined = new Set(givenValues(graph))
  return graph.nodes.every((node) => {
    const isReady = usedValues(node).every((name) => defined.has(name))
    for (const name of producedValues(node)) defined.add(name)
    return isReady
  })
}

function checkUniqueNames(graph: Graph): void {
  const values = new Set<string>()
  for (const name of [...givenValues(graph), ...graph.nodes.flatMap(producedValues)]) {
    if (values.has(name)) throw graphError(`value ${show(name)} is defined more than once`, name)
    values.add(name)
  }
  const nodes = new Set<string>()
  for (const node of graph.nodes) {
    if (node.name === '') throw graphError(`a ${node.opType} node has no name`, node.opType)
    if (nodes.has(node.name)) throw graphError(`more than one node is named ${show(node.name)}`, node.name)
    nodes.add(node.name)
  }
}

function checkOpset(graph: Graph): void {
  const standard = graph.nodes.find((node) => node.domain === '')
  const opset = graph.opsets.get('')
  if (standard !== undefined && opset === undefined) {
    throw graphError(`node ${describe(standard)}: the model does not import an opset of the ONNX domain`, standard.name)
  }
  if (opset !== undefined && !(Number.isSafeInteger(opset) && opset >= 1)) {
    throw graphError(`opset of the ONNX domain: expected a positive integer, got ${show(opset)}`, 'opset')
  }
}

function describe(node: Node): string {
  return `${show(node.name)} (${node.opType})`
}

function graphError(message: string, subject: string): PolyadicError {
  return new PolyadicError('POLYADIC_GRAPH', message, { subject })
}
