import { show } from '../errors.js'
import { intAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import type { ConvSpec } from './conv-spec.js'
import { type Dense, reshape, pad, refOf, slice, spread, transpose } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  allOpsets,
  emitShaped,
  floatInput,
  nodeError,
  requiredInput,
  sameDims,
  shapeError
} from './operator.js'
import { computedConvolution, withBias } from './volume.js'
import { planWindow } from './window.js'

/** The window of the convolution that is transposed, whose pads may be negative, and the extents that it goes over. */
interface Transposed {
  readonly spec: ConvSpec
  readonly inputDims: readonly number[]
  readonly weightDims: readonly number[]
  readonly outputPadding: readonly number[]
  readonly extents: readonly number[]
}

function attributes(context: NodeContext, name: string, fallback: readonly number[], least: number): readonly number[] {
  const values = intsAttribute(context.node, name, fallback)
  if (values.length === fallback.length && values.every((value) => value >= least)) return values
  throw nodeError(context, `${name}: expected ${fallback.length} integers of at least ${least}, got ${show(values)}`)
}

function geometry(context: NodeContext): Transposed {
  const [inputDims, weightDims] = [requiredInput(context, 0).dims, requiredInput(context, 1).dims]
  const groups = intAttribute(context.node, 'group', 1)
  const kernel = weightDims.slice(2)
  if (
    inputDims.length !== weightDims.length ||
    inputDims.length < 3 ||
    inputDims[1] !== weightDims[0] ||
    (inputDims[1] as number) % groups !== 0
  )
    throw shapeError(context, `an input of ${inputDims.join('×')} does not fit a weight of ${weightDims.join('×')} in ${groups} groups`)
  if (!sameDims(intsAttribute(context.node, 'kernel_shape', kernel), kernel))
    throw nodeError(context, 'kernel_shape contradicts the weight')
  const ones = kernel.map(() => 1)
  const zeros = kernel.map(() => 0)
  const [strides, dilations] = [attributes(context, 'strides', ones, 1), attributes(context, 'dilations', ones, 1)]
  const outputPadding = attributes(context, 'output_padding', zeros, 0)
  const full = kernel.map((size, i) => {
    const input = inputDims[i + 2] as number
    return (strides[i] as number) * (input - 1) + (outputPadding[i] as number) + (size - 1) * (dilations[i] as number) + 1
  })
  const pads = padsOf(context, inputDims, strides, full)
  const extents = full.map((size, i) => size - (pads.begin[i] as number) - (pads.end[i] as number))
  if (extents.some((extent) => extent < 1)) throw shapeError(context, `pads ${show([...pads.begin, ...pads.end])} leave no output`)
  return {
    spec: { kernel, strides, dilations, groups, padsBegin: pads.begin, padsEnd: pads.end },
    inputDims,
    weightDims,
    outputPadding,
    extents
  }
}

/** Pads are given, or follow from the output's shape, which auto_pad SAME_* makes stride times the input's. */
function padsOf(
  context: NodeContext,
  inputDims: readonly number[],
  strides: readonly number[],
  full: readonly number[]
): { begin: number[]; end: number[] } {
  const { node } = context
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET')
  const isSame = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER'
  const given = node.attributes.has('output_shape') ? intsAttribute(node, 'output_shape').slice(-full.length) : undefined
  if (given === undefined && !isSame) {
    const pads =
      autoPad === 'VALID'
        ? full.flatMap(() => [0, 0])
        : intsAttribute(
            node,
            'pads',
            full.flatMap(() => [0, 0])
          )
    if (pads.length !== 2 * full.length) throw nodeError(context, `pads: expected ${2 * full.length} integers, got ${show(pads)}`)
    return { begin: pads.slice(0, full.length), end: pads.slice(full.length) }
  }
  const totals = full.map((size, i) => {
    const total = size - (given?.[i] ?? (inputDims[i + 2] as number) * (strides[i] as number))
    return given === undefined ? Math.max(0, total) : total
  })
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total, i) => total - (small[i] as number))
  return autoPad === 'SAME_UPPER' ? { begin: small, end: large } : { begin: large, end: small }
}

/** Whether the step for two axes does it: no negative pads, and as many inputs as the transposed convolution has outputs. */
function isOneStep({ spec, outputPadding }: Transposed): boolean {
  return (
    spec.kernel.length <= 2 &&
    [...spec.padsBegin, ...spec.padsEnd].every((size) => size >= 0) &&
    outputPadding.every((size, i) => size < (spec.strides[i] as number))
  )
}

/** As a convolution: zeros between the inputs, and the weight turned around. */
function byConvolution(plan: PlanWriter, { spec, weightDims, outputPadding }: Transposed): Dense {
  const x = spread(plan, plan.dense(0), [1, 1, ...spec.strides])
  const reach = spec.kernel.map((size, i) => (size - 1) * (spec.dilations[i] as number))
  const begin = reach.map((size, i) => size - (spec.padsBegin[i] as number))
  const end = reach.map((size, i) => size - (spec.padsEnd[i] as number) + (outputPadding[i] as number))
  const wide = pad(plan, x, [0, 0, ...begin], [0, 0, ...end], 0)
  const { groups } = spec
  const [cin = 1, perGroup = 1, ...kernel] = weightDims
  const turned = slice(
    reshape(plan, plan.dense(1), [groups, cin / groups, perGroup, ...kernel]),
    kernel.map((size, i) => ({ axis: i + 3, start: size - 1, step: -1, count: size }))
  )
  const swapped = transpose(turned, [0, 2, 1, ...kernel.map((_, i) => i + 3)])
  const weight = reshape(plan, swapped, [groups * perGroup, cin / groups, ...kernel])
  const none = kernel.map(() => 0)
  const ones = kernel.map(() => 1)
  return computedConvolution(plan, wide, weight, { ...spec, strides: ones, padsBegin: none, padsEnd: none })
}

/** Weight Cin×Cout/groups×k…. */
const convTranspose: Operator = {
  opType: 'ConvTranspose',
  opsets: allOpsets,
  parameters: [1, 2],
  dims(context) {
    const { inputDims, weightDims, spec, extents } = geometry(context)
    return [[inputDims[0] as number, (weightDims[1] as number) * spec.groups, ...extents]]
  },
  macs: (context) => elementCount(requiredInput(context, 0).dims) * elementCount(requiredInput(context, 1).dims.slice(1)),
  lower(context, plan) {
    const transposed = geometry(context)
    const { spec, inputDims, weightDims, extents } = transposed
    const bias = context.inputs[2]
    const cout = (weightDims[1] as number) * spec.groups
    if (bias !== undefined && elementCount(bias.dims) !== cout)
      throw shapeError(context, `bias ${show(bias.name)}: expected ${cout} elements, got ${elementCount(bias.dims)}`)
    const isConstant = requiredInput(context, 1).constant !== undefined && (bias === undefined || bias.constant !== undefined)
    if (!isConstant || !isOneStep(transposed)) return [refOf(withBias(plan, byConvolution(plan, transposed), bias && plan.dense(2)))]
    const step = {
      op: 'conv_transpose',
      input: plan.blocked(0),
      ...planWindow(spec),
      groups: spec.groups,
      weight: plan.parameter(floatInput(context, 1, 'weight')),
      bias: bias === undefined ? -1 : plan.parameter(floatInput(context, 2, 'bias'))
    } as const
    return emitShaped(context, plan, step, [inputDims[0] as number, cout, ...extents])
  }
}

export const transposedConvolutions: readonly Operator[] = [convTranspose]
