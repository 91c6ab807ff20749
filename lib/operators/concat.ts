import { show } from '../errors.js'
import { intAttribute } from '../graph/rewrite.js'
import { arrayType, elementCount, type Tensor } from '../tensor.js'
import { concat, refOf } from './dense.js'
import { type NodeContext, type Operator, allOpsets, axisOf, emitShaped, planShape, requiredInput, shapeError } from './operator.js'

function inputsOf(context: NodeContext): { axis: number; all: readonly (readonly number[])[] } {
  const all = context.node.inputs.map((_, index) => requiredInput(context, index).dims)
  return { axis: axisOf(context, intAttribute(context.node, 'axis'), all[0]?.length ?? 0), all }
}

function dims(context: NodeContext): number[][] {
  const { axis, all } = inputsOf(context)
  const first = all[0] as readonly number[]
  const fits = all.every((other) => other.length === first.length && other.every((dim, i) => i === axis || dim === first[i]))
  if (!fits) throw shapeError(context, `shapes ${all.map((other) => show(other)).join(', ')} differ in more than axis ${axis}`)
  return [first.map((dim, i) => (i === axis ? all.reduce((sum, other) => sum + (other[axis] as number), 0) : dim))]
}

function fold(context: NodeContext): readonly Tensor[] | undefined {
  const tensors = context.inputs.flatMap((input) => input?.constant ?? [])
  const first = tensors[0]
  if (first === undefined || tensors.length !== context.node.inputs.length) return undefined
  if (tensors.some((tensor) => tensor.dtype !== first.dtype)) return undefined
  const { axis } = inputsOf(context)
  const result = dims(context)[0] as number[]
  const data = new (arrayType(first.dtype))(elementCount(result))
  const row = elementCount(result.slice(axis))
  let at = 0
  for (const tensor of tensors) {
    const own = elementCount(tensor.dims.slice(axis))
    for (let outer = 0; own > 0 && outer * own < tensor.data.length; outer++)
      data.set(tensor.data.subarray(outer * own, (outer + 1) * own) as never, outer * row + at)
    at += own
  }
  return [{ dtype: first.dtype, dims: result, data }]
}

const concatenation: Operator = {
  opType: 'Concat',
  opsets: allOpsets,
  dims,
  fold,
  lower(context, plan) {
    const { axis, all } = inputsOf(context)
    const isBlocked = axis === 1 && planShape(all[0] ?? []) !== undefined && all.some((_, index) => plan.isBlocked(index))
    if (isBlocked && all.length === 1) return [{ value: plan.blocked(0) }]
    if (isBlocked && all.every((own) => elementCount(own) > 0)) {
      const inputs = all.map((_, index) => plan.blocked(index))
      return emitShaped(context, plan, { op: 'concat', inputs }, dims(context)[0])
    }
    const parts = all.map((_, index) => index).filter((index) => elementCount(all[index] ?? []) > 0)
    return [
      refOf(
        concat(
          plan,
          parts.map((index) => plan.dense(index)),
          axis
        )
      )
    ]
  }
}

export const concats: readonly Operator[] = [concatenation]
