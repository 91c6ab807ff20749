import { show } from '../errors.js'
import type { Node } from '../graph/graph.js'
import { intsAttribute, stringAttribute } from '../graph/rewrite.js'
import type { PlanWindow } from '../runtime/plan-spec.js'
import { type ConvSpec, outputExtent } from './conv-spec.js'
import { type PlanWriter, nodeError, shapeError, unsupported } from './operator.js'

/** What can be asked about a window without a whole graph. */
export interface NodeAtOpset {
  readonly node: Node
  readonly opset?: number
}

/**
 * The window of a convolution or pooling node. `spatial`: extents of its input, which auto_pad SAME_* needs; without them
 * it is refused.
 */
export function windowOf(context: NodeAtOpset, kernel: readonly number[], groups: number, spatial?: readonly number[]): ConvSpec {
  const { node } = context
  const axes = kernel.length
  const ones = new Array<number>(axes).fill(1)
  const strides = checked(context, 'strides', intsAttribute(node, 'strides', ones), axes)
  const dilations = checked(context, 'dilations', intsAttribute(node, 'dilations', ones), axes)
  checked(context, 'kernel_shape', kernel, axes)
  const unpadded = { kernel, strides, dilations, groups }
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') {
    if (spatial === undefined)
      throw unsupported(context, `auto_pad ${autoPad} of an input of unknown size`, 'its height and width are needed')
    return { ...unpadded, ...samePads(unpadded, spatial, autoPad === 'SAME_LOWER') }
  }
  if (autoPad !== 'NOTSET' && autoPad !== 'VALID' && autoPad !== '') throw nodeError(context, `auto_pad ${show(autoPad)} does not exist`)
  const zeros = new Array<number>(2 * axes).fill(0)
  const pads = autoPad === 'VALID' ? zeros : intsAttribute(node, 'pads', zeros)
  if (pads.length !== 2 * axes) throw nodeError(context, `pads: expected ${2 * axes} integers, got ${show(pads)}`)
  if (pads.some((pad) => pad < 0)) throw unsupported(context, `cropping by negative pads ${show(pads)}`, 'pads of at least 0 are needed')
  return { ...unpadded, padsBegin: pads.slice(0, axes), padsEnd: pads.slice(axes) }
}

/** Pads that make the output ceil(input / stride) long; an odd one goes to the end, or with `lower` to the beginning. */
function samePads(
  spec: Pick<ConvSpec, 'kernel' | 'strides' | 'dilations'>,
  spatial: readonly number[],
  lower: boolean
): Pick<ConvSpec, 'padsBegin' | 'padsEnd'> {
  const totals = spec.kernel.map((kernel, axis) => {
    const [stride, dilation, input] = [spec.strides[axis] as number, spec.dilations[axis] as number, spatial[axis] as number]
    return Math.max(0, (Math.ceil(input / stride) - 1) * stride + (kernel - 1) * dilation + 1 - input)
  })
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total) => Math.ceil(total / 2))
  return lower ? { padsBegin: large, padsEnd: small } : { padsBegin: small, padsEnd: large }
}

/** Output extents of a window over `spatial`. Throws `POLYADIC_SHAPE` when the window is larger than the padded input. */
export function windowExtents(context: NodeAtOpset, spec: ConvSpec, spatial: readonly number[], ceil = false): number[] {
  return spatial.map((input, axis) => {
    let extent = outputExtent(spec, axis, input, ceil)
    // A last window that would lie in the end padding alone does not exist (as in every framework with ceil_mode).
    if (ceil && (extent - 1) * (spec.strides[axis] as number) >= input + (spec.padsBegin[axis] as number)) extent--
    if (extent >= 1) return extent
    const window = `window ${show(spec.kernel)}, dilations ${show(spec.dilations)}, pads ${show([...spec.padsBegin, ...spec.padsEnd])}`
    throw shapeError(context, `${window} is larger than its input of ${spatial.join('×')}`)
  })
}

/** A window of one or two axes as the plan has it: a single axis is W. */
export function planWindow(spec: ConvSpec): PlanWindow {
  const pair = (values: readonly number[], single: number): [number, number] =>
    values.length === 1 ? [single, values[0] as number] : [values[0] as number, values[1] as number]
  return {
    kernel: pair(spec.kernel, 1),
    strides: pair(spec.strides, 1),
    dilations: pair(spec.dilations, 1),
    pads: [...pair(spec.padsBegin, 0), ...pair(spec.padsEnd, 0)]
  }
}

/** Input 0 of a window node with the pads that a Pad node in front of it leaves to it. */
export function paddedInput(plan: PlanWriter, fills: readonly number[]): { value: number; pads: PlanWindow['pads'] } {
  const { value, view } = plan.ref(0)
  return view?.kind === 'padded' && fills.includes(view.fill) ? { value, pads: view.pads } : { value: plan.blocked(0), pads: [0, 0, 0, 0] }
}

export function addPads(a: PlanWindow['pads'], b: PlanWindow['pads']): PlanWindow['pads'] {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

function checked(context: NodeAtOpset, name: string, values: readonly number[], axes: number): readonly number[] {
  if (values.length === axes && values.every((value) => value >= 1)) return values
  throw nodeError(context, `${name}: expected ${axes} integers of at least 1, got ${show(values)}`)
}
