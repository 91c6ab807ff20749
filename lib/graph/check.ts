import { checkArray, checkRecord, isRecord, isString } from '../arguments.js'
import { argumentError, PolyadicError, show } from '../errors.js'
import { areDims, elementCount, isDataOf, isDataType, type Tensor } from '../tensor.js'
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
 * Throws `POLYADIC_ARGUMENT` naming the field unless `graph` has the form of one: what every public function asks of the network that it is
 * given before it looks at anything else. Whether its values and nodes belong together is for `checkGraph` to say.
 */
export function checkForm(graph: unknown, name = 'graph'): asserts graph is Graph {
  checkRecord(name, graph, 'a Graph, as readOnnx and makeGraph give')
  checkInfos(`${name}.inputs`, graph.inputs)
  checkInfos(`${name}.outputs`, graph.outputs)
  checkInfos(`${name}.valueInfo`, graph.valueInfo)
  checkArray(`${name}.nodes`, graph.nodes, 'nodes, as makeNode gives', isNode)
  for (const field of ['initializers', 'opsets', 'metadata'] as const) {
    if (!isMap(graph[field])) throw argumentError(`${name}.${field}`, 'a Map', graph[field])
  }
  for (const [key, tensor] of graph.initializers as ReadonlyMap<string, unknown>) {
    if (!isTensor(tensor)) throw argumentError(`${name}.initializers: ${show(key)}`, 'a tensor { dtype, dims, data }', tensor)
    checkTensorData(tensor, `initializer ${show(key)}`)
  }
}

function checkInfos(name: string, infos: unknown): void {
  const isInfo = (info: unknown): boolean => isRecord(info) && isString(info.name) && (info.dims === undefined || Array.isArray(info.dims))
  checkArray(name, infos, 'values { name, dtype, dims }', isInfo)
}

function isNode(node: unknown): boolean {
  if (!isRecord(node) || !isString(node.name) || !isString(node.opType) || !isString(node.domain) || !isMap(node.attributes)) return false
  return [node.inputs, node.outputs].every((names) => Array.isArray(names) && names.every(isString))
}

function isTensor(tensor: unknown): tensor is Tensor {
  return isRecord(tensor) && isString(tensor.dtype) && Array.isArray(tensor.dims) && ArrayBuffer.isView(tensor.data)
}

/** Throws `POLYADIC_GRAPH` about `label` unless a tensor of a network has as many elements as its dims say, of its type. */
export function checkTensorData({ dtype, dims, data }: Tensor, label: string): void {
  const fail = (what: string): PolyadicError => graphError(`${label}: ${what}`, label)
  if (!isDataType(dtype)) throw fail(`unknown data type ${show(dtype)}`)
  if (!isDataOf(dtype, data)) throw fail(`${dtype} data cannot be ${show(data)}`)
  if (!areDims(dims)) throw fail(`dims ${show(dims)} are not all non-negative integers`)
  const count = elementCount(dims)
  if (count !== data.length) throw fail(`dims ${show(dims)} hold ${count} elements, got ${data.length}`)
}

function isMap(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Map]'
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
