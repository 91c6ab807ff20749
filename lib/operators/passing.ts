import { floatAttribute } from '../graph/rewrite.js'
import { type NodeContext, type Operator, allOpsets, constantInput, nodeError, requiredInput, unsupported } from './operator.js'

/** What does nothing but hand its input on. */
function passing(opType: string, check: (context: NodeContext) => void): Operator {
  return {
    opType,
    opsets: allOpsets,
    hasGradient: true,
    dims: (context) => [requiredInput(context, 0).dims],
    fold(context) {
      const tensor = context.inputs[0]?.constant
      return tensor === undefined ? undefined : [tensor]
    },
    lower(context, plan) {
      check(context)
      return [plan.ref(0)]
    }
  }
}

/** A training_mode input exists since opset 12; the mask output is refused by the analysis wherever it is used. */
function checkDropout(context: NodeContext): void {
  const mode = context.opset < 12 ? undefined : constantInput(context, 2, 'training_mode')
  if (mode !== undefined && mode.data[0] !== 0) throw unsupported(context, 'training_mode', 'a model exported for inference is needed')
}

const nothing = passing('Dropout', checkDropout)

/** Nothing in inference. The ratio was an attribute before opset 12 and is an input since; 0.5 where it is not given. */
const dropout: Operator = {
  ...nothing,
  lower(context, plan) {
    if (plan.training?.dropout !== true) return nothing.lower(context, plan)
    const given = context.opset < 12 ? undefined : constantInput(context, 1, 'ratio')
    const ratio = context.opset < 12 ? floatAttribute(context.node, 'ratio', 0.5) : Number(given?.data[0] ?? 0.5)
    if (!(ratio >= 0 && ratio < 1)) throw nodeError(context, `ratio: expected a number from 0 to below 1, got ${ratio}`)
    if (ratio === 0) return nothing.lower(context, plan)
    const input = plan.plain(0)
    return [plan.emit({ op: 'dropout', input, ratio }, plan.shape(input))]
  }
}

export const passings: readonly Operator[] = [passing('Identity', () => undefined), dropout]
