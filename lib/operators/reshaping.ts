import { show } from '../errors.js'
import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import { refOf, reshape } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  integersInput,
  nodeError,
  planShape,
  requiredInput,
  sameShape,
  shapeError
} from './operator.js'

/*
 * Operators that only give the same elements other dims. In a plan that is nothing at all, a `flatten` step (blocked channels have to be
 * put in order), or for a graph input another plan input; anything else is left to the next node, which may undo or understand it, or has
 * it converted to a dense value.
 */
function reshaping(opType: string, dimsOf: (context: NodeContext) => number[]): Operator {
  return {
    opType,
    opsets: allOpsets,
    constants: opType === 'Flatten' ? [] : [1],
    dims: (context) => [dimsOf(context)],
    fold(context) {
      const tensor = context.inputs[0]?.constant
      // The same data object, so that a reshaped initializer still is that initializer.
      return tensor === undefined ? undefined : [{ ...tensor, dims: dimsOf(context) }]
    },
    lower: (context, plan) => [reshaped(plan, dimsOf(context))]
  }
}

/** Input 0 with the same elements in the same order as other dims. */
export function reshaped(plan: PlanWriter, dims: readonly number[]): ValueRef {
  const { value, view } = plan.ref(0)
  if (view !== undefined || plan.shape(value).dense) return refOf(reshape(plan, plan.dense(0), dims))
  const [from, to] = [plan.shape(value), planShape(dims)]
  if (to === undefined || sameShape(from, to)) return { value }
  const input = plan.reshapedInput(value, to)
  if (input !== undefined) return { value: input }
  const isFlat = to.n === from.n && to.h === 1 && to.w === 1 && to.c === from.c * from.h * from.w
  return isFlat ? plan.emit({ op: 'flatten', input: value }, to) : { value }
}

/** 0 copies the input's dim (unless allowzero), one −1 takes what is left. */
function reshapeDims(context: NodeContext): number[] {
  const input = requiredInput(context, 0)
  const asked = integersInput(context, 1, 'shape') ?? []
  const copiesZeros = intAttribute(context.node, 'allowzero', 0) === 0
  const dims = asked.map((dim, axis) => (dim === 0 && copiesZeros ? (input.dims[axis] ?? 0) : dim))
  const known = elementCount(dims.filter((dim) => dim !== -1))
  const count = elementCount(input.dims)
  const result = dims.map((dim) => (dim === -1 ? count / known : dim))
  const isPossible = dims.filter((dim) => dim === -1).length <= 1 && result.every((dim) => Number.isInteger(dim) && dim >= 0)
  if (isPossible && elementCount(result) === count) return result
  throw shapeError(context, `input ${show(input.name)} of shape ${show(input.dims)} cannot become ${show(asked)}`)
}

function flattenDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  const axis = intAttribute(context.node, 'axis', 1)
  const split = axis < 0 ? axis + dims.length : axis
  if (split < 0 || split > dims.length) throw nodeError(context, `axis ${axis} does not exist in a tensor of ${dims.length} dimensions`)
  return [elementCount(dims.slice(0, split)), elementCount(dims.slice(split))]
}

/** Axes are an attribute before opset 13 and an input since. */
function axesOf(context: NodeContext, rank: number): number[] | undefined {
  const attribute = context.node.attributes.has('axes') ? intsAttribute(context.node, 'axes') : undefined
  const axes = context.opset < 13 ? attribute : integersInput(context, 1, 'list of axes')
  return axes?.map((axis) => axisOf(context, axis, rank))
}

function squeezeDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  const axes = axesOf(context, dims.length)
  if (axes === undefined) return dims.filter((dim) => dim !== 1)
  const wrong = axes.find((axis) => dims[axis] !== 1)
  if (wrong !== undefined) throw shapeError(context, `axis ${wrong} of ${show(dims)} is not 1 long`)
  return dims.filter((_, axis) => !axes.includes(axis))
}

function unsqueezeDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  const count = context.opset < 13 ? intsAttribute(context.node, 'axes').length : (integersInput(context, 1, 'list of axes') ?? []).length
  const axes = new Set(axesOf(context, dims.length + count))
  if (axes.size !== count) throw nodeError(context, 'an axis is given twice')
  const rest = [...dims]
  return Array.from({ length: dims.length + count }, (_, axis) => (axes.has(axis) ? 1 : (rest.shift() as number)))
}

export const reshapes: readonly Operator[] = [
  reshaping('Reshape', reshapeDims),
  reshaping('Flatten', flattenDims),
  reshaping('Squeeze', squeezeDims),
  reshaping('Unsqueeze', unsqueezeDims)
]
