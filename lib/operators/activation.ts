import { floatAttribute } from '../graph/rewrite.js'
import type { PlanActivation } from '../runtime/plan-spec.js'
import { type NodeContext, type Operator, allOpsets, floatInput, nodeError, requiredInput } from './operator.js'

/** The largest finite float32: what ONNX means by a bound that is not given. */
const largest = 3.4028234663852886e38

function activation(opType: string, kind: (context: NodeContext) => PlanActivation): Operator {
  return {
    opType,
    opsets: allOpsets,
    hasGradient: true,
    dims: (context) => [requiredInput(context, 0).dims],
    lower(context, plan) {
      const input = plan.plain(0)
      return [plan.emit({ op: 'activation', input, activation: kind(context) }, plan.shape(input))]
    }
  }
}

/** Bounds were attributes before opset 11 and are inputs since; min > max makes every value max. */
function clip(context: NodeContext): PlanActivation {
  const alpha = bound(context, 'min', 1, -largest)
  const beta = bound(context, 'max', 2, largest)
  return alpha === 0 && beta === largest ? { kind: 'relu' } : { kind: 'clip', alpha, beta }
}

function bound(context: NodeContext, name: string, index: number, fallback: number): number {
  if (context.opset < 11) return finite(floatAttribute(context.node, name, fallback))
  if (context.inputs[index] === undefined) return fallback
  const { data } = floatInput(context, index, `bound ${name}`)
  if (data.length !== 1) throw nodeError(context, `${name}: expected a scalar, got ${data.length} elements`)
  return finite(Number(data[0]))
}

function finite(value: number): number {
  return Math.min(largest, Math.max(-largest, value))
}

export const activations: readonly Operator[] = [
  activation('Relu', () => ({ kind: 'relu' })),
  activation('LeakyRelu', ({ node }) => ({ kind: 'leaky_relu', alpha: floatAttribute(node, 'alpha', 0.01) })),
  activation('Clip', clip),
  activation('Sigmoid', () => ({ kind: 'sigmoid' })),
  activation('Tanh', () => ({ kind: 'tanh' }))
]
