import { show } from '../errors.js'
import { intAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import type { ReduceFunction } from '../runtime/dense-spec.js'
import { elementCount } from '../tensor.js'
import type { ConvSpec } from './conv-spec.js'
import { type Dense, part, reduce, refOf, reshape } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  emitShaped,
  everyOpset,
  requiredInput,
  shapeError
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

/** Whether the blocked pools do it: one or two axes, pads smaller than the window. */
function isBlockedPool(context: NodeContext, plan: PlanWriter): boolean {
  return (
    inputDims(context).length <= 4 &&
    (context.node.outputs[1] ?? '') === '' &&
    (plan.ref(0).view?.kind === 'padded' || plan.isBlocked(0) || plan.ref(0).view === undefined)
  )
}

interface DensePool {
  readonly name: 'maximum' | 'average' | 'norm'
  readonly countsPads?: boolean
  readonly indices?: boolean
  readonly power?: number
}

/** Any number of axes: values, then with `indices` as many positions. */
function densePool(context: NodeContext, plan: PlanWriter, pool: DensePool): Dense {
  const window = windowFor(context)
  const { value, dims: input } = plan.contiguous(plan.dense(0))
  const output = dims(context)[0] as number[]
  const tables = [input.slice(2), output.slice(2), window.kernel, window.strides, window.dilations, window.padsBegin, window.padsEnd]
  const columnMajor = intAttribute(context.node, 'storage_order', 0) !== 0
  return plan.emitDense(
    {
      op: 'pool',
      function: pool.name,
      inputs: [value],
      sizes: [elementCount(input.slice(0, 2))],
      tables: tables.map((table) => Int32Array.from(table)),
      numbers: Float32Array.of(pool.power ?? 2),
      flags: [pool.countsPads ?? false, pool.indices ?? false, columnMajor]
    },
    pool.indices === true ? [2 * elementCount(output)] : output
  )
}

/** Output 1, where it is used, has the places of the maxima. */
const maxPool: Operator = {
  opType: 'MaxPool',
  opsets: allOpsets,
  dims: (context) => Array.from({ length: context.node.outputs.length }, () => dims(context)[0] as number[]),
  dtypes: (context) => [requiredInput(context, 0).dtype, 'int64'],
  lower(context, plan) {
    const output = dims(context)[0] as number[]
    if (!isBlockedPool(context, plan) || requiredInput(context, 0).dtype.includes('int')) {
      const indices = (context.node.outputs[1] ?? '') !== ''
      const both = densePool(context, plan, { name: 'maximum', indices })
      return indices ? [part(both, 0, output), part(both, elementCount(output), output)].map(refOf) : [refOf(both)]
    }
    const window = planWindow(windowFor(context))
    const input = paddedInput(plan, [-Infinity])
    const step = { op: 'max_pool', input: input.value, ...window, pads: addPads(window.pads, input.pads), countIncludePad: false } as const
    return emitShaped(context, plan, step, output)
  }
}

const averagePool: Operator = {
  opType: 'AveragePool',
  opsets: allOpsets,
  dims,
  lower(context, plan) {
    const countsPads = intAttribute(context.node, 'count_include_pad', 0) !== 0
    if (!isBlockedPool(context, plan)) return [refOf(densePool(context, plan, { name: 'average', countsPads }))]
    const window = planWindow(windowFor(context))
    const input = paddedInput(plan, [0])
    const isPaddedBefore = input.pads.some((pad) => pad > 0)
    // A Pad node's zeros always count; the pool's own pads only with count_include_pad.
    if (isPaddedBefore && !countsPads && window.pads.some((pad) => pad > 0))
      return [refOf(densePool(context, plan, { name: 'average', countsPads }))]
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

const lpPool: Operator = {
  opType: 'LpPool',
  opsets: allOpsets,
  dims,
  lower: (context, plan) => [refOf(densePool(context, plan, { name: 'norm', power: intAttribute(context.node, 'p', 2) }))]
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

/** Over all axes behind the channels. */
function globalPool(opType: string, name: ReduceFunction, blocked?: (plan: PlanWriter, value: number) => ValueRef): Operator {
  return {
    opType,
    opsets: everyOpset,
    dims: globalDims,
    lower(context, plan) {
      const input = inputDims(context)
      if (blocked !== undefined && input.length <= 4) return [blocked(plan, plan.blocked(0))]
      const axes = input.slice(2).map((_, i) => i + 2)
      return [refOf(reshape(plan, reduce(plan, name, plan.dense(0), axes), globalDims(context)[0] as number[]))]
    }
  }
}

export const pools: readonly Operator[] = [
  maxPool,
  averagePool,
  lpPool,
  globalPool('GlobalAveragePool', 'mean', globalAverage),
  globalPool('GlobalMaxPool', 'maximum', globalMaximum),
  globalPool('GlobalLpPool', 'l2')
]
