import { PolyadicError, show } from '../errors.js'
import type { Body, Node } from '../graph/graph.js'
import type { PlanStep, PlanValue } from '../runtime/plan-spec.js'
import { asFloatTensor, asIntegers, type DataType, elementCount, type Tensor } from '../tensor.js'
import type { Dense } from './dense.js'

/** What is known of a node's input before anything has run. */
export interface InputInfo {
  readonly name: string
  readonly dims: readonly number[]
  /** Its ONNX type. In a plan every value is float32. */
  readonly dtype: DataType
  /** The value itself where it is an initializer or follows from shapes. */
  readonly constant: Tensor | undefined
}

/** A node with what its operator needs to judge it. */
export interface NodeContext {
  readonly node: Node
  readonly opset: number
  /** `undefined` marks an omitted optional input. */
  readonly inputs: readonly (InputInfo | undefined)[]
}

/**
 * Where a value of the network lives in a plan. Without a view it is the plan value's elements in row-major order (of a blocked one:
 * N×C×H×W), whatever dims ONNX gives them. Views are no steps of their own: the next node takes them over, or has them copied.
 */
export interface ValueRef {
  readonly value: number
  readonly view?: ChannelView | PaddedView | StridedView
}

/** Of a dense value: its element (i0, i1, …), by ONNX's dims, is at offset + Σ i·stride. */
export interface StridedView {
  readonly kind: 'strided'
  readonly offset: number
  readonly strides: readonly number[]
}

/** Channels start, start + step, … of the plan value. */
export interface ChannelView {
  readonly kind: 'channels'
  readonly start: number
  readonly step: number
  readonly count: number
}

/** The plan value with a border of `fill`; pads are [top, left, bottom, right]. */
export interface PaddedView {
  readonly kind: 'padded'
  readonly pads: readonly [number, number, number, number]
  readonly fill: number
}

type WithoutOutput<S> = S extends { readonly output: number } ? Omit<S, 'output'> : never

/** A step before its output has been given a place. */
export type NewStep = WithoutOutput<PlanStep>

/** What a training plan does that inference does not. */
export interface TrainingMode {
  /** Whether batch normalisation uses the batch's statistics, or the running ones as they are. */
  readonly batchStatistics: boolean
  readonly dropout: boolean
}

/** What an operator writes its steps to; `compile` implements it. */
export interface PlanWriter {
  /** `undefined` in inference. */
  readonly training: TrainingMode | undefined
  /** Input `index` of the node as it is, views included. */
  ref(index: number): ValueRef
  /**
   * Input `index` as a blocked value whose shape is that of the input, which must have two to four dims: converted where it is a view or
   * dense.
   */
  blocked(index: number): number
  /** Whether `blocked` needs no conversion. */
  isBlocked(index: number): boolean
  /** Input `index` as a dense value, through a view where it has one. */
  dense(index: number): Dense
  /** The elements in row-major order from the beginning of a dense value: copied where they are not. */
  contiguous(value: Dense): Dense
  /** A constant as a dense value. */
  constant(tensor: Tensor): Dense
  /** A dense value, row-major, as a blocked one. */
  toBlocked(value: Dense, shape: PlanValue): number
  /** A step whose output is dense. */
  emitDense(step: NewStep, dims: readonly number[]): Dense
  shape(value: number): PlanValue
  /** Another view of a graph input with the shape asked for, or `undefined` when `value` is computed. */
  reshapedInput(value: number, shape: PlanValue): number | undefined
  /** The parameter that has the elements of `tensor` in its order. One initializer is one parameter, however many nodes use it. */
  parameter(tensor: Tensor): number
  /** The parameter that holds `tensor`, a rows×columns matrix, transposed. */
  transposed(tensor: Tensor): number
  /** A parameter that is an initializer but is not trained by gradients: running statistics. */
  statistics(tensor: Tensor): number
  /** A parameter that was computed from initializers: never trained. */
  derived(data: Float32Array): number
  emit(step: NewStep, shape: PlanValue): ValueRef
}

/** All that polyadic knows of an ONNX operator. */
export interface Operator {
  readonly opType: string
  /** First and last opset whose meaning is implemented. */
  readonly opsets: readonly [first: number, last: number]
  /** Training passes through every operator. `zero`: nothing before it learns, as its results are constant but for jumps. */
  readonly gradient?: 'zero'
  /** Inputs whose values determine shapes or steps: a plan is made for their contents. */
  readonly constants?: readonly number[]
  /** What of the specification is not done, for the documentation. */
  readonly limits?: string
  /** ONNX types of the outputs. Default: that of the first input. */
  dtypes?(context: NodeContext): readonly DataType[]
  /** Inputs that hold weights where they are constant: what `cost` counts as parameters. */
  readonly parameters?: readonly number[]
  /** Those among them that are biases though they are no vectors: weight decay leaves them alone. */
  readonly biases?: readonly number[]
  /** Dims of each output. Throws `POLYADIC_SHAPE` when the inputs do not fit. */
  dims(context: NodeContext): readonly (readonly number[])[]
  /** The outputs where they follow from constants and shapes alone. */
  fold?(context: NodeContext): readonly Tensor[] | undefined
  /** What stands for the node where its inputs decide that: nodes in the place of `dims` and `lower`. */
  body?(context: NodeContext): Body | undefined
  /** Multiply-adds of a run. */
  macs?(context: NodeContext, outputDims: readonly number[]): number
  /** Writes the steps that compute the outputs; returns one ref an output. */
  lower(context: NodeContext, plan: PlanWriter): readonly ValueRef[]
}

/** The newest opset of the ONNX domain whose operator definitions were read for this version. */
export const newestOpset = 28

/** The range of an operator that means the same from the oldest opset that is supported to the newest. */
export const allOpsets = [6, newestOpset] as const

/** The range of one that never changed. */
export const everyOpset = [1, newestOpset] as const

/** `node "conv1" (Conv, opset 13)`: how messages name a node. */
export function nodeTitle(context: { readonly node: Node; readonly opset?: number }): string {
  const opset = context.opset === undefined ? '' : `, opset ${context.opset}`
  return `node ${show(context.node.name)} (${context.node.opType}${opset})`
}

/** `POLYADIC_UNSUPPORTED`: what the node asks for, then what would be needed instead. */
export function unsupported(context: { readonly node: Node; readonly opset?: number }, found: string, needed: string): PolyadicError {
  const message = `${nodeTitle(context)}: ${found} is not supported; ${needed}`
  return new PolyadicError('POLYADIC_UNSUPPORTED', message, { subject: context.node.name })
}

/** `POLYADIC_SHAPE`: the node's inputs do not fit it. */
export function shapeError(context: { readonly node: Node; readonly opset?: number }, message: string): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${nodeTitle(context)}: ${message}`, { subject: context.node.name })
}

/** `POLYADIC_GRAPH`: the node contradicts the ONNX specification. */
export function nodeError(context: { readonly node: Node; readonly opset?: number }, message: string): PolyadicError {
  return new PolyadicError('POLYADIC_GRAPH', `${nodeTitle(context)}: ${message}`, { subject: context.node.name })
}

/** Input `index`, which the specification requires. */
export function requiredInput(context: NodeContext, index: number): InputInfo {
  const input = context.inputs[index]
  if (input === undefined) throw nodeError(context, `input ${index} is missing`)
  return input
}

/** The constant value of input `index`; `undefined` when it is omitted, `POLYADIC_UNSUPPORTED` when it is computed. */
export function constantInput(context: NodeContext, index: number, what: string): Tensor | undefined {
  const input = context.inputs[index]
  if (input === undefined) return undefined
  if (input.constant !== undefined) return input.constant
  throw unsupported(
    context,
    `a ${what} that is computed (${show(input.name)})`,
    'it must be an initializer, an input or follow from shapes'
  )
}

/** As `constantInput`, for a required input of floating-point numbers: as float32. */
export function floatInput(context: NodeContext, index: number, what: string): Tensor {
  requiredInput(context, index)
  const tensor = constantInput(context, index, what) as Tensor
  const floats = asFloatTensor(tensor)
  if (floats !== undefined) return floats
  throw unsupported(context, `a ${what} of type ${tensor.dtype}`, 'floating-point numbers are needed')
}

/** As `constantInput`, for integers. */
export function integersInput(context: NodeContext, index: number, what: string): number[] | undefined {
  const tensor = constantInput(context, index, what)
  return tensor === undefined ? undefined : asIntegers(tensor, context.node.inputs[index] ?? what)
}

/** Elements of a tensor that a plan can hold: native code counts in 32 bits. */
const maximumElements = 2 ** 31 - 1

/**
 * Elements of a tensor that is computed while a plan is made: files are not trusted, and a few bytes may ask for terabytes. The largest
 * layers that are known, VGG's first after its convolutions, have 1.03e8.
 */
export const maximumFolded = 2 ** 28

/** How many elements tensors of `dims` have. Throws `POLYADIC_SHAPE` for dims that are none, `POLYADIC_UNSUPPORTED` for more than `most`. */
export function checkedCount(context: NodeContext, dims: readonly number[], most = maximumElements): number {
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) throw shapeError(context, `an output of shape ${show(dims)}`)
  const count = elementCount(dims)
  if (count <= most) return count
  throw unsupported(context, `an output of ${dims.join('×')}`, `at most ${most} elements can be`)
}

/** An axis counted from the end where negative, checked against the rank. */
export function axisOf(context: NodeContext, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis
  if (Number.isInteger(axis) && resolved >= 0 && resolved < rank) return resolved
  throw nodeError(context, `axis ${axis} does not exist in a tensor of ${rank} dimensions`)
}

/** The plan's shape for ONNX dims: N×C, N×C×L (H = 1, W = L) or N×C×H×W; `undefined` for other ranks. */
export function planShape(dims: readonly number[]): PlanValue | undefined {
  if (dims.length < 2 || dims.length > 4) return undefined
  const [n = 1, c = 1, ...spatial] = dims
  const [h, w] = [spatial.at(-2) ?? 1, spatial.at(-1) ?? 1]
  return { n, c, h, w }
}

export function sameShape(a: PlanValue, b: PlanValue): boolean {
  return a.n === b.n && a.c === b.c && a.h === b.h && a.w === b.w && a.dense === b.dense
}

export function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i])
}

/** Emits a step whose output has the dims that the operator's shape rule gave. */
export function emitShaped(
  context: NodeContext,
  plan: PlanWriter,
  step: NewStep,
  dims: readonly number[] | undefined
): readonly ValueRef[] {
  const shape = dims === undefined ? undefined : planShape(dims)
  if (shape === undefined) throw unsupported(context, `an output of shape ${show(dims)}`, 'N×C, N×C×L or N×C×H×W is needed')
  return [plan.emit(step, shape)]
}
