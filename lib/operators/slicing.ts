import { show } from '../errors.js'
import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import { arrayType, type Tensor } from '../tensor.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  integersInput,
  nodeError,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'

/** Elements start, start + step, … of an axis. */
interface Cut {
  readonly axis: number
  readonly start: number
  readonly step: number
  readonly count: number
}

/** What a Slice takes: attributes before opset 10, inputs since. */
function cutsOf(context: NodeContext): Cut[] {
  const { dims } = requiredInput(context, 0)
  const old = context.opset < 10
  const list = (name: string, index: number): readonly number[] | undefined => {
    if (!old) return integersInput(context, index, name)
    return context.node.attributes.has(name) ? intsAttribute(context.node, name) : undefined
  }
  const starts = list('starts', 1) ?? []
  const ends = list('ends', 2) ?? []
  const axes = list('axes', 3) ?? starts.map((_, i) => i)
  const steps = (old ? undefined : list('steps', 4)) ?? starts.map(() => 1)
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw nodeError(context, 'starts, ends, axes and steps must be equally long')
  }
  return starts.map((start, i) => {
    const axis = axisOf(context, axes[i] as number, dims.length)
    return cut(context, axis, dims[axis] as number, start, ends[i] as number, steps[i] as number)
  })
}

function cut(context: NodeContext, axis: number, size: number, start: number, end: number, step: number): Cut {
  if (step === 0) throw nodeError(context, 'a step of 0')
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
  const resolve = (position: number): number => Math.min(high, Math.max(low, position < 0 ? position + size : position))
  // A backward slice to the very first element is written with an end far below −size.
  const [first, last] = [Math.max(0, resolve(start)), step < 0 && end < -size ? -1 : resolve(end)]
  return { axis, start: first, step, count: Math.max(0, Math.ceil((last - first) / step)) }
}

function cutDims(dims: readonly number[], cuts: readonly Cut[]): number[] {
  return dims.map((dim, axis) => cuts.find((cut) => cut.axis === axis)?.count ?? dim)
}

/** A cut of a constant with one dimension: what shape arithmetic needs. */
function cutVector(tensor: Tensor, cut: Cut): Tensor {
  const data = new (arrayType(tensor.dtype))(cut.count)
  for (let i = 0; i < cut.count; i++) data[i] = tensor.data[cut.start + i * cut.step] as never
  return { dtype: tensor.dtype, dims: [cut.count], data }
}

/** Some channels of a value: a view that Max understands as maxout. */
function channels(context: NodeContext, plan: PlanWriter, cuts: readonly Cut[]): ValueRef {
  const { dims } = requiredInput(context, 0)
  const real = cuts.filter((cut) => cut.step !== 1 || cut.count !== dims[cut.axis])
  const ref = plan.ref(0)
  const [only] = real
  if (only === undefined) return ref
  if (real.length > 1 || only.axis !== 1 || only.step < 1 || ref.view !== undefined) {
    throw unsupported(
      context,
      `a slice of ${show(dims)} along axes ${show(real.map((cut) => cut.axis))}`,
      'only channels can be sliced (axis 1), for maxout'
    )
  }
  return { value: plan.plain(0), view: { kind: 'channels', start: only.start, step: only.step, count: only.count } }
}

const slice: Operator = {
  opType: 'Slice',
  opsets: allOpsets,
  hasGradient: true,
  dims: (context) => [cutDims(requiredInput(context, 0).dims, cutsOf(context))],
  fold(context) {
    const tensor = context.inputs[0]?.constant
    const [cut, ...more] = cutsOf(context)
    if (tensor === undefined || tensor.dims.length !== 1 || more.length > 0) return undefined
    return [cut === undefined ? tensor : cutVector(tensor, cut)]
  },
  lower: (context, plan) => [channels(context, plan, cutsOf(context))]
}

/** Sizes: an attribute before opset 13, an input since; otherwise equal parts, the last one smaller (num_outputs, opset 18). */
function partsOf(context: NodeContext): Cut[] {
  const { dims } = requiredInput(context, 0)
  const axis = axisOf(context, intAttribute(context.node, 'axis', 0), dims.length)
  const size = dims[axis] as number
  const outputs = context.node.outputs.length
  const attribute = context.node.attributes.has('split') ? intsAttribute(context.node, 'split') : undefined
  const given = context.opset < 13 ? attribute : integersInput(context, 1, 'list of sizes')
  const part = Math.ceil(size / outputs)
  const sizes = given ?? Array.from({ length: outputs }, (_, i) => Math.max(0, Math.min(part, size - i * part)))
  if (sizes.length !== outputs || sizes.reduce((sum, count) => sum + count, 0) !== size) {
    throw shapeError(context, `sizes ${show(sizes)} do not split axis ${axis} of ${show(dims)} into ${outputs} outputs`)
  }
  let start = 0
  return sizes.map((count) => ({ axis, start: (start += count) - count, step: 1, count }))
}

const split: Operator = {
  opType: 'Split',
  opsets: allOpsets,
  hasGradient: true,
  dims: (context) => partsOf(context).map((part) => cutDims(requiredInput(context, 0).dims, [part])),
  fold(context) {
    const tensor = context.inputs[0]?.constant
    return tensor?.dims.length === 1 ? partsOf(context).map((part) => cutVector(tensor, part)) : undefined
  },
  lower: (context, plan) => partsOf(context).map((part) => channels(context, plan, [part]))
}

export const slices: readonly Operator[] = [slice, split]
