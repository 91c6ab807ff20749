import { type NodeContext, type Operator, allOpsets, constantInput, requiredInput, unsupported } from './operator.js'

/** What does nothing in inference. */
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

export const passings: readonly Operator[] = [passing('Identity', () => undefined), passing('Dropout', checkDropout)]
