import { intAttribute } from '../graph/rewrite.js'
import type { BinaryFunction } from '../runtime/dense-spec.js'
import { type DataType, type Tensor, arrayType, asFloatTensor, elementCount } from '../tensor.js'
import { broadcastDims, broadcastNumbers } from './broadcast.js'
import { apply, type Dense, refOf, reshape, scalar } from './dense.js'
import { emitFunction } from './either.js'
import { maxoutOfSlices } from './maxout.js'
import {
  type InputInfo,
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  maximumFolded,
  newestOpset,
  planShape,
  requiredInput,
  sameDims
} from './operator.js'

/** Inputs as they are broadcast. Before opset 7 the second one could be placed at an axis of the first. */
function operands(context: NodeContext): InputInfo[] {
  const inputs = context.node.inputs.map((_, index) => requiredInput(context, index))
  const [first, second] = inputs
  if (context.opset >= 7 || !context.node.attributes.has('axis') || first === undefined || second === undefined) return inputs
  const axis = axisOf(context, intAttribute(context.node, 'axis'), first.dims.length)
  const behind = new Array<number>(Math.max(0, first.dims.length - axis - second.dims.length)).fill(1)
  return [first, { ...second, dims: [...second.dims, ...behind] }]
}

/** Input `index` as a dense value with the dims that it is broadcast with. */
function operand(context: NodeContext, plan: PlanWriter, index: number): Dense {
  const { dims: own } = operands(context)[index] as InputInfo
  const x = plan.dense(index)
  return sameDims(own, x.dims) ? x : reshape(plan, x, own)
}

/** Whether the inputs are broadcast by other dims than they have. */
function isPlaced(context: NodeContext): boolean {
  return operands(context).some(({ dims: own }, index) => !sameDims(own, requiredInput(context, index).dims))
}

function dims(context: NodeContext): number[][] {
  return [
    broadcastDims(
      context,
      operands(context).map((operand) => operand.dims)
    )
  ]
}

/** A constant that is the same at every pixel: one value a channel, or one for all. `tensor` where it is exactly C values. */
interface ChannelConstant {
  readonly values: Float32Array
  readonly tensor: Tensor | undefined
}

/** `undefined`: it is none, or would broadcast the other operand. */
function channelConstant(input: InputInfo, other: InputInfo): ChannelConstant | undefined {
  const tensor = asFloatTensor(input.constant as Tensor)
  const channels = other.dims[1] ?? 1
  const shift = other.dims.length - input.dims.length
  const isOnePerChannel = shift >= 0 && input.dims.every((dim, axis) => dim === 1 || (axis + shift === 1 && dim === channels))
  if (tensor === undefined || other.dtype !== 'float32' || !isOnePerChannel || planShape(other.dims) === undefined) return undefined
  return tensor.data.length === channels
    ? { values: tensor.data, tensor }
    : { values: new Float32Array(channels).fill(tensor.data[0] as number), tensor: undefined }
}

/** x∘constant as scale·x + shift: each part is the constant itself or computed from it. */
interface Affine {
  readonly scale: ((value: number) => number) | 'constant'
  readonly shift: ((value: number) => number) | 'constant'
}

function emitAffine(plan: PlanWriter, input: number, constant: ChannelConstant, affine: Affine): ValueRef {
  const parameter = (part: Affine['scale']): number => {
    if (part !== 'constant') return plan.derived(constant.values.map(part))
    return constant.tensor === undefined ? plan.derived(constant.values) : plan.parameter(constant.tensor)
  }
  return plan.emit({ op: 'affine', input, scale: parameter(affine.scale), shift: parameter(affine.shift) }, plan.shape(input))
}

interface Arithmetic {
  readonly combine: (a: number, b: number) => number
  readonly name: BinaryFunction
  /** Over integers, where that is another function. */
  readonly integers?: BinaryFunction
  /** Over two blocked values of the same shape: steps that have a gradient. */
  readonly op?: 'add' | 'multiply'
  readonly withRightConstant: Affine
  readonly withLeftConstant?: Affine
}

const one = (): number => 1
const zero = (): number => 0
const arithmetic: Readonly<Record<'Add' | 'Sub' | 'Mul' | 'Div', Arithmetic>> = {
  Add: {
    combine: (a, b) => a + b,
    name: 'add',
    op: 'add',
    withRightConstant: { scale: one, shift: 'constant' },
    withLeftConstant: { scale: one, shift: 'constant' }
  },
  Sub: {
    combine: (a, b) => a - b,
    name: 'subtract',
    withRightConstant: { scale: one, shift: (v) => -v },
    withLeftConstant: { scale: () => -1, shift: 'constant' }
  },
  Mul: {
    combine: (a, b) => a * b,
    name: 'multiply',
    op: 'multiply',
    withRightConstant: { scale: 'constant', shift: zero },
    withLeftConstant: { scale: 'constant', shift: zero }
  },
  Div: {
    combine: (a, b) => a / b,
    name: 'divide',
    integers: 'divide_integer',
    withRightConstant: { scale: (v) => 1 / v, shift: zero }
  }
}

function isInteger(dtype: DataType): boolean {
  return dtype.includes('int')
}

function binary(opType: keyof typeof arithmetic): Operator {
  const rule = arithmetic[opType]
  return {
    opType,
    opsets: allOpsets,
    parameters: [0, 1],
    dims,
    fold: (context) => fold(context, rule.combine),
    lower(context, plan) {
      const [left, right] = operands(context) as [InputInfo, InputInfo]
      const affine = withConstant(plan, 0, left, right, rule.withRightConstant) ?? withConstant(plan, 1, right, left, rule.withLeftConstant)
      if (affine !== undefined) return [affine]
      if (rule.op !== undefined && isBlockedAlike(context, plan))
        return [plan.emit({ op: rule.op, inputs: [plan.blocked(0), plan.blocked(1)] }, plan.shape(plan.blocked(0)))]
      const name = isInteger(left.dtype) ? (rule.integers ?? rule.name) : rule.name
      if (isPlaced(context))
        return [refOf(apply(plan, name, [operand(context, plan, 0), operand(context, plan, 1)], { dtype: left.dtype }))]
      return [emitFunction(context, plan, name, 2, { dtype: left.dtype })]
    }
  }
}

/** All of one shape, one of them in blocks already. */
function isBlockedAlike(context: NodeContext, plan: PlanWriter): boolean {
  const inputs = operands(context)
  return (
    inputs.every(({ dims, dtype }) => dtype === 'float32' && sameDims(dims, inputs[0]?.dims ?? []) && planShape(dims) !== undefined) &&
    inputs.some((_, index) => plan.isBlocked(index))
  )
}

/** A blocked value with a constant that is one value a channel. */
function withConstant(
  plan: PlanWriter,
  index: number,
  value: InputInfo,
  constant: InputInfo,
  affine: Affine | undefined
): ValueRef | undefined {
  if (affine === undefined || constant.constant === undefined || value.constant !== undefined || !plan.isBlocked(index)) return undefined
  const channels = channelConstant(constant, value)
  return channels === undefined ? undefined : emitAffine(plan, plan.blocked(index), channels, affine)
}

/** Shape arithmetic and constants. Integer division truncates, as ONNX says. */
function fold(context: NodeContext, combine: (a: number, b: number) => number, dtype?: DataType): readonly Tensor[] | undefined {
  const [a, b] = [context.inputs[0]?.constant, context.inputs[1]?.constant]
  if (a === undefined || b === undefined || a.dtype.endsWith('float16') || b.dtype.endsWith('float16')) return undefined
  if (a.dtype === 'float32' && elementCount(a.dims) + elementCount(b.dims) > foldedFloats) return undefined
  const [left, right] = operands(context) as [InputInfo, InputInfo]
  const result = broadcastDims(context, [left.dims, right.dims])
  if (elementCount(result) > maximumFolded) return undefined
  const values = broadcastNumbers({ ...a, dims: left.dims }, { ...b, dims: right.dims }, result, combine)
  const type = dtype ?? a.dtype
  if (type === 'float32' || type === 'bool' || type === 'float64')
    return [{ dtype: type, dims: result, data: (arrayType(type) as Float32ArrayConstructor).from(values) }]
  const whole = values.map(Math.trunc)
  if (!isInteger(type) || !whole.every(Number.isSafeInteger)) return undefined
  const data = type.endsWith('int64')
    ? BigInt64Array.from(whole, BigInt)
    : (arrayType(type) as unknown as Int32ArrayConstructor).from(whole)
  return type === 'uint64' ? undefined : [{ dtype: type, dims: result, data }]
}

/** Constants of more numbers are left to native code. */
const foldedFloats = 1024

interface Comparison {
  readonly name: BinaryFunction
  readonly combine: (a: number, b: number) => number
  readonly first?: number
  /** Operands change places. */
  readonly swapped?: true
}

/** Two inputs, a boolean output. */
function comparison(opType: string, { name, combine, first, swapped }: Comparison): Operator {
  return {
    opType,
    opsets: [first ?? allOpsets[0], newestOpset],
    gradient: 'zero',
    dims,
    dtypes: () => ['bool'],
    fold: (context) => fold(context, combine, 'bool'),
    lower(context, plan) {
      const inputs = [operand(context, plan, 0), operand(context, plan, 1)]
      return [refOf(apply(plan, name, swapped === true ? inputs.reverse() : inputs))]
    }
  }
}

/** An exponent may be of another type. */
const power: Operator = {
  opType: 'Pow',
  opsets: allOpsets,
  dims,
  fold: (context) => (context.inputs[0]?.dtype === 'float32' ? undefined : fold(context, (a, b) => a ** b)),
  lower(context, plan) {
    const { dtype } = requiredInput(context, 0)
    const exponent = asNumber(context.inputs[1]?.constant)
    if (!isInteger(dtype) && exponent === 2) return [emitFunctionOf(plan, 'multiply')]
    if (!isInteger(dtype) && exponent === 0.5) return [emitFunction(context, plan, 'sqrt', 1)]
    const name = isInteger(dtype) ? 'power_integer' : 'power'
    if (isPlaced(context)) return [refOf(apply(plan, name, [operand(context, plan, 0), operand(context, plan, 1)], { dtype }))]
    return [emitFunction(context, plan, name, 2, { dtype })]
  }
}

/** x∘x */
function emitFunctionOf(plan: PlanWriter, name: 'multiply'): ValueRef {
  if (plan.isBlocked(0)) return plan.emit({ op: name, inputs: [plan.blocked(0), plan.blocked(0)] }, plan.shape(plan.blocked(0)))
  return refOf(apply(plan, name, [plan.dense(0), plan.dense(0)]))
}

function asNumber(tensor: Tensor | undefined): number | undefined {
  return tensor?.data.length === 1 && tensor.dims.length === 0 && !tensor.dtype.includes('16') ? Number(tensor.data[0]) : undefined
}

/** The sign is the divisor's; with fmod the dividend's. */
const modulo: Operator = {
  opType: 'Mod',
  opsets: [10, newestOpset],
  dims,
  fold: (context) => fold(context, intAttribute(context.node, 'fmod', 0) !== 0 ? (a, b) => a % b : (a, b) => ((a % b) + b) % b),
  lower(context, plan) {
    const name = intAttribute(context.node, 'fmod', 0) !== 0 ? 'fmod' : 'modulo'
    return [refOf(apply(plan, name, [plan.dense(0), plan.dense(1)], { dtype: requiredInput(context, 0).dtype }))]
  }
}

const prelu: Operator = {
  opType: 'PRelu',
  opsets: allOpsets,
  parameters: [1],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const slope = requiredInput(context, 1).constant
    if (slope?.data.length === 1 && slope.dtype === 'float32' && plan.isBlocked(0)) {
      const input = plan.blocked(0)
      return [plan.emit({ op: 'activation', input, activation: { kind: 'leaky_relu', alpha: Number(slope.data[0]) } }, plan.shape(input))]
    }
    // A slope of C×1×1 is blocked as 1×C×1×1.
    const [{ dims }, own] = [requiredInput(context, 0), requiredInput(context, 1).dims]
    // Before opset 7 a vector was one slope a channel.
    const channels = dims[1] ?? 1
    if (context.opset < 7 && own.length === 1 && own[0] === channels)
      return [refOf(apply(plan, 'prelu', [plan.dense(0), reshape(plan, plan.dense(1), [channels, ...dims.slice(2).map(() => 1)])]))]
    const isPerChannel =
      dims.length >= 2 && dims.length <= 4 && own.length === dims.length - 1 && own[0] === dims[1] && own.slice(1).every((dim) => dim === 1)
    if (isPerChannel && plan.isBlocked(0)) {
      const input = plan.blocked(0)
      const perChannel = plan.toBlocked(plan.dense(1), { n: 1, c: own[0] as number, h: 1, w: 1 })
      return [plan.emit({ op: 'elementwise', function: 'prelu', inputs: [input, perChannel] }, plan.shape(input))]
    }
    return [emitFunction(context, plan, 'prelu', 2)]
  }
}

/** Any number of operands, taken together one after the other. */
function variadic(opType: string, name: BinaryFunction, op?: 'add'): Operator {
  return {
    opType,
    opsets: allOpsets,
    parameters: [0, 1],
    dims,
    fold: (context) =>
      context.node.inputs.length === 2 && name !== 'add' ? fold(context, name === 'minimum' ? Math.min : Math.max) : undefined,
    lower(context, plan) {
      if (op !== undefined && context.node.inputs.length === 2 && isBlockedAlike(context, plan))
        return [plan.emit({ op, inputs: [plan.blocked(0), plan.blocked(1)] }, plan.shape(plan.blocked(0)))]
      return [combined(context, plan, name, op)]
    }
  }
}

function combined(context: NodeContext, plan: PlanWriter, name: BinaryFunction, op?: 'add'): ValueRef {
  const { dtype } = requiredInput(context, 0)
  const inputs = context.node.inputs.map((_, index) => index)
  if (!isBlockedAlike(context, plan)) {
    const [first = 0, ...others] = inputs
    return refOf(others.reduce((sum, index) => apply(plan, name, [sum, plan.dense(index)], { dtype }), plan.dense(first)))
  }
  const shape = plan.shape(plan.blocked(0))
  return inputs.slice(1).reduce<ValueRef>(
    ({ value }, index) => {
      const pair = [value, plan.blocked(index)] as const
      return plan.emit(op === undefined ? { op: 'elementwise', function: name, inputs: pair } : { op, inputs: pair }, shape)
    },
    { value: plan.blocked(0) }
  )
}

const max: Operator = {
  ...variadic('Max', 'maximum'),
  lower(context, plan) {
    const refs = operands(context).map((input, index) => (input.constant === undefined ? plan.ref(index) : undefined))
    return [maxoutOfSlices(plan, refs) ?? combined(context, plan, 'maximum')]
  }
}

const mean: Operator = {
  ...variadic('Mean', 'add'),
  lower(context, plan) {
    const sum = context.node.inputs.slice(1).reduce((total, _, i) => apply(plan, 'add', [total, plan.dense(i + 1)]), plan.dense(0))
    return [refOf(apply(plan, 'multiply', [sum, scalar(plan, 1 / context.node.inputs.length)]))]
  }
}

const where: Operator = {
  opType: 'Where',
  opsets: [9, newestOpset],
  dims,
  dtypes: (context) => [requiredInput(context, 1).dtype],
  fold(context) {
    const [condition, a, b] = operands(context).map(({ constant }) => constant)
    if (condition === undefined || a === undefined || b === undefined || a.dtype === 'float32') return undefined
    const result = dims(context)[0] as number[]
    const picks = broadcastNumbers(condition, condition, result, (value) => value)
    const [left, right] = [a, b].map((tensor) => broadcastNumbers(tensor, tensor, result, (value) => value))
    const values = picks.map((pick, i) => (pick !== 0 ? left?.[i] : right?.[i]) as number)
    if (!values.every(Number.isSafeInteger) || a.dtype === 'uint64') return undefined
    const data =
      a.dtype === 'int64' ? BigInt64Array.from(values, BigInt) : (arrayType(a.dtype) as unknown as Int32ArrayConstructor).from(values)
    return [{ dtype: a.dtype, dims: result, data }]
  },
  lower: (_, plan) => [refOf(apply(plan, 'where', [plan.dense(0), plan.dense(1), plan.dense(2)]))]
}

export const elementwise: readonly Operator[] = [
  ...(['Add', 'Sub', 'Mul', 'Div'] as const).map(binary),
  power,
  modulo,
  prelu,
  variadic('Sum', 'add', 'add'),
  max,
  variadic('Min', 'minimum'),
  mean,
  comparison('Equal', { name: 'equal', combine: (a, b) => Number(a === b) }),
  comparison('Less', { name: 'less', combine: (a, b) => Number(a < b) }),
  comparison('LessOrEqual', { name: 'less_equal', combine: (a, b) => Number(a <= b), first: 12 }),
  comparison('Greater', { name: 'less', combine: (a, b) => Number(a > b), swapped: true }),
  comparison('GreaterOrEqual', { name: 'less_equal', combine: (a, b) => Number(a >= b), first: 12, swapped: true }),
  comparison('And', { name: 'and', combine: (a, b) => Number(a !== 0 && b !== 0) }),
  comparison('Or', { name: 'or', combine: (a, b) => Number(a !== 0 || b !== 0) }),
  comparison('Xor', { name: 'xor', combine: (a, b) => Number((a !== 0) !== (b !== 0)) }),
  where
]
