import { show } from '../errors.js'
import { intAttribute, intsAttribute } from '../graph/rewrite.js'
import type { Tensor } from '../tensor.js'
import { readView, viewOf } from './constant-view.js'
import { type Cut, refOf, slice } from './dense.js'
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
  shapeError
} from './operator.js'

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

function foldCuts(tensor: Tensor | undefined, cuts: readonly Cut[]): Tensor | undefined {
  return tensor === undefined ? undefined : readView(tensor, slice(viewOf(tensor), cuts))
}

/** A part of input 0: of blocked channels a view that Max understands as maxout, else one through strides. */
function cutRef(context: NodeContext, plan: PlanWriter, cuts: readonly Cut[]): ValueRef {
  const { dims } = requiredInput(context, 0)
  const real = cuts.filter((cut) => cut.step !== 1 || cut.count !== dims[cut.axis])
  const [only, ...others] = real
  if (only === undefined) return plan.ref(0)
  if (others.length > 0 || only.axis !== 1 || only.step < 1 || !plan.isBlocked(0)) return refOf(slice(plan.dense(0), real))
  return { value: plan.blocked(0), view: { kind: 'channels', start: only.start, step: only.step, count: only.count } }
}

const slicing: Operator = {
  opType: 'Slice',
  opsets: allOpsets,
  constants: [1, 2, 3, 4],
  dims: (context) => [cutDims(requiredInput(context, 0).dims, cutsOf(context))],
  fold(context) {
    const folded = foldCuts(context.inputs[0]?.constant, cutsOf(context))
    return folded === undefined ? undefined : [folded]
  },
  lower: (context, plan) => [cutRef(context, plan, cutsOf(context))]
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
  constants: [1],
  dims: (context) => partsOf(context).map((part) => cutDims(requiredInput(context, 0).dims, [part])),
  fold(context) {
    const tensor = context.inputs[0]?.constant
    return tensor === undefined ? undefined : partsOf(context).flatMap((part) => foldCuts(tensor, [part]) ?? [])
  },
  lower: (context, plan) => partsOf(context).map((part) => cutRef(context, plan, [part]))
}

export const slices: readonly Operator[] = [slicing, split]
