import { show } from '../errors.js'
import { floatAttribute, intAttribute } from '../graph/rewrite.js'
import type { Tensor } from '../tensor.js'
import { type NodeContext, type Operator, allOpsets, floatInput, nodeError, requiredInput, shapeError, unsupported } from './operator.js'

function channelInput(context: NodeContext, index: number, what: string): Float32Array {
  const channels = requiredInput(context, 0).dims[1] ?? 1
  const { data } = floatInput(context, index, what)
  if (data.length === channels) return data as Float32Array
  throw shapeError(context, `${what} ${show(context.node.inputs[index])}: expected ${channels} elements, got ${data.length}`)
}

/** y = scale · (x − mean) / √(var + epsilon) + bias, by channel: in inference folded with the running statistics. */
const batchNormalization: Operator = {
  opType: 'BatchNormalization',
  opsets: allOpsets,
  hasGradient: true,
  parameters: [1, 2, 3, 4],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { node } = context
    if (intAttribute(node, 'training_mode', 0) !== 0)
      throw unsupported(context, 'training_mode=1', 'a model exported for inference is needed')
    if (intAttribute(node, 'spatial', 1) === 0) throw unsupported(context, 'spatial=0', 'one scale a channel is needed')
    const epsilon = floatAttribute(node, 'epsilon', 1e-5)
    const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'variance'].map((what, i) => channelInput(context, i + 1, what))
    const input = plan.plain(0)
    if (plan.training !== undefined) {
      const [scaleOf, biasOf, meanOf, varianceOf] = [1, 2, 3, 4].map((i) => floatInput(context, i, 'statistics')) as [Tensor, Tensor, Tensor, Tensor]
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
    const factor = (scale as Float32Array).map((value, c) => value / Math.sqrt(((variance as Float32Array)[c] as number) + epsilon))
    const shift = (bias as Float32Array).map((value, c) => value - ((mean as Float32Array)[c] as number) * (factor[c] as number))
    return [plan.emit({ op: 'affine', input, scale: plan.derived(factor), shift: plan.derived(shift) }, plan.shape(input))]
  }
}

/** Over channels: y = x / (bias + alpha / size · Σ x²)^beta. */
const localResponse: Operator = {
  opType: 'LRN',
  opsets: allOpsets,
  hasGradient: true,
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { node } = context
    const size = intAttribute(node, 'size')
    if (size < 1) throw nodeError(context, `size: expected at least 1, got ${size}`)
    const input = plan.plain(0)
    const [alpha, beta, bias] = [floatAttribute(node, 'alpha', 1e-4), floatAttribute(node, 'beta', 0.75), floatAttribute(node, 'bias', 1)]
    return [plan.emit({ op: 'lrn', input, size, alpha, beta, bias }, plan.shape(input))]
  }
}

export const normalisations: readonly Operator[] = [batchNormalization, localResponse]
