import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import type { ReduceFunction } from '../runtime/dense-spec.js'
import { asIntegers, int64Tensor, type Tensor } from '../tensor.js'
import { reduce, refOf, reshape } from './dense.js'
import { maxoutOfSplit } from './maxout.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  integersInput,
  requiredInput
} from './operator.js'
import { globalAverage, globalMaximum } from './pooling.js'

/** Axes are an attribute before opset `axesInput` and an input since; none means all. */
function axesOf(context: NodeContext, axesInput: number): number[] {
  const rank = requiredInput(context, 0).dims.length
  const given = context.opset < axesInput ? intsAttribute(context.node, 'axes', []) : (integersInput(context, 1, 'list of axes') ?? [])
  if (given.length > 0) return given.map((axis) => axisOf(context, axis, rank)).sort((a, b) => a - b)
  const isNothing = intAttribute(context.node, 'noop_with_empty_axes', 0) !== 0
  return isNothing ? [] : Array.from({ length: rank }, (_, axis) => axis)
}

function dims(context: NodeContext, axesInput: number): number[][] {
  const input = requiredInput(context, 0).dims
  const axes = axesOf(context, axesInput)
  if (intAttribute(context.node, 'keepdims', 1) !== 0) return [input.map((dim, axis) => (axes.includes(axis) ? 1 : dim))]
  return [input.filter((_, axis) => !axes.includes(axis))]
}

/** Whether N×C×… is reduced over everything behind the channels, and those are the channels of the plan value. */
function isOverMap(plan: PlanWriter, ref: ValueRef, input: readonly number[], axes: readonly number[]): boolean {
  const shape = plan.shape(ref.value)
  const spatial = input.slice(2)
  return (
    ref.view === undefined &&
    shape.dense === undefined &&
    input[0] === shape.n &&
    input[1] === shape.c &&
    spatial.length > 0 &&
    axes.length === spatial.length &&
    axes.every((axis, i) => axis === i + 2)
  )
}

interface Rule {
  readonly name: ReduceFunction
  /** A form over blocked values. */
  readonly blocked?: (plan: PlanWriter, ref: ValueRef, input: readonly number[], axes: readonly number[]) => ValueRef | undefined
  readonly fold?: (values: readonly number[]) => number
  readonly axesInput?: number
}

function reduction(opType: string, { name, blocked, fold, axesInput = 18 }: Rule): Operator {
  return {
    opType,
    opsets: allOpsets,
    constants: [1],
    dims: (context) => dims(context, axesInput),
    fold: (context) =>
      fold === undefined ? undefined : foldVector(context, axesOf(context, axesInput), dims(context, axesInput)[0] ?? [], fold),
    lower(context, plan) {
      const [axes, input] = [axesOf(context, axesInput), requiredInput(context, 0).dims]
      const result = blocked?.(plan, plan.ref(0), input, axes)
      if (result !== undefined) return [result]
      return [refOf(reshape(plan, reduce(plan, name, plan.dense(0), axes), dims(context, axesInput)[0] as number[]))]
    }
  }
}

/** Shape arithmetic: all of a small integer tensor at once. */
function foldVector(
  context: NodeContext,
  axes: readonly number[],
  result: readonly number[],
  f: (values: readonly number[]) => number
): readonly Tensor[] | undefined {
  const tensor = context.inputs[0]?.constant
  if (tensor?.dtype !== 'int64' || axes.length !== tensor.dims.length) return undefined
  return [int64Tensor([f(asIntegers(tensor, 'data'))], result)]
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const product = (values: readonly number[]): number => values.reduce((total, value) => total * value, 1)

const overMap =
  (emit: (plan: PlanWriter, value: number) => ValueRef): NonNullable<Rule['blocked']> =>
  (plan, ref, input, axes) =>
    isOverMap(plan, ref, input, axes) ? emit(plan, ref.value) : undefined

/** ArgMax and ArgMin: the position along one axis. */
function position(opType: string, name: 'arg_max' | 'arg_min'): Operator {
  const axis = (context: NodeContext): number =>
    axisOf(context, intAttribute(context.node, 'axis', 0), requiredInput(context, 0).dims.length)
  const dimsOf = (context: NodeContext): number[] => {
    const input = requiredInput(context, 0).dims
    return intAttribute(context.node, 'keepdims', 1) !== 0 ? input.with(axis(context), 1) : input.filter((_, i) => i !== axis(context))
  }
  return {
    opType,
    opsets: allOpsets,
    gradient: 'zero',
    dims: (context) => [dimsOf(context)],
    dtypes: () => ['int64'],
    lower(context, plan) {
      const flags = [intAttribute(context.node, 'select_last_index', 0) !== 0] as const
      return [refOf(reshape(plan, reduce(plan, name, plan.dense(0), [axis(context)], flags), dimsOf(context)))]
    }
  }
}

export const reductions: readonly Operator[] = [
  reduction('ReduceMean', { name: 'mean', blocked: overMap(globalAverage) }),
  reduction('ReduceMax', {
    name: 'maximum',
    fold: (values) => Math.max(...values),
    blocked: (plan, ref, input, axes) => overMap(globalMaximum)(plan, ref, input, axes) ?? maxoutOfSplit(plan, ref, input, axes)
  }),
  reduction('ReduceMin', { name: 'minimum', fold: (values) => Math.min(...values) }),
  reduction('ReduceSum', { name: 'sum', fold: sum, axesInput: 13 }),
  reduction('ReduceProd', { name: 'product', fold: product }),
  reduction('ReduceL1', { name: 'l1' }),
  reduction('ReduceL2', { name: 'l2' }),
  reduction('ReduceLogSum', { name: 'log_sum' }),
  reduction('ReduceLogSumExp', { name: 'log_sum_exp' }),
  reduction('ReduceSumSquare', { name: 'sum_square' }),
  position('ArgMax', 'arg_max'),
  position('ArgMin', 'arg_min')
]
