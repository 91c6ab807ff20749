import { show } from '../errors.js'
import type { Node } from '../graph/graph.js'
import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import type { ConvSpec } from './conv-spec.js'
import {
  type NodeContext,
  type Operator,
  allOpsets,
  emitShaped,
  floatInput,
  nodeError,
  requiredInput,
  sameDims,
  shapeError
} from './operator.js'
import { refOf } from './dense.js'
import { computedConvolution, volumeConvolution, withBias } from './volume.js'
import { type NodeAtOpset, addPads, paddedInput, planWindow, windowExtents, windowOf } from './window.js'

/**
 * The geometry of a Conv node. `weightDims`: Cout×Cin/groups×k…, one k a spatial axis. `inputDims`: N×Cin×…, needed only for auto_pad
 * SAME_UPPER and SAME_LOWER. Throws `POLYADIC_GRAPH` or `POLYADIC_SHAPE` when attributes and shapes contradict each other.
 */
export function convSpecOf(node: Node, weightDims: readonly number[], inputDims?: readonly number[]): ConvSpec {
  return specOf({ node }, weightDims, inputDims)
}

function specOf(context: NodeAtOpset, weightDims: readonly number[], inputDims?: readonly number[]): ConvSpec {
  const kernel = weightDims.slice(2)
  const declared = intsAttribute(context.node, 'kernel_shape', kernel)
  if (weightDims.length < 3) throw shapeError(context, `weight: expected Cout×Cin/groups×k…, got ${show(weightDims)}`)
  if (!sameDims(declared, kernel))
    throw nodeError(context, `kernel_shape ${show(declared)} contradicts the weight's shape ${show(weightDims)}`)
  const groups = intAttribute(context.node, 'group', 1)
  if (groups < 1 || (weightDims[0] as number) % groups !== 0) {
    throw nodeError(context, `group ${groups} does not divide the ${weightDims[0]} output channels`)
  }
  if (inputDims !== undefined) checkInput(context, weightDims, inputDims, groups)
  return windowOf(context, kernel, groups, inputDims?.slice(2))
}

function checkInput(context: NodeAtOpset, weightDims: readonly number[], inputDims: readonly number[], groups: number): void {
  const channels = (weightDims[1] as number) * groups
  if (inputDims.length === weightDims.length && inputDims[1] === channels) return
  const expected = `N×${channels}${weightDims
    .slice(2)
    .map((_, axis) => `×${'DHW'.slice(2 - weightDims.length)[axis] ?? 'D'}`)
    .join('')}`
  throw shapeError(context, `input ${show(context.node.inputs[0])}: expected ${expected}, got ${inputDims.join('×')}`)
}

function geometry(context: NodeContext): { spec: ConvSpec; inputDims: readonly number[]; weightDims: readonly number[] } {
  const inputDims = requiredInput(context, 0).dims
  const weightDims = requiredInput(context, 1).dims
  return { spec: specOf(context, weightDims, inputDims), inputDims, weightDims }
}

function dims(context: NodeContext): number[][] {
  const { spec, inputDims, weightDims } = geometry(context)
  return [[inputDims[0] as number, weightDims[0] as number, ...windowExtents(context, spec, inputDims.slice(2))]]
}

/** One or two spatial axes with constant weights run on blocked values. Input N×Cin×…, weight Cout×Cin/groups×k…, bias Cout. */
const convolution: Operator = {
  opType: 'Conv',
  opsets: allOpsets,
  parameters: [1, 2],
  dims,
  macs: (context, outputDims) => elementCount(outputDims) * elementCount(requiredInput(context, 1).dims.slice(1)),
  lower(context, plan) {
    const { spec, weightDims } = geometry(context)
    const bias = context.inputs[2]
    if (bias !== undefined && elementCount(bias.dims) !== weightDims[0]) {
      throw shapeError(context, `bias ${show(bias.name)}: expected ${weightDims[0]} elements, got ${elementCount(bias.dims)}`)
    }
    const isConstant = requiredInput(context, 1).constant !== undefined && (bias === undefined || bias.constant !== undefined)
    if (!isConstant) return [refOf(withBias(plan, computedConvolution(plan, plan.dense(0), plan.dense(1), spec), bias && plan.dense(2)))]
    const outputDims = dims(context)[0] as number[]
    const weight = floatInput(context, 1, 'weight')
    const shift = bias === undefined ? undefined : floatInput(context, 2, 'bias')
    if (spec.kernel.length > 2) return [refOf(volumeConvolution(plan, plan.dense(0), weight, shift, spec, outputDims))]
    const input = paddedInput(plan, [0])
    const window = planWindow(spec)
    return emitShaped(
      context,
      plan,
      {
        op: 'convolution',
        input: input.value,
        ...window,
        pads: addPads(window.pads, input.pads),
        groups: spec.groups,
        weight: plan.parameter(weight),
        bias: shift === undefined ? -1 : plan.parameter(shift)
      },
      outputDims
    )
  }
}

export const convolutions: readonly Operator[] = [convolution]
