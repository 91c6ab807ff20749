import { show } from '../errors.js'
import { intAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import { type NodeContext, type Operator, allOpsets, axisOf, requiredInput, unsupported } from './operator.js'

/**
 * Softmax over channels. Before opset 13 everything from the axis on is one vector, and the axis is 1 by default; since then only the axis
 * itself is, and it is the last one by default.
 */
function softmax(opType: string, op: 'softmax' | 'log_softmax'): Operator {
  return {
    opType,
    opsets: allOpsets,
    hasGradient: true,
    dims: (context) => [requiredInput(context, 0).dims],
    lower(context, plan) {
      checkAxis(context)
      const input = plan.plain(0)
      return [plan.emit({ op, input }, plan.shape(input))]
    }
  }
}

function checkAxis(context: NodeContext): void {
  const { dims } = requiredInput(context, 0)
  const isFlattening = context.opset < 13
  const axis = axisOf(context, intAttribute(context.node, 'axis', isFlattening ? 1 : -1), dims.length)
  const map = elementCount(dims.slice(2))
  if (axis === 1 && (!isFlattening || map === 1)) return
  throw unsupported(
    context,
    `softmax along axis ${axis} of ${show(dims)}`,
    isFlattening ? 'axis 1 of N×C or N×C×1×1 is needed' : 'axis 1 is needed'
  )
}

export const softmaxes: readonly Operator[] = [softmax('Softmax', 'softmax'), softmax('LogSoftmax', 'log_softmax')]
