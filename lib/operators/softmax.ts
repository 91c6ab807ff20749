import { intAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import { along, type Dense, refOf, reshape } from './dense.js'
import { type NodeContext, type Operator, type PlanWriter, allOpsets, axisOf, newestOpset, requiredInput } from './operator.js'

/**
 * Before opset 13 everything from the axis on is one vector, and the axis is 1 by default; since then only the axis itself is, and it is the
 * last one by default.
 */
function vectors(context: NodeContext): { readonly axis: number; readonly isFlattening: boolean } {
  const { dims } = requiredInput(context, 0)
  const isFlattening = context.opset < 13
  return { axis: axisOf(context, intAttribute(context.node, 'axis', isFlattening ? 1 : -1), dims.length), isFlattening }
}

function alongAxis(context: NodeContext, plan: PlanWriter, name: 'softmax' | 'log_softmax' | 'hardmax'): Dense {
  const { axis, isFlattening } = vectors(context)
  const x = plan.dense(0)
  if (!isFlattening) return along(plan, name, x, axis)
  const flat = reshape(plan, x, [elementCount(x.dims.slice(0, axis)), elementCount(x.dims.slice(axis))])
  return reshape(plan, along(plan, name, flat, 1), x.dims)
}

/** Over channels of a blocked value, or along any axis of a dense one. */
function softmax(opType: string, op: 'softmax' | 'log_softmax'): Operator {
  return {
    opType,
    opsets: allOpsets,
    dims: (context) => [requiredInput(context, 0).dims],
    lower(context, plan) {
      const { axis, isFlattening } = vectors(context)
      const isOverChannels = axis === 1 && (!isFlattening || elementCount(requiredInput(context, 0).dims.slice(2)) === 1)
      if (!isOverChannels || !plan.isBlocked(0)) return [refOf(alongAxis(context, plan, op))]
      const input = plan.blocked(0)
      return [plan.emit({ op, input }, plan.shape(input))]
    }
  }
}

const hardmax: Operator = {
  opType: 'Hardmax',
  opsets: allOpsets,
  gradient: 'zero',
  dims: (context) => [requiredInput(context, 0).dims],
  lower: (context, plan) => [refOf(alongAxis(context, plan, 'hardmax'))]
}

/** Input 1 is the axis, which must be known. */
const cumSum: Operator = {
  opType: 'CumSum',
  opsets: [11, newestOpset],
  constants: [1],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { dims } = requiredInput(context, 0)
    const axis = axisOf(context, Number(requiredInput(context, 1).constant?.data[0] ?? Number.NaN), dims.length)
    const flags = [intAttribute(context.node, 'exclusive', 0) !== 0, intAttribute(context.node, 'reverse', 0) !== 0] as const
    return [refOf(along(plan, 'cumulative_sum', plan.dense(0), axis, flags))]
  }
}

export const softmaxes: readonly Operator[] = [softmax('Softmax', 'softmax'), softmax('LogSoftmax', 'log_softmax'), hardmax, cumSum]
