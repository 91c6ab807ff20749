import { show } from '../errors.js'
import { type Tensor, int64Tensor } from '../tensor.js'
import { broadcastDims, broadcastNumbers } from './broadcast.js'
import { maxoutOfSlices } from './maxout.js'
import {
  type InputInfo,
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  requiredInput,
  sameDims,
  unsupported
} from './operator.js'

function operands(context: NodeContext): InputInfo[] {
  return context.node.inputs.map((_, index) => requiredInput(context, index))
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

function channelConstant(context: NodeContext, input: InputInfo, other: readonly number[]): ChannelConstant {
  const tensor = input.constant as Tensor
  if (tensor.dtype !== 'float32') throw unsupported(context, `a constant of type ${tensor.dtype}`, 'float32 is needed')
  const channels = other[1] ?? 1
  const shift = other.length - tensor.dims.length
  const isOnePerChannel = shift >= 0 && tensor.dims.every((dim, axis) => dim === 1 || (axis + shift === 1 && dim === channels))
  if (!isOnePerChannel) {
    throw unsupported(
      context,
      `a constant of shape ${show(tensor.dims)} with a value of shape ${show(other)}`,
      'one value, or one a channel, is needed'
    )
  }
  const data = tensor.data as Float32Array
  return data.length === channels
    ? { values: data, tensor }
    : { values: new Float32Array(channels).fill(data[0] as number), tensor: undefined }
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
  /** Over two computed values of the same shape. */
  readonly op?: 'add' | 'multiply'
  readonly withRightConstant: Affine
  readonly withLeftConstant?: Affine
}

const one = (): number => 1
const zero = (): number => 0
const arithmetic: Readonly<Record<'Add' | 'Sub' | 'Mul' | 'Div', Arithmetic>> = {
  Add: {
    combine: (a, b) => a + b,
    op: 'add',
    withRightConstant: { scale: one, shift: 'constant' },
    withLeftConstant: { scale: one, shift: 'constant' }
  },
  Sub: {
    combine: (a, b) => a - b,
    withRightConstant: { scale: one, shift: (v) => -v },
    withLeftConstant: { scale: () => -1, shift: 'constant' }
  },
  Mul: {
    combine: (a, b) => a * b,
    op: 'multiply',
    withRightConstant: { scale: 'constant', shift: zero },
    withLeftConstant: { scale: 'constant', shift: zero }
  },
  Div: { combine: (a, b) => a / b, withRightConstant: { scale: (v) => 1 / v, shift: zero } }
}

function binary(opType: keyof typeof arithmetic): Operator {
  const rule = arithmetic[opType]
  return {
    opType,
    opsets: allOpsets,
    hasGradient: true,
    parameters: [0, 1],
    dims,
    fold: (context) => fold(context, rule.combine),
    lower(context, plan) {
      const [left, right] = [requiredInput(context, 0), requiredInput(context, 1)]
      if (right.constant !== undefined) return [withConstant(context, plan, 0, right, rule.withRightConstant)]
      if (left.constant !== undefined && rule.withLeftConstant !== undefined)
        return [withConstant(context, plan, 1, left, rule.withLeftConstant)]
      if (rule.op === undefined || left.constant !== undefined) {
        throw unsupported(
          context,
          `${opType} of a ${left.constant === undefined ? 'computed' : 'constant'} left side`,
          'a constant right side is needed'
        )
      }
      return [emitChain(context, plan, rule.op)]
    }
  }
}

function withConstant(context: NodeContext, plan: PlanWriter, index: number, constant: InputInfo, affine: Affine): ValueRef {
  const other = requiredInput(context, index)
  return emitAffine(plan, plan.plain(index), channelConstant(context, constant, other.dims), affine)
}

/** ((a ∘ b) ∘ c) …, all of the same shape. */
function emitChain(context: NodeContext, plan: PlanWriter, op: 'add' | 'multiply'): ValueRef {
  const inputs = operands(context)
  const first = inputs[0] as InputInfo
  if (!inputs.every((input) => sameDims(input.dims, first.dims))) {
    throw unsupported(
      context,
      `broadcasting of ${inputs.map((input) => show(input.dims)).join(' and ')}`,
      'values of the same shape are needed'
    )
  }
  return inputs.slice(1).reduce<ValueRef>((sum, _, i) => plan.emit({ op, inputs: [sum.value, plan.plain(i + 1)] }, plan.shape(sum.value)), {
    value: plan.plain(0)
  })
}

/** Shape arithmetic and constants. Integer division truncates, as ONNX says. */
function fold(context: NodeContext, combine: (a: number, b: number) => number): readonly Tensor[] | undefined {
  const [a, b] = [context.inputs[0]?.constant, context.inputs[1]?.constant]
  if (a === undefined || b === undefined || a.dtype !== b.dtype) return undefined
  const result = broadcastDims(context, [a.dims, b.dims])
  const values = broadcastNumbers(a, b, result, combine)
  if (a.dtype === 'float32') return [{ dtype: 'float32', dims: result, data: Float32Array.from(values) }]
  return a.dtype === 'int64' && values.every(Number.isFinite) ? [int64Tensor(values.map(Math.trunc), result)] : undefined
}

const sum: Operator = {
  opType: 'Sum',
  opsets: allOpsets,
  hasGradient: true,
  parameters: [0, 1],
  dims,
  lower(context, plan) {
    const inputs = operands(context)
    const constant = inputs.findIndex((input) => input.constant !== undefined)
    if (constant < 0) return [emitChain(context, plan, 'add')]
    if (inputs.length !== 2) throw unsupported(context, `a sum of ${inputs.length} values with a constant`, 'two values are needed')
    return [withConstant(context, plan, 1 - constant, inputs[constant] as InputInfo, arithmetic.Add.withRightConstant)]
  }
}

const max: Operator = {
  opType: 'Max',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  lower(context, plan) {
    const refs = operands(context).map((input, index) => (input.constant === undefined ? plan.ref(index) : undefined))
    return [maxoutOfSlices(context, plan, refs)]
  }
}

export const elementwise: readonly Operator[] = [...(['Add', 'Sub', 'Mul', 'Div'] as const).map(binary), sum, max]
