import { show } from '../errors.js'
import { intAttribute } from '../graph/rewrite.js'
import { arrayType, type Tensor } from '../tensor.js'
import { type NodeContext, type Operator, allOpsets, axisOf, emitShaped, requiredInput, shapeError, unsupported } from './operator.js'

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

/** Constants along their first axis: in row-major order that is one after the other. */
function fold(context: NodeContext): readonly Tensor[] | undefined {
  const tensors = context.inputs.flatMap((input) => input?.constant ?? [])
  const first = tensors[0]
  if (first === undefined || tensors.length !== context.node.inputs.length || inputsOf(context).axis !== 0) return undefined
  if (tensors.some((tensor) => tensor.dtype !== first.dtype)) return undefined
  const values = tensors.flatMap((tensor) => Array.from(tensor.data as unknown as ArrayLike<never>))
  return [
    {
      dtype: first.dtype,
      dims: dims(context)[0] as number[],
      data: (arrayType(first.dtype) as { from(list: never[]): Tensor['data'] }).from(values)
    }
  ]
}

const concat: Operator = {
  opType: 'Concat',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  fold,
  lower(context, plan) {
    const { axis, all } = inputsOf(context)
    if (axis !== 1)
      throw unsupported(context, `concatenation along axis ${axis} of ${all[0]?.length} dimensions`, 'axis 1 (channels) is needed')
    if (all.length === 1) return [{ value: plan.plain(0) }]
    const inputs = all.map((_, index) => plan.plain(index))
    return emitShaped(context, plan, { op: 'concat', inputs }, dims(context)[0])
  }
}

export const concats: readonly Operator[] = [concat]
