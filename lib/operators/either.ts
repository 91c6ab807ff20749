import type { BinaryFunction, TernaryFunction, UnaryFunction } from '../runtime/dense-spec.js'
import type { PlanValue } from '../runtime/plan-spec.js'
import { apply, type ElementwiseOptions, refOf } from './dense.js'
import { type NewStep, type NodeContext, type PlanWriter, type ValueRef, planShape, requiredInput } from './operator.js'

/*
 * Element-wise functions run on blocked and on dense values alike: on whichever is there, so that convolutions around them stay in blocks.
 */

/** A step with one input whose output has the same shape. */
export function emitEither(plan: PlanWriter, step: (input: number) => NewStep): ValueRef {
  if (plan.isBlocked(0)) {
    const input = plan.blocked(0)
    return plan.emit(step(input), plan.shape(input))
  }
  const { value, dims } = plan.contiguous(plan.dense(0))
  return refOf(plan.emitDense(step(value), dims))
}

/** A function of the first `count` inputs: blocked where one of them is and the others can be, else dense. */
export function emitFunction(
  context: NodeContext,
  plan: PlanWriter,
  name: UnaryFunction | BinaryFunction | TernaryFunction,
  count: number,
  options: ElementwiseOptions = {}
): ValueRef {
  const indices = Array.from({ length: count }, (_, index) => index)
  const shape = blockedShape(context, plan, indices)
  if (shape === undefined || options.dtype?.includes('int') === true) {
    return refOf(
      apply(
        plan,
        name,
        indices.map((index) => plan.dense(index)),
        options
      )
    )
  }
  const numbers = options.numbers === undefined ? {} : { numbers: Float32Array.from(options.numbers) }
  const inputs = indices.map((index) => plan.blocked(index))
  return plan.emit({ op: 'elementwise', function: name, inputs, ...numbers }, shape)
}

/** The common shape where blocks fit: one rank of two to four, the same channels, other extents equal or 1. */
function blockedShape(context: NodeContext, plan: PlanWriter, indices: readonly number[]): PlanValue | undefined {
  if (!indices.some((index) => plan.isBlocked(index))) return undefined
  const dims = indices.map((index) => requiredInput(context, index).dims)
  const shapes = dims.map(planShape)
  const [first] = shapes
  if (first === undefined || dims.some((own) => own.length !== dims[0]?.length)) return undefined
  const largest = (axis: 'n' | 'h' | 'w'): number => Math.max(...shapes.map((shape) => shape?.[axis] ?? 0))
  const common = { n: largest('n'), c: first.c, h: largest('h'), w: largest('w') }
  const fits = shapes.every(
    (shape) => shape?.c === common.c && (['n', 'h', 'w'] as const).every((axis) => shape[axis] === common[axis] || shape[axis] === 1)
  )
  return fits ? common : undefined
}
