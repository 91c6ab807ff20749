import { checkRecord } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import { calledFunction, expandNode, type Expansion, expansionLimits } from '../graph/body.js'
import type { Body, Graph, GraphFunction, Node, ValueInfo } from '../graph/graph.js'
import { givenValues, producedValues, usedValues } from '../graph/values.js'
import { arrayType, checkDims, type DataType, elementCount, type Tensor } from '../tensor.js'
import { own } from '../own.js'
import { constantInputs } from './constant-inputs.js'
import { checkedCount, type InputInfo, nodeError, type NodeContext, type Operator, unsupported } from './operator.js'
import { operatorOf } from './registry.js'

/** Dims of graph inputs by name; those left out are taken from the graph, with a batch of 1 where it is not fixed. */
export type InputShapes = Readonly<Record<string, readonly number[]>>

/** Contents of the graph inputs that determine shapes or steps, by name. */
export type InputValues = Readonly<Record<string, Tensor>>

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
  readonly dtypes: ReadonlyMap<string, DataType>
  /** Initializers and what follows from constants and shapes. */
  readonly constants: ReadonlyMap<string, Tensor>
}

/**
 * Infers the dims of every value that the outputs depend on, initializers included. Throws `POLYADIC_SHAPE` for input shapes that do
 * not fit the graph, `POLYADIC_UNSUPPORTED` for operators that polyadic does not have.
 */
export function inferShapes(graph: Graph, inputShapes: InputShapes = {}, inputValues: InputValues = {}): Map<string, readonly number[]> {
  return new Map(analyse(graph, inputShapes, inputValues).dims)
}

/**
 * Computes the outputs of a node whose inputs are all constant, where the operator cannot fold it by itself; `undefined` leaves the node to the
 * plan.
 */
export type Evaluate = (analysed: AnalysedNode, dtypes: readonly DataType[]) => readonly Tensor[] | undefined

/** Shape inference, constant folding and the check that every operator is supported, in one pass. */
export function analyse(graph: Graph, inputShapes: InputShapes = {}, inputValues: InputValues = {}, evaluate?: Evaluate): Analysis {
  return new Analyser(graph, inputShapes, inputValues, evaluate).run()
}

/** Elements that a network may compute from constants and shapes besides eight for each that its initializers have: those cost the file bytes. */
const foldedBesides = 2 ** 29

class Analyser {
  readonly #graph: Graph
  readonly #evaluate: Evaluate | undefined
  readonly #live: Set<string>
  readonly #constants: Map<string, Tensor>
  readonly #dims = new Map<string, readonly number[]>()
  readonly #dtypes = new Map<string, DataType>()
  readonly #nodes: AnalysedNode[] = []
  /** Nodes that stood for others so far, and how deep in each other those are now. */
  #expanded = 0
  #depth = 0
  /** Elements that may still be computed while the plan is made. */
  #folded: number

  constructor(graph: Graph, inputShapes: InputShapes, inputValues: InputValues, evaluate: Evaluate | undefined) {
    this.#graph = graph
    this.#evaluate = evaluate
    this.#constants = distinct(graph.initializers)
    for (const [name, tensor] of graph.initializers) this.#know(name, tensor.dims, tensor.dtype)
    for (const [name, shape] of resolveInputs(graph, inputShapes)) {
      const dtype = graph.inputs.find((input) => input.name === name)?.dtype ?? 'float32'
      this.#know(name, shape, dtype)
      if (elementCount(shape) === 0) this.#constants.set(name, { dtype, dims: shape, data: new (arrayType(dtype))(0) })
    }
    for (const name of constantInputs(graph)) {
      const value = own(inputValues, name)
      if (value !== undefined) this.#constants.set(name, value)
    }
    this.#folded = [...graph.initializers.values()].reduce((sum, { dims }) => sum + 8 * elementCount(dims), foldedBesides)
    this.#live = new Set(graph.outputs.map((output) => output.name))
    addLive(graph.nodes, this.#live)
  }

  run(): Analysis {
    this.#analyseAll(this.#graph.nodes, this.#graph.opsets)
    return { nodes: this.#nodes, dims: this.#dims, dtypes: this.#dtypes, constants: this.#constants }
  }

  #know(name: string, dims: readonly number[], dtype: DataType): void {
    this.#dims.set(name, dims)
    this.#dtypes.set(name, dtype)
  }

  #analyseAll(nodes: readonly Node[], opsets: Graph['opsets']): void {
    for (const node of nodes) {
      if (!producedValues(node).some((name) => this.#live.has(name))) continue
      const called = calledFunction(this.#graph, node)
      if (called === undefined) this.#analyse(node, opsets)
      else this.#expand(node, called, called.opsets, called.attributes)
    }
  }

  /** Analyses what stands for `node`. */
  #expand(node: Node, body: Body, opsets: Graph['opsets'], attributes?: GraphFunction['attributes']): void {
    this.#expanded += body.nodes.length
    if (++this.#depth > expansionLimits.depth || this.#expanded > expansionLimits.nodes)
      throw unsupported(
        { node },
        `a body nested or repeated this often`,
        `at most ${expansionLimits.depth} levels and ${expansionLimits.nodes} nodes are`
      )
    const { nodes, initializers } = expansionOf(node, body, attributes)
    for (const [name, tensor] of initializers) {
      this.#know(name, tensor.dims, tensor.dtype)
      this.#constants.set(name, tensor)
    }
    const taken = nodes.flatMap(producedValues).find((name) => this.#dims.has(name))
    if (taken !== undefined) throw nodeError({ node }, `value ${show(taken)} is defined more than once`)
    addLive(nodes, this.#live)
    this.#analyseAll(nodes, opsets)
    this.#depth--
  }

  #analyse(node: Node, opsets: Graph['opsets']): void {
    const { operator, opset } = operatorOf(node, opsets)
    const context: NodeContext = { node, opset, inputs: node.inputs.map((name) => this.#input(node, name)) }
    const body = operator.body?.(context)
    if (body !== undefined) return this.#expand(node, body, opsets)
    const folded = operator.fold?.(context)
    const outputDims = folded?.map((tensor) => tensor.dims) ?? operator.dims(context)
    for (const own of outputDims) checkedCount(context, own)
    const first = context.inputs.find((input) => input !== undefined)?.dtype ?? 'float32'
    const dtypes = folded?.map((tensor) => tensor.dtype) ?? operator.dtypes?.(context) ?? outputDims.map(() => first)
    node.outputs.forEach((name, i) => {
      if (outputDims[i] === undefined && this.#live.has(name))
        throw unsupported(context, `the use of its output ${show(name)}`, `only its first ${outputDims.length} can be used`)
      if (outputDims[i] !== undefined && name !== '') this.#know(name, outputDims[i], dtypes[i] ?? first)
    })
    const analysed = { node, operator, context, outputDims }
    const known = folded ?? this.#empty(outputDims, dtypes) ?? this.#evaluated(analysed, dtypes)
    if (known === undefined) this.#nodes.push(analysed)
    else this.#spend(context, known)
    node.outputs.forEach((name, i) => {
      if (known?.[i] !== undefined && name !== '') this.#constants.set(name, known[i])
    })
  }

  /** Many tensors of a size that is allowed are too much even so. */
  #spend(context: NodeContext, tensors: readonly Tensor[]): void {
    this.#folded -= tensors.reduce((sum, { dims }) => sum + elementCount(dims), 0)
    if (this.#folded < 0)
      throw unsupported(
        context,
        'a network that computes so much from its constants',
        `8 elements for each of theirs and ${foldedBesides} besides`
      )
  }

  /** Tensors without elements are known. */
  #empty(dims: readonly (readonly number[])[], dtypes: readonly DataType[]): readonly Tensor[] | undefined {
    if (dims.length === 0 || dims.some((own) => elementCount(own) > 0)) return undefined
    return dims.map((own, i) => ({ dtype: dtypes[i] as DataType, dims: own, data: new (arrayType(dtypes[i] as DataType))(0) }))
  }

  #evaluated(analysed: AnalysedNode, dtypes: readonly DataType[]): readonly Tensor[] | undefined {
    const { inputs } = analysed.context
    const isConstant = inputs.length > 0 && inputs.every((input) => input === undefined || input.constant !== undefined)
    return isConstant ? this.#evaluate?.(analysed, dtypes) : undefined
  }

  #input(node: Node, name: string): InputInfo | undefined {
    if (name === '') return undefined
    const dims = this.#dims.get(name)
    if (dims !== undefined) return { name, dims, dtype: this.#dtypes.get(name) ?? 'float32', constant: this.#constants.get(name) }
    throw unsupported({ node }, `an input that is no tensor of numbers of 8 to 64 bits (${show(name)})`, 'such a tensor is needed')
  }
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

/** By node and body: what is found again by node (`evaluate`) must be the same nodes. */
const expansions = new WeakMap<Node, { readonly body: Body; readonly expansion: Expansion }>()

function expansionOf(node: Node, body: Body, attributes: GraphFunction['attributes'] | undefined): Expansion {
  const known = expansions.get(node)
  if (known?.body === body) return known.expansion
  const expansion = expandNode(node, body, attributes)
  expansions.set(node, { body, expansion })
  return expansion
}

/** Adds to `live`, of which some are outputs of `nodes`, every value that those depend on. */
function addLive(nodes: readonly Node[], live: Set<string>): void {
  for (const node of [...nodes].reverse()) {
    if (producedValues(node).some((name) => live.has(name))) for (const name of usedValues(node)) live.add(name)
  }
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
  checkRecord('inputShapes', inputShapes, 'an object of dims by input name')
  checkInputNames(graph, Object.keys(inputShapes))
  return new Map(
    graph.inputs.map((input) => {
      checkTensor(input)
      const given = own(inputShapes, input.name)
      return [input.name, given === undefined ? ownDims(input) : checkFit(input, given)]
    })
  )
}

function checkTensor(input: ValueInfo): void {
  if (input.opaque === undefined) return
  throw new PolyadicError('POLYADIC_UNSUPPORTED', `input ${show(input.name)} is no tensor of numbers; only those are supported`, {
    subject: input.name
  })
}

/** The dims given. Throws `POLYADIC_SHAPE` unless they fit what the graph says of the input. */
export function checkFit(input: ValueInfo, given: readonly number[]): readonly number[] {
  checkDims(`shape of input ${show(input.name)}`, given)
  const expected = input.dims
  const fits = expected === undefined || (expected.length === given.length && expected.every((dim, i) => !isFixed(dim) || dim === given[i]))
  if (fits && given.every((dim, i) => dim > 0 || expected?.[i] === 0)) return given
  const why = fits ? ', of which none may be 0: there is nothing to compute for an empty batch' : ''
  const message = `input ${show(input.name)}: expected ${showDims(input)}${why}, got ${given.join('×') || 'a scalar'}`
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
