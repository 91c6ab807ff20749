import { floatAttribute } from '../graph/rewrite.js'
import { elementCount, type Tensor } from '../tensor.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  allOpsets,
  constantInput,
  nodeError,
  requiredInput,
  unsupported
} from './operator.js'

/** What does nothing in inference. */
const identity: Operator = {
  opType: 'Identity',
  opsets: allOpsets,
  dims: (context) => [requiredInput(context, 0).dims],
  fold(context) {
    const tensor = context.inputs[0]?.constant
    return tensor === undefined ? undefined : [tensor]
  },
  lower: (_, plan) => [plan.ref(0)]
}

/** A training_mode input exists since opset 12: only with a ratio of 0, which drops nothing, may it be set. */
function checkDropout(context: NodeContext): void {
  const mode = context.opset < 12 ? undefined : constantInput(context, 2, 'training_mode')
  const ratio = constantInput(context, 1, 'ratio')
  const dropsNothing = ratio !== undefined && Number(ratio.data[0]) === 0
  if (mode !== undefined && Number(mode.data[0]) !== 0 && !dropsNothing)
    throw unsupported(context, 'training_mode', 'a model exported for inference is needed')
}

/** Every element passes: the mask is all true (before opset 10 as a number of the input's type). */
function maskOf(context: NodeContext): Tensor {
  const { dims } = requiredInput(context, 0)
  const count = elementCount(dims)
  if (context.opset >= 10) return { dtype: 'bool', dims, data: new Uint8Array(count).fill(1) }
  return { dtype: 'float32', dims, data: new Float32Array(count).fill(1) }
}

/** How much training drops; 0: nothing. The ratio was an attribute before opset 12 and is an input since, 0.5 where it is not given. */
function droppedIn(context: NodeContext, plan: PlanWriter): number {
  if (plan.training?.dropout !== true) return 0
  const given = context.opset < 12 ? undefined : constantInput(context, 1, 'ratio')
  const ratio = context.opset < 12 ? floatAttribute(context.node, 'ratio', 0.5) : Number(given?.data[0] ?? 0.5)
  if (!(ratio >= 0 && ratio < 1)) throw nodeError(context, `ratio: expected a number from 0 to below 1, got ${ratio}`)
  return ratio
}

const dropout: Operator = {
  opType: 'Dropout',
  limits: 'inference, and training of networks',
  opsets: allOpsets,
  constants: [1, 2],
  dims: (context) => Array.from({ length: context.node.outputs.length }, () => requiredInput(context, 0).dims),
  dtypes: (context) => [requiredInput(context, 0).dtype, maskOf(context).dtype],
  lower(context, plan) {
    checkDropout(context)
    const ratio = droppedIn(context, plan)
    if (ratio > 0) {
      const input = plan.blocked(0)
      return [plan.emit({ op: 'dropout', input, ratio }, plan.shape(input))]
    }
    const isMaskUsed = (context.node.outputs[1] ?? '') !== ''
    return isMaskUsed ? [plan.ref(0), { value: plan.constant(maskOf(context)).value }] : [plan.ref(0)]
  }
}

export const passings: readonly Operator[] = [identity, dropout]
