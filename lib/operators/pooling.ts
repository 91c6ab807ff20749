import { show } from '../errors.js'
import { intAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import type { ConvSpec } from './conv-spec.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  emitShaped,
  planShape,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'
import { addPads, paddedInput, planWindow, windowExtents, windowOf } from './window.js'

function inputDims(context: NodeContext): readonly number[] {
  const { name, dims } = requiredInput(context, 0)
  if (dims.length >= 3) return dims
  throw shapeError(context, `input ${show(name)}: expected N×C×H×W, got ${dims.join('×')}`)
}

function windowFor(context: NodeContext): ConvSpec {
  const spatial = inputDims(context).slice(2)
  const kernel = intsAttribute(context.node, 'kernel_shape')
  if (kernel.length !== spatial.length) {
    throw shapeError(context, `kernel_shape ${show(kernel)} does not fit an input of ${spatial.length} spatial axes`)
  }
  return windowOf(context, kernel, 1, spatial)
}

function dims(context: NodeContext): number[][] {
  const [n = 1, c = 1, ...spatial] = inputDims(context)
  // With auto_pad the specification gives the extents; ceil_mode then says nothing.
  const isExplicit = ['NOTSET', ''].includes(stringAttribute(context.node, 'auto_pad', 'NOTSET'))
  const ceil = isExplicit && intAttribute(context.node, 'ceil_mode', 0) !== 0
  return [[n, c, ...windowExtents(context, windowFor(context), spatial, ceil)]]
}

function twoAxes(context: NodeContext): void {
  const axes = inputDims(context).length - 2
  if (axes > 2) throw unsupported(context, `pooling over ${axes} axes`, 'one or two spatial axes are needed')
}

/** The second output, Indices, is refused by the analysis wherever it is used. */
const maxPool: Operator = {
  opType: 'MaxPool',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  lower(context, plan) {
    twoAxes(context)
    const window = planWindow(windowFor(context))
    const input = paddedInput(context, plan, [-Infinity])
    const step = { op: 'max_pool', input: input.value, ...window, pads: addPads(window.pads, input.pads), countIncludePad: false } as const
    return emitShaped(context, plan, step, dims(context)[0])
  }
}

const averagePool: Operator = {
  opType: 'AveragePool',
  opsets: allOpsets,
  hasGradient: true,
  dims,
  lower(context, plan) {
    twoAxes(context)
    const window = planWindow(windowFor(context))
    const input = paddedInput(context, plan, [0])
    const isPaddedBefore = input.pads.some((pad) => pad > 0)
    const countsPads = intAttribute(context.node, 'count_include_pad', 0) !== 0
    // A Pad node's zeros always count; the pool's own pads only with count_include_pad.
    if (isPaddedBefore && !countsPads && window.pads.some((pad) => pad > 0)) {
      throw unsupported(context, 'pads of its own behind a Pad node', 'count_include_pad=1 or no pads are needed')
    }
    const step = {
      op: 'average_pool',
      input: input.value,
      ...window,
      pads: addPads(window.pads, input.pads),
      countIncludePad: countsPads || isPaddedBefore
    } as const
    return emitShaped(context, plan, step, dims(context)[0])
  }
}

function globalDims(context: NodeContext): number[][] {
  const [n = 1, c = 1, ...spatial] = inputDims(context)
  return [[n, c, ...spatial.map(() => 1)]]
}

/** The maximum over the whole map of plan value `value`. */
export function globalMaximum(plan: PlanWriter, value: number): ValueRef {
  const shape = plan.shape(value)
  return plan.emit(
    {
      op: 'max_pool',
      input: value,
      kernel: [shape.h, shape.w],
      strides: [1, 1],
      pads: [0, 0, 0, 0],
      dilations: [1, 1],
      countIncludePad: false
    },
    { ...shape, h: 1, w: 1 }
  )
}

/** The average over the whole map of plan value `value`. */
export function globalAverage(plan: PlanWriter, value: number): ValueRef {
  return plan.emit({ op: 'global_average_pool', input: value }, { ...plan.shape(value), h: 1, w: 1 })
}

const globalPools: readonly Operator[] = (
  [
    ['GlobalAveragePool', globalAverage],
    ['GlobalMaxPool', globalMaximum]
  ] as const
).map(([opType, lower]) => ({
  opType,
  opsets: allOpsets,
  hasGradient: true,
  dims: globalDims,
  lower: (context, plan) => {
    if (planShape(inputDims(context)) === undefined) twoAxes(context)
    return [lower(plan, plan.plain(0))]
  }
}))

export const pools: readonly Operator[] = [maxPool, averagePool, ...globalPools]
