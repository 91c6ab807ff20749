import { PolyadicError, show } from '../errors.js'
import type { Graph, Node, ValueInfo } from '../graph/graph.js'
import { givenValues, producedValues, usedValues } from '../graph/values.js'
import { checkDims, type Tensor } from '../tensor.js'
import { type InputInfo, type NodeContext, type Operator, unsupported } from './operator.js'
import { operatorOf } from './registry.js'

/** Dims of graph inputs by name; those left out are taken from the graph, with a batch of 1 where it is not fixed. */
export type InputShapes = Readonly<Record<string, readonly number[]>>

export interface AnalysedNode {
  readonly node: Node
  readonly operator: Operator
  readonly context: NodeContext
  readonly outputDims: readonly (readonly number[])[]
}

/** A graph with every shape known. */
export interface Analysis {
  /** What has to be computed at run time: neither folded away nor without effect on the outputs. */
  readonly nodes: readonly AnalysedNode[]
  readonly dims: ReadonlyMap<string, readonly number[]>
  /** Initializers and what follows from constants and shapes. */
  readonly constants: ReadonlyMap<string, Tensor>
}

/**
 * Infers the dims of every value that the outputs depend on, initializers included. Throws `POLYADIC_SHAPE` for input shapes that do
 * not fit the graph, `POLYADIC_UNSUPPORTED` for operators that polyadic does not have.
 */
export function inferShapes(graph: Graph, inputShapes: InputShapes = {}): Map<string, readonly number[]> {
  return new Map(analyse(graph, inputShapes).dims)
}

/** Shape inference, constant folding and the check that every operator is supported, in one pass. */
export function analyse(graph: Graph, inputShapes: InputShapes = {}): Analysis {
  const constants = distinct(graph.initializers)
  const dims = new Map<string, readonly number[]>([...graph.initializers].map(([name, tensor]) => [name, tensor.dims]))
  for (const [name, shape] of resolveInputs(graph, inputShapes)) dims.set(name, shape)
  const live = liveValues(graph)
  const nodes: AnalysedNode[] = []
  for (const node of graph.nodes) {
    if (!producedValues(node).some((name) => live.has(name))) continue
    const { operator, opset } = operatorOf(node, graph.opsets)
    const context: NodeContext = { node, opset, inputs: node.inputs.map((name) => inputInfo(node, name, dims, constants)) }
    const folded = operator.fold?.(context)
    const outputDims = folded?.map((tensor) => tensor.dims) ?? operator.dims(context)
    node.outputs.forEach((name, i) => {
      const own = outputDims[i]
      if (own === undefined && live.has(name))
        throw unsupported(context, `the use of its output ${show(name)}`, `only its first ${outputDims.length} can be used`)
      if (own !== undefined && name !== '') dims.set(name, own)
      if (folded?.[i] !== undefined && name !== '') constants.set(name, folded[i])
    })
    if (folded === undefined) nodes.push({ node, operator, context, outputDims })
  }
  return { nodes, dims, constants }
}

/** The initializers, each with a data object of its own, by which a parameter is told: two may have been made from one array. */
function distinct(initializers: Graph['initializers']): Map<string, Tensor> {
  const seen = new Set<object>()
  return new Map(
    [...initializers].map(([name, tensor]) => {
      if (seen.has(tensor.data)) return [name, { ...tensor, data: tensor.data.subarray() }]
      seen.add(tensor.data)
      return [name, tensor]
    })
  )
}

function inputInfo(
  node: Node,
  name: string,
  dims: ReadonlyMap<string, readonly number[]>,
  constants: ReadonlyMap<string, Tensor>
): InputInfo | undefined {
  if (name === '') return undefined
  const shape = dims.get(name)
  if (shape !== undefined) return { name, dims: shape, constant: constants.get(name) }
  throw unsupported({ node }, `input ${show(name)}, which is no tensor of numbers`, 'a tensor is needed')
}

/** Every value that the outputs depend on. */
function liveValues(graph: Graph): Set<string> {
  const live = new Set(graph.outputs.map((output) => output.name))
  for (const node of [...graph.nodes].reverse()) {
    if (producedValues(node).some((name) => live.has(name))) for (const name of usedValues(node)) live.add(name)
  }
  return live
}

/** Throws `POLYADIC_SHAPE` unless every name is an input of the graph, with the list of those. */
export function checkInputNames(graph: Graph, names: readonly string[]): void {
  const known = graph.inputs.map((input) => input.name)
  const stranger = names.find((name) => !known.includes(name))
  if (stranger === undefined) return
  const also = givenValues(graph).includes(stranger) ? ' (it is an initializer)' : ''
  throw new PolyadicError('POLYADIC_SHAPE', `input ${show(stranger)} does not exist${also}; the inputs are ${known.map(show).join(', ')}`, {
    subject: stranger
  })
}

/** The dims of every graph input: those given where they fit, else the graph's own. */
export function resolveInputs(graph: Graph, inputShapes: InputShapes): Map<string, readonly number[]> {
  checkInputNames(graph, Object.keys(inputShapes))
  return new Map(
    graph.inputs.map((input) => {
      checkFloat(input)
      const given = Object.hasOwn(inputShapes, input.name) ? inputShapes[input.name] : undefined
      return [input.name, given === undefined ? ownDims(input) : checkFit(input, given)]
    })
  )
}

function checkFloat(input: ValueInfo): void {
  if (input.dtype === 'float32' && input.opaque === undefined) return
  const type = input.opaque === undefined ? input.dtype : 'something else than a tensor'
  throw new PolyadicError('POLYADIC_UNSUPPORTED', `input ${show(input.name)} is ${type}; float32 tensors are supported`, {
    subject: input.name
  })
}

function checkFit(input: ValueInfo, given: readonly number[]): readonly number[] {
  checkDims(`shape of input ${show(input.name)}`, given)
  const expected = input.dims
  const fits = expected === undefined || (expected.length === given.length && expected.every((dim, i) => !isFixed(dim) || dim === given[i]))
  if (fits && given.every((dim) => dim > 0)) return given
  const message = `input ${show(input.name)}: expected ${showDims(input)}, got ${given.join('×') || 'a scalar'}`
  throw new PolyadicError('POLYADIC_SHAPE', message, { subject: input.name })
}

/** Some exporters write 0 or −1 for a dimension that is free. */
export function isFixed(dim: number | string | null): dim is number {
  return typeof dim === 'number' && dim > 0
}

function ownDims(input: ValueInfo): readonly number[] {
  const dims = input.dims?.map((dim, axis) => (isFixed(dim) ? dim : axis === 0 ? 1 : undefined))
  if (dims?.every((dim) => dim !== undefined)) return dims
  throw new PolyadicError('POLYADIC_SHAPE', `input ${show(input.name)}: its shape ${showDims(input)} is not fixed; give inputShapes`, {
    subject: input.name
  })
}

/** `batch×3×?×224`: what a graph says of an input. */
export function showDims(input: ValueInfo): string {
  if (input.dims === undefined) return 'any rank'
  return input.dims.map((dim) => (typeof dim === 'string' || isFixed(dim) ? dim : '?')).join('×') || 'a scalar'
}
