import { show } from '../errors.js'
import { floatAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import { toFloat32 } from '../tensor.js'
import { pad, refOf, take } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  constantInput,
  integersInput,
  newestOpset,
  nodeError,
  requiredInput
} from './operator.js'

/** Begin and end of each axis. An attribute before opset 11, inputs since, with an optional list of axes since 18. */
function padsOf(context: NodeContext): { begin: number[]; end: number[] } {
  const rank = requiredInput(context, 0).dims.length
  const pads = context.opset < 11 ? intsAttribute(context.node, 'pads') : (integersInput(context, 1, 'list of pads') ?? [])
  const axes = context.opset < 18 ? undefined : integersInput(context, 3, 'list of axes')?.map((axis) => axisOf(context, axis, rank))
  const list = axes ?? Array.from({ length: rank }, (_, axis) => axis)
  if (pads.length !== 2 * list.length) throw nodeError(context, `pads: expected ${2 * list.length} integers, got ${show(pads)}`)
  const [begin, end] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)]
  list.forEach((axis, i) => {
    begin[axis] = pads[i] as number
    end[axis] = pads[i + list.length] as number
  })
  return { begin, end }
}

function fillOf(context: NodeContext): number {
  if (context.opset < 11) return floatAttribute(context.node, 'value', 0)
  const constant = constantInput(context, 2, 'constant')
  return constant === undefined ? 0 : Number(toFloat32(constant, context.node.inputs[2] ?? 'constant')[0] ?? 0)
}

/** Where each position of a padded axis comes from. Reflection may go back and forth. */
function sources(context: NodeContext, mode: string, size: number, begin: number, end: number): number[] {
  const period = 2 * (size - 1)
  const modulo = (value: number, by: number): number => ((value % by) + by) % by
  return Array.from({ length: Math.max(0, size + begin + end) }, (_, i) => {
    const at = i - begin
    if (mode === 'edge') return Math.min(size - 1, Math.max(0, at))
    if (mode === 'wrap') return modulo(at, size)
    if (mode !== 'reflect') throw nodeError(context, `mode ${show(mode)} does not exist`)
    const folded = period === 0 ? 0 : modulo(at, period)
    return folded < size ? folded : period - folded
  })
}

/** Around height and width of a blocked value: the convolution or pooling behind it takes the pads over. */
function lowerSpatial(context: NodeContext, plan: PlanWriter, begin: readonly number[], end: readonly number[]): ValueRef | undefined {
  const isSpatial = begin.length <= 4 && [begin[0], begin[1], end[0], end[1]].every((value) => value === 0)
  if (!isSpatial || !plan.isBlocked(0) || [...begin, ...end].some((value) => value < 0)) return undefined
  const at = (list: readonly number[], fromEnd: number): number =>
    list.length - fromEnd >= 2 ? (list[list.length - fromEnd] as number) : 0
  const pads = [at(begin, 2), at(begin, 1), at(end, 2), at(end, 1)] as const
  return { value: plan.blocked(0), view: { kind: 'padded', pads, fill: fillOf(context) } }
}

const padding: Operator = {
  opType: 'Pad',
  opsets: allOpsets,
  constants: [1, 2, 3],
  dims(context) {
    const { begin, end } = padsOf(context)
    return [requiredInput(context, 0).dims.map((dim, axis) => dim + (begin[axis] as number) + (end[axis] as number))]
  },
  lower(context, plan) {
    const { begin, end } = padsOf(context)
    if ([...begin, ...end].every((value) => value === 0)) return [plan.ref(0)]
    const mode = stringAttribute(context.node, 'mode', 'constant')
    if (mode === 'constant')
      return [lowerSpatial(context, plan, begin, end) ?? refOf(pad(plan, plan.dense(0), begin, end, fillOf(context)))]
    const { dims } = requiredInput(context, 0)
    const tables = dims.map((size, axis) => sources(context, mode, size, begin[axis] as number, end[axis] as number))
    return [refOf(take(plan, plan.dense(0), tables))]
  }
}

/** Of input 1, a list of sizes, for `axes`: half of what is missing or too much on each side, the smaller half in front. */
function centred(context: NodeContext): { begin: number[]; end: number[] } {
  const { dims } = requiredInput(context, 0)
  const sizes = integersInput(context, 1, 'shape') ?? []
  const axes = intsAttribute(
    context.node,
    'axes',
    dims.map((_, axis) => axis)
  ).map((axis) => axisOf(context, axis, dims.length))
  if (sizes.length !== axes.length) throw nodeError(context, `shape ${show(sizes)} for ${axes.length} axes`)
  const missing = dims.map((dim, axis) => (axes.includes(axis) ? (sizes[axes.indexOf(axis)] as number) - dim : 0))
  const begin = missing.map((count) => Math.sign(count) * Math.floor(Math.abs(count) / 2))
  return { begin, end: missing.map((count, axis) => count - (begin[axis] as number)) }
}

const centreCropPad: Operator = {
  opType: 'CenterCropPad',
  opsets: [18, newestOpset],
  constants: [1],
  dims(context) {
    const { begin, end } = centred(context)
    return [requiredInput(context, 0).dims.map((dim, axis) => dim + (begin[axis] as number) + (end[axis] as number))]
  },
  lower(context, plan) {
    const { begin, end } = centred(context)
    return [refOf(pad(plan, plan.dense(0), begin, end, 0))]
  }
}

export const pads: readonly Operator[] = [padding, centreCropPad]
