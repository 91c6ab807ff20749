import { floatAttribute, stringAttribute } from '../graph/rewrite.js'
import type { PlanActivation } from '../runtime/plan-spec.js'
import { apply, refOf, scalar } from './dense.js'
import { emitEither } from './either.js'
import { type NodeContext, type Operator, allOpsets, everyOpset, newestOpset, nodeError, requiredInput } from './operator.js'

/** The largest finite float32: what ONNX means by a bound that is not given. */
const largest = 3.4028234663852886e38

function activation(opType: string, kind: (context: NodeContext) => PlanActivation, first: number = allOpsets[0]): Operator {
  return {
    opType,
    opsets: [first, newestOpset],
    dims: (context) => [requiredInput(context, 0).dims],
    lower: (context, plan) => [emitEither(plan, (input) => ({ op: 'activation', input, activation: kind(context) }))]
  }
}

/** Bounds were attributes before opset 11 and are inputs since; min > max makes every value max. */
const clip: Operator = {
  opType: 'Clip',
  opsets: allOpsets,
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const [low, high] = [bound(context, 'min', 1, -largest), bound(context, 'max', 2, largest)]
    if (low !== undefined && high !== undefined) {
      const kind: PlanActivation = low === 0 && high >= largest ? { kind: 'relu' } : { kind: 'clip', alpha: low, beta: high }
      return [emitEither(plan, (input) => ({ op: 'activation', input, activation: kind }))]
    }
    const bounds = [low ?? plan.dense(1), high ?? plan.dense(2)].map((x) => (typeof x === 'number' ? scalar(plan, x) : x))
    return [refOf(apply(plan, 'clip', [plan.dense(0), ...bounds]))]
  }
}

/** `undefined`: computed. */
function bound(context: NodeContext, name: string, index: number, fallback: number): number | undefined {
  if (context.opset < 11) return floatAttribute(context.node, name, fallback)
  const input = context.inputs[index]
  if (input === undefined) return fallback
  if (input.dims.length > 1 || (input.dims[0] ?? 1) !== 1)
    throw nodeError(context, `${name}: expected a scalar, got a tensor of shape [${input.dims.join(', ')}]`)
  const { constant } = input
  if (constant === undefined || constant.dtype === 'float16' || constant.dtype === 'bfloat16') return undefined
  return Math.fround(Number(constant.data[0]))
}

export const activations: readonly Operator[] = [
  activation('Relu', () => ({ kind: 'relu' })),
  activation('LeakyRelu', ({ node }) => ({ kind: 'leaky_relu', alpha: floatAttribute(node, 'alpha', 0.01) })),
  clip,
  activation('Sigmoid', () => ({ kind: 'sigmoid' })),
  activation('Tanh', () => ({ kind: 'tanh' })),
  activation('HardSigmoid', ({ node }) => ({
    kind: 'hard_sigmoid',
    alpha: floatAttribute(node, 'alpha', 0.2),
    beta: floatAttribute(node, 'beta', 0.5)
  })),
  activation('HardSwish', () => ({ kind: 'hard_swish', alpha: 1 }), 14),
  activation('Elu', ({ node }) => ({ kind: 'elu', alpha: floatAttribute(node, 'alpha', 1) })),
  activation('Selu', ({ node }) => ({
    kind: 'selu',
    alpha: floatAttribute(node, 'alpha', 1.6732631921768188),
    beta: floatAttribute(node, 'gamma', 1.0507010221481323)
  })),
  activation('Softplus', () => ({ kind: 'softplus' }), everyOpset[0]),
  activation('Softsign', () => ({ kind: 'softsign' }), everyOpset[0]),
  activation('ThresholdedRelu', ({ node }) => ({ kind: 'thresholded_relu', alpha: floatAttribute(node, 'alpha', 1) }), 10),
  activation('Mish', () => ({ kind: 'mish' }), 18),
  activation('Swish', ({ node }) => ({ kind: 'swish', alpha: floatAttribute(node, 'alpha', 1) }), 24),
  activation('Gelu', ({ node }) => ({ kind: stringAttribute(node, 'approximate', 'none') === 'tanh' ? 'gelu_tanh' : 'gelu' }), 20)
]
