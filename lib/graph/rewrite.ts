import { checkArray, checkNames, checkRecord, checkString, isString, type Names } from '../arguments.js'
import { argumentError, checkInteger, PolyadicError, show } from '../errors.js'
import { checkTensor, type Tensor } from '../tensor.js'
import type { Attribute, Graph, Node, ValueInfo } from './graph.js'
import { checkForm, checkGraph } from './check.js'
import { capturesOf, givenValues, producers, usedValues } from './values.js'

export {
  floatAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  stringsAttribute,
  tensorAttribute
} from './attributes.js'
export { consumers, producers } from './values.js'

/** A plain value stands for the attribute kind that it can only be; a number must say `int` or `float` itself. */
export type AttributeValue = Attribute | string | readonly number[] | Tensor

export interface NodeParts {
  readonly opType: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Default: the first output, which is unique in a graph as well. */
  readonly name?: string
  /** Default: '', the ONNX domain. */
  readonly domain?: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  readonly docString?: string
}

export interface GraphParts {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly nodes: readonly Node[]
  readonly initializers?: ReadonlyMap<string, Tensor>
  readonly name?: string
  /** The opset of the ONNX domain. */
  readonly opset?: number
  readonly valueInfo?: readonly ValueInfo[]
  readonly metadata?: ReadonlyMap<string, string>
  readonly docString?: string
}

export interface ReplaceOptions {
  /** Initializers that the new nodes use. */
  readonly add?: ReadonlyMap<string, Tensor>
  /** Drop initializers that only the replaced node used, and nodes that only computed something for it. Default: true. */
  readonly removeUnused?: boolean
}

const nodeParts: Names<NodeParts> = {
  opType: true,
  inputs: true,
  outputs: true,
  name: true,
  domain: true,
  attributes: true,
  docString: true
}
const graphParts: Names<GraphParts> = {
  inputs: true,
  outputs: true,
  nodes: true,
  initializers: true,
  name: true,
  opset: true,
  valueInfo: true,
  metadata: true,
  docString: true
}

const defaults = { name: 'graph', opset: 17, removeUnused: true }

/** Makes a node; string and number[] attributes become `string` and `ints` (numbers must say `int` or `float`). */
export function makeNode(parts: NodeParts): Node {
  checkRecord('parts', parts, 'an object { opType, inputs, outputs }')
  checkNames('parts', parts, nodeParts)
  checkString('parts.opType', parts.opType)
  checkArray('parts.inputs', parts.inputs, 'names of values', isString)
  checkArray('parts.outputs', parts.outputs, 'names of values', isString)
  for (const field of ['name', 'domain', 'docString'] as const) checkString(`parts.${field}`, parts[field] ?? '')
  if (parts.attributes !== undefined) checkRecord('parts.attributes', parts.attributes, 'an object of attributes by name')
  const attributes = Object.entries(parts.attributes ?? {}).map(([name, value]) => [name, toAttribute(name, value)] as const)
  return {
    name: parts.name ?? parts.outputs.find((output) => output !== '') ?? parts.opType,
    opType: parts.opType,
    domain: parts.domain ?? '',
    inputs: parts.inputs,
    outputs: parts.outputs,
    attributes: new Map(attributes),
    docString: parts.docString ?? ''
  }
}

/** `{ kind: 'int', value }`: for `makeNode({ attributes: { group: int(1) } })`. */
export function int(value: number): Attribute {
  if (!Number.isInteger(value)) throw argumentError('value', 'an integer', value)
  return { kind: 'int', value }
}

/** `{ kind: 'float', value }`: for `makeNode({ attributes: { alpha: float(0.1) } })`. */
export function float(value: number): Attribute {
  if (typeof value !== 'number') throw argumentError('value', 'a number', value)
  return { kind: 'float', value }
}

/** Makes a graph from scratch (opset 17 unless said otherwise), checked and sorted as by `checkGraph`. */
export function makeGraph(parts: GraphParts): Graph {
  checkRecord('parts', parts, 'an object { inputs, outputs, nodes }')
  checkNames('parts', parts, graphParts)
  const graph: Graph = {
    name: parts.name ?? defaults.name,
    inputs: parts.inputs,
    outputs: parts.outputs,
    nodes: parts.nodes,
    initializers: parts.initializers ?? new Map<string, Tensor>(),
    valueInfo: parts.valueInfo ?? [],
    opsets: new Map([['', parts.opset === undefined ? defaults.opset : checkInteger('parts.opset', parts.opset, 1)]]),
    metadata: parts.metadata ?? new Map<string, string>(),
    docString: parts.docString ?? ''
  }
  for (const field of ['name', 'docString'] as const) checkString(`parts.${field}`, graph[field])
  checkForm(graph, 'parts')
  return checkGraph(graph)
}

/**
 * Puts `nodes` in the place of the node called `name` and adds the initializers `add`. Shape hints of values that no longer
 * exist go; the result is checked. Throws `POLYADIC_GRAPH` for an unknown node, or when an added name is taken.
 */
export function replaceNode(graph: Graph, name: string, nodes: readonly Node[], options: ReplaceOptions = {}): Graph {
  const index = graph.nodes.findIndex((node) => node.name === name)
  const replaced = graph.nodes[index]
  if (replaced === undefined) {
    throw new PolyadicError('POLYADIC_GRAPH', `there is no node ${show(name)}`, { subject: name })
  }
  const initializers = new Map(graph.initializers)
  for (const [added, tensor] of options.add ?? []) {
    if (initializers.has(added)) {
      throw new PolyadicError('POLYADIC_GRAPH', `initializer ${show(added)} exists already`, { subject: added })
    }
    initializers.set(added, tensor)
  }
  let result: Graph = { ...graph, nodes: graph.nodes.toSpliced(index, 1, ...nodes), initializers }
  if (options.removeUnused ?? defaults.removeUnused) result = dropSources(result, usedValues(replaced))
  const before = valueNames(graph)
  const remaining = valueNames(result)
  const valueInfo = graph.valueInfo.filter((info) => !before.has(info.name) || remaining.has(info.name))
  return checkGraph({ ...result, valueInfo })
}

/** Drops the initializers and nodes that give `values`, and what those were made from, as far as nothing uses them any more. */
function dropSources(graph: Graph, values: readonly string[]): Graph {
  const counts = useCounts(graph)
  const producer = producers(graph)
  const initializers = new Map(graph.initializers)
  const dropped = new Set<Node>()
  const waiting = [...values]
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if ((counts.get(name) ?? 0) > 0) continue
    initializers.delete(name)
    const node = producer.get(name)
    if (node === undefined || dropped.has(node) || node.outputs.some((output) => (counts.get(output) ?? 0) > 0)) continue
    dropped.add(node)
    for (const used of usedValues(node)) {
      counts.set(used, (counts.get(used) ?? 0) - 1)
      waiting.push(used)
    }
  }
  return { ...graph, nodes: graph.nodes.filter((node) => !dropped.has(node)), initializers }
}

/** How often each value is used: by nodes (once an input), as a graph output, or by something that is only carried. */
function useCounts(graph: Graph): Map<string, number> {
  const counts = new Map<string, number>()
  const outputs = graph.outputs.map((output) => output.name)
  for (const name of [...graph.nodes.flatMap(usedValues), ...outputs, ...capturesOf(graph.carried)]) {
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

/** Drops every initializer that neither a node (sub-graphs included) nor a graph output uses. */
export function removeUnusedInitializers(graph: Graph): Graph {
  return dropUnused(graph, new Set(graph.initializers.keys()))
}

function dropUnused(graph: Graph, candidates: ReadonlySet<string>): Graph {
  const outputs = graph.outputs.map((output) => output.name)
  const used = new Set([...graph.nodes.flatMap(usedValues), ...outputs, ...capturesOf(graph.carried)])
  const kept = [...graph.initializers].filter(([name]) => used.has(name) || !candidates.has(name))
  return kept.length === graph.initializers.size ? graph : { ...graph, initializers: new Map(kept) }
}

/** Every name that values of `graph` have, and that its sub-graphs refer to. */
export function valueNames(graph: Graph): Set<string> {
  const names = new Set(givenValues(graph))
  for (const node of graph.nodes) {
    for (const name of [...usedValues(node), ...node.outputs]) names.add(name)
  }
  names.delete('')
  return names
}

/**
 * A name that is neither a value nor a node of `graph` (nor in the set): `base`, or `base_1`, `base_2`, ….
 * A set given is not added to; take the name before asking for the next.
 */
export function freshName(taken: Graph | ReadonlySet<string>, base: string): string {
  const names = 'has' in taken ? taken : new Set([...valueNames(taken), ...taken.nodes.map((node) => node.name)])
  if (!names.has(base)) return base
  for (let i = 1; ; i++) {
    const name = `${base}_${i}`
    if (!names.has(name)) return name
  }
}

function toAttribute(name: string, value: AttributeValue): Attribute {
  const subject = `parts.attributes.${name}`
  if (typeof value === 'string') return { kind: 'string', value }
  if (Array.isArray(value)) {
    checkArray(subject, value, 'integers', Number.isInteger)
    return { kind: 'ints', value: value as readonly number[] }
  }
  checkRecord(subject, value, 'an attribute (int(1) or float(0.5), say), a string, an array of integers or a tensor')
  const object = value as Attribute | Tensor
  if ('kind' in object) return object
  checkTensor(subject, object)
  return { kind: 'tensor', value: object }
}
