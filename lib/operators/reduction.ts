import { show } from '../errors.js'
import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import { maxoutOfSplit } from './maxout.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  integersInput,
  requiredInput,
  unsupported
} from './operator.js'
import { globalAverage, globalMaximum } from './pooling.js'

/** Axes are an attribute before opset 18 and an input since; none means all. */
function axesOf(context: NodeContext): number[] {
  const rank = requiredInput(context, 0).dims.length
  const given = context.opset < 18 ? intsAttribute(context.node, 'axes', []) : (integersInput(context, 1, 'list of axes') ?? [])
  if (given.length > 0) return given.map((axis) => axisOf(context, axis, rank)).sort((a, b) => a - b)
  const isNothing = intAttribute(context.node, 'noop_with_empty_axes', 0) !== 0
  return isNothing ? [] : Array.from({ length: rank }, (_, axis) => axis)
}

function dims(context: NodeContext): number[][] {
  const input = requiredInput(context, 0).dims
  const axes = axesOf(context)
  if (intAttribute(context.node, 'keepdims', 1) !== 0) return [input.map((dim, axis) => (axes.includes(axis) ? 1 : dim))]
  return [input.filter((_, axis) => !axes.includes(axis))]
}

/** Whether N×C×… is reduced over everything behind the channels, and those are the channels of the plan value. */
function isOverMap(plan: PlanWriter, ref: ValueRef, input: readonly number[], axes: readonly number[]): boolean {
  const shape = plan.shape(ref.value)
  const spatial = input.slice(2)
  return (
    ref.view === undefined &&
    input[0] === shape.n &&
    input[1] === shape.c &&
    spatial.length > 0 &&
    axes.length === spatial.length &&
    axes.every((axis, i) => axis === i + 2)
  )
}

const reduceMean: Operator = {
  opType: 'ReduceMean',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  lower(context, plan) {
    const [ref, axes, input] = [plan.ref(0), axesOf(context), requiredInput(context, 0).dims]
    if (isOverMap(plan, ref, input, axes)) return [globalAverage(plan, ref.value)]
    throw unsupported(
      context,
      `the mean of ${show(input)} over axes ${show(axes)}`,
      'all axes behind N×C (global average pooling) are needed'
    )
  }
}

const reduceMax: Operator = {
  opType: 'ReduceMax',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  lower(context, plan) {
    const [ref, axes, input] = [plan.ref(0), axesOf(context), requiredInput(context, 0).dims]
    if (isOverMap(plan, ref, input, axes)) return [globalMaximum(plan, ref.value)]
    const result = maxoutOfSplit(plan, ref, input, axes)
    if (result !== undefined) return [result]
    throw unsupported(
      context,
      `the maximum of ${show(input)} over axes ${show(axes)}`,
      'all axes behind N×C, or half of a split channel axis (maxout), are needed'
    )
  }
}

export const reductions: readonly Operator[] = [reduceMean, reduceMax]
