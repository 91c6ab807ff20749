import { show } from '../errors.js'
import { floatAttribute, intAttribute, intsAttribute } from '../graph/rewrite.js'
import { elementCount, type Tensor } from '../tensor.js'
import { apply, type Dense, part, reduce, refOf, reshape, scalar } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  floatInput,
  newestOpset,
  nodeError,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'

function channelInput(context: NodeContext, index: number, what: string): Float32Array {
  const { data } = floatInput(context, index, what)
  return data as Float32Array
}

/** One value a channel, as dims that broadcast over N×C×…. */
function perChannel(context: NodeContext, plan: PlanWriter, index: number): Dense {
  const { dims } = requiredInput(context, 0)
  return reshape(plan, plan.dense(index), [dims[1] ?? 1, ...dims.slice(2).map(() => 1)])
}

function checkChannels(context: NodeContext): void {
  const channels = requiredInput(context, 0).dims[1] ?? 1
  for (const [i, what] of ['scale', 'bias', 'mean', 'variance'].entries()) {
    const { dims } = requiredInput(context, i + 1)
    if (elementCount(dims) === channels) continue
    throw shapeError(context, `${what} ${show(context.node.inputs[i + 1])}: expected ${channels} elements, got ${elementCount(dims)}`)
  }
}

/** y = scale · (x − mean) / √(var + epsilon) + bias, by channel: in inference folded with the running statistics. */
const batchNormalization: Operator = {
  opType: 'BatchNormalization',
  limits: 'inference form',
  opsets: allOpsets,
  parameters: [1, 2, 3, 4],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { node } = context
    if (intAttribute(node, 'training_mode', 0) !== 0)
      throw unsupported(context, 'training_mode=1', 'a model exported for inference is needed')
    if (context.opset < 9 && intAttribute(node, 'spatial', 1) === 0)
      throw unsupported(context, 'spatial=0', 'one scale a channel is needed')
    checkChannels(context)
    const isConstant = [1, 2, 3, 4].every((index) => requiredInput(context, index).constant !== undefined)
    const input = plan.training !== undefined && isConstant ? blockedMap(context, plan) : undefined
    if (plan.training !== undefined && input !== undefined) {
      const epsilon = floatAttribute(node, 'epsilon', 1e-5)
      const [scaleOf, biasOf, meanOf, varianceOf] = [1, 2, 3, 4].map((i) => floatInput(context, i, 'statistics')) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor
      ]
      const parameters = {
        scale: plan.parameter(scaleOf),
        bias: plan.parameter(biasOf),
        mean: plan.statistics(meanOf),
        variance: plan.statistics(varianceOf)
      }
      const { batchStatistics } = plan.training
      const momentum = floatAttribute(node, 'momentum', 0.9)
      return [plan.emit({ op: 'batch_norm', input, ...parameters, epsilon, momentum, batchStatistics }, plan.shape(input))]
    }
    return [isConstant && plan.isBlocked(0) ? affine(context, plan) : refOf(computed(context, plan))]
  }
}

/** Input 0 as a blocked value, in which all axes behind the third are columns; `undefined` where it has no channels. */
function blockedMap(context: NodeContext, plan: PlanWriter): number | undefined {
  const { dims } = requiredInput(context, 0)
  const [n = 1, c = 1, h = 1, ...columns] = dims
  if (dims.length < 2) return undefined
  return dims.length <= 4 ? plan.blocked(0) : plan.toBlocked(plan.dense(0), { n, c, h, w: elementCount(columns) })
}

function affine(context: NodeContext, plan: PlanWriter): ValueRef {
  const epsilon = floatAttribute(context.node, 'epsilon', 1e-5)
  const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'variance'].map((what, i) => channelInput(context, i + 1, what))
  const factor = (scale as Float32Array).map((value, c) => value / Math.sqrt(((variance as Float32Array)[c] as number) + epsilon))
  const shift = (bias as Float32Array).map((value, c) => value - ((mean as Float32Array)[c] as number) * (factor[c] as number))
  const input = plan.blocked(0)
  return plan.emit({ op: 'affine', input, scale: plan.derived(factor), shift: plan.derived(shift) }, plan.shape(input))
}

/** Over values of any rank, with statistics that may be computed. */
function computed(context: NodeContext, plan: PlanWriter): Dense {
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((index) => perChannel(context, plan, index)) as [Dense, Dense, Dense, Dense]
  const deviation = apply(plan, 'sqrt', [apply(plan, 'add', [variance, scalar(plan, floatAttribute(context.node, 'epsilon', 1e-5))])])
  const centred = apply(plan, 'subtract', [plan.dense(0), mean])
  return apply(plan, 'multiply_add', [centred, apply(plan, 'divide', [scale, deviation]), bias])
}

/** Over channels: y = x / (bias + alpha / size · Σ x²)^beta. */
const localResponse: Operator = {
  opType: 'LRN',
  limits: 'two to four dimensions',
  opsets: allOpsets,
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { node } = context
    const size = intAttribute(node, 'size')
    if (size < 1) throw nodeError(context, `size: expected at least 1, got ${size}`)
    const input = plan.blocked(0)
    const [alpha, beta, bias] = [floatAttribute(node, 'alpha', 1e-4), floatAttribute(node, 'beta', 0.75), floatAttribute(node, 'bias', 1)]
    return [plan.emit({ op: 'lrn', input, size, alpha, beta, bias }, plan.shape(input))]
  }
}

/** Rows of `x` to mean 0 and variance 1: everything from `axis` on is a row. `statistics`: means and inverse deviations follow. */
function normalised(
  plan: PlanWriter,
  x: Dense,
  rows: number,
  epsilon: number,
  options: { statistics?: boolean; keepsMean?: boolean } = {}
): Dense {
  const { value, dims } = plan.contiguous(x)
  const count = elementCount(dims)
  const flags = [options.statistics ?? false, options.keepsMean ?? false] as const
  const result = plan.emitDense(
    { op: 'normalise', inputs: [value], sizes: [rows, count / rows], numbers: Float32Array.of(epsilon), flags },
    [count + (flags[0] ? 2 * rows : 0)]
  )
  return result
}

/** Each channel of each image by itself. */
const instanceNormalization: Operator = {
  opType: 'InstanceNormalization',
  opsets: allOpsets,
  parameters: [1, 2],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const rows = elementCount(x.dims.slice(0, 2))
    const y = part(normalised(plan, x, rows, floatAttribute(context.node, 'epsilon', 1e-5)), 0, x.dims)
    return [refOf(apply(plan, 'multiply_add', [y, perChannel(context, plan, 1), perChannel(context, plan, 2)]))]
  }
}

/** Outputs: y, and where asked for the mean and the inverse standard deviation. */
const layerNormalization: Operator = {
  opType: 'LayerNormalization',
  opsets: [17, newestOpset],
  parameters: [1, 2],
  dims(context) {
    const { dims } = requiredInput(context, 0)
    const axis = axisOf(context, intAttribute(context.node, 'axis', -1), dims.length)
    const statistics = dims.map((dim, other) => (other < axis ? dim : 1))
    return [dims, statistics, statistics].slice(0, context.node.outputs.length)
  },
  lower(context, plan) {
    const x = plan.dense(0)
    const axis = axisOf(context, intAttribute(context.node, 'axis', -1), x.dims.length)
    const rows = elementCount(x.dims.slice(0, axis))
    const statistics = context.node.outputs.length > 1
    const all = normalised(plan, x, rows, floatAttribute(context.node, 'epsilon', 1e-5), { statistics })
    const y = part(all, 0, x.dims)
    const bias = context.inputs[2] === undefined ? scalar(plan, 0) : plan.dense(2)
    const shape = x.dims.map((dim, other) => (other < axis ? dim : 1))
    const count = elementCount(x.dims)
    const more = statistics ? [part(all, count, shape), part(all, count + rows, shape)] : []
    return [apply(plan, 'multiply_add', [y, plan.dense(1), bias]), ...more].map(refOf)
  }
}

const rmsNormalization: Operator = {
  opType: 'RMSNormalization',
  opsets: [23, newestOpset],
  parameters: [1],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const axis = axisOf(context, intAttribute(context.node, 'axis', -1), x.dims.length)
    const rows = elementCount(x.dims.slice(0, axis))
    const y = part(normalised(plan, x, rows, floatAttribute(context.node, 'epsilon', 1e-5), { keepsMean: true }), 0, x.dims)
    return [refOf(apply(plan, 'multiply', [y, plan.dense(1)]))]
  }
}

/** Channels in groups: one scale and bias a channel since opset 21, one a group before. */
const groupNormalization: Operator = {
  opType: 'GroupNormalization',
  opsets: [18, newestOpset],
  parameters: [1, 2],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const [n = 1, c = 1, ...spatial] = x.dims
    const groups = intAttribute(context.node, 'num_groups')
    if (groups < 1 || c % groups !== 0) throw nodeError(context, `num_groups ${groups} does not divide ${c} channels`)
    const y = normalised(plan, x, n * groups, floatAttribute(context.node, 'epsilon', 1e-5))
    const shape = context.opset < 21 ? [n, groups, c / groups, ...spatial] : x.dims
    const weights = [1, 2].map((index) => reshape(plan, plan.dense(index), [shape[1] as number, ...shape.slice(2).map(() => 1)])) as [
      Dense,
      Dense
    ]
    return [refOf(reshape(plan, apply(plan, 'multiply_add', [part(y, 0, shape), ...weights]), x.dims))]
  }
}

/** (x − mean) / √variance over axes, by default all but the channels. */
const meanVariance: Operator = {
  opType: 'MeanVarianceNormalization',
  opsets: [9, newestOpset],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const axes = intsAttribute(context.node, 'axes', [0, 2, 3]).map((axis) => axisOf(context, axis, x.dims.length))
    const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    const centred = apply(plan, 'subtract', [x, reshape(plan, reduce(plan, 'mean', x, axes), kept)])
    const squares = apply(plan, 'multiply', [centred, centred])
    const deviation = apply(plan, 'sqrt', [reshape(plan, reduce(plan, 'mean', squares, axes), kept)])
    return [refOf(apply(plan, 'divide', [centred, apply(plan, 'add', [deviation, scalar(plan, 1e-9)])]))]
  }
}

/** x divided by its norm along an axis; all zeros stay. */
const lpNormalization: Operator = {
  opType: 'LpNormalization',
  opsets: allOpsets,
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const axis = axisOf(context, intAttribute(context.node, 'axis', -1), x.dims.length)
    const norm = reshape(plan, reduce(plan, intAttribute(context.node, 'p', 2) === 1 ? 'l1' : 'l2', x, [axis]), x.dims.with(axis, 1))
    const isZero = apply(plan, 'equal', [norm, scalar(plan, 0)])
    return [refOf(apply(plan, 'divide', [x, apply(plan, 'where', [isZero, scalar(plan, 1), norm])]))]
  }
}

export const normalisations: readonly Operator[] = [
  batchNormalization,
  localResponse,
  instanceNormalization,
  layerNormalization,
  rmsNormalization,
  groupNormalization,
  meanVariance,
  lpNormalization
]
