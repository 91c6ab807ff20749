import { show } from '../errors.js'
import { floatAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import {
  type NodeContext,
  type Operator,
  allOpsets,
  axisOf,
  floatInput,
  integersInput,
  nodeError,
  requiredInput,
  unsupported
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
  return context.inputs[2] === undefined ? 0 : Number(floatInput(context, 2, 'constant').data[0] ?? 0)
}

/** Has no step: the convolution or pooling behind it takes the pads over. */
const pad: Operator = {
  opType: 'Pad',
  opsets: allOpsets,
  hasGradient: true,
  dims(context) {
    const { begin, end } = padsOf(context)
    return [requiredInput(context, 0).dims.map((dim, axis) => dim + (begin[axis] as number) + (end[axis] as number))]
  },
  lower(context, plan) {
    const { begin, end } = padsOf(context)
    const all = [...begin, ...end]
    if (all.every((value) => value === 0)) return [plan.ref(0)]
    const mode = stringAttribute(context.node, 'mode', 'constant')
    if (mode !== 'constant') throw unsupported(context, `mode ${show(mode)}`, 'constant padding is needed')
    if (all.some((value) => value < 0))
      throw unsupported(context, `cropping by negative pads ${show(all)}`, 'pads of at least 0 are needed')
    const isSpatial = begin.length <= 4 && [begin[0], begin[1], end[0], end[1]].every((value) => value === 0)
    if (!isSpatial) throw unsupported(context, `pads ${show(all)}`, 'only height and width can be padded')
    const at = (list: readonly number[], fromEnd: number): number =>
      list.length - fromEnd >= 2 ? (list[list.length - fromEnd] as number) : 0
    const pads = [at(begin, 2), at(begin, 1), at(end, 2), at(end, 1)] as const
    return [{ value: plan.plain(0), view: { kind: 'padded', pads, fill: fillOf(context) } }]
  }
}

export const pads: readonly Operator[] = [pad]
