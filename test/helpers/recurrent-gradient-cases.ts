import { recurrentWeights } from '../../bench/modern-blocks.js'
import type { AttributeValue } from '../../lib/graph/rewrite.js'
import { type Body, caseList, type GradientCase, gradientBatch } from './gradient-case.js'
import { float, int, type NetworkBuilder } from './network-builder.js'

/*
 * Recurrent layers, for gradient-cases.ts: all outputs of each are looked at.
 */

const { cases, add } = caseList()
const gatesOf = { LSTM: 4, GRU: 3, RNN: 1 } as const
type Recurrent = keyof typeof gatesOf
type More = (b: NetworkBuilder, x: string, directions: number) => readonly string[]
/** Time steps, features of each, cells. */
type Sizes = readonly [number, number, number]
const usual: Sizes = [5, 4, 6]

function recurrent(
  name: string,
  opType: Recurrent,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: More = () => [],
  sizes: Sizes = usual
): void {
  const [timeSteps, features, hidden] = sizes
  const body: Body = (b, x) => {
    const directions = attributes.direction === 'bidirectional' ? 2 : 1
    const width = gatesOf[opType] * hidden
    const isBatchFirst = attributes.layout !== undefined
    const sequence = isBatchFirst ? x : b.node('Transpose', [x], { perm: [1, 0, 2] })
    const weights = recurrentWeights(b, directions, width, features, hidden)
    const all = { hidden_size: int(hidden), ...attributes }
    const outputs = b.nodeOf(opType, [sequence, ...weights, ...more(b, sequence, directions)], all, opType === 'LSTM' ? 3 : 2)
    const [y = '', ...states] = outputs
    const perImage = isBatchFirst ? y : b.node('Transpose', [y], { perm: [2, 0, 1, 3] })
    const last = states.map((state) => (isBatchFirst ? state : b.node('Transpose', [state], { perm: [1, 0, 2] })))
    const rows = [perImage, ...last].map((value) => b.node('Reshape', [value, b.ints(gradientBatch, -1)]))
    return b.node('Concat', rows, { axis: int(1) })
  }
  add(`${opType} ${name}`, [timeSteps, features], body)
}

const [, features, hidden] = usual

/** Of a batch, a state that the network computes: D×N×H. */
const computedState = (b: NetworkBuilder, x: string, directions: number): string =>
  b.node('MatMul', [b.node('ReduceMean', [x, b.ints(0)]), b.weight(directions, features, hidden)])
/** One that is learnt, the same for all. */
const learntState = (b: NetworkBuilder, directions: number): string =>
  b.node('Expand', [b.weight(directions, 1, hidden), b.ints(directions, gradientBatch, hidden)])
const lengths = (b: NetworkBuilder): string => b.node('Cast', [b.ints(5, 1, 3)], { to: int(6) })
const names = (...value: readonly string[]): AttributeValue => ({ kind: 'strings', value })
const values = (...value: readonly number[]): AttributeValue => ({ kind: 'floats', value })

for (const opType of ['LSTM', 'GRU', 'RNN'] as const) {
  for (const direction of ['forward', 'reverse', 'bidirectional']) recurrent(direction, opType, { direction })
  for (const direction of ['forward', 'bidirectional'])
    recurrent(`${direction} with lengths and states`, opType, { direction }, (b, x, directions) => [
      lengths(b),
      computedState(b, x, directions),
      ...(opType === 'LSTM' ? [learntState(b, directions)] : [])
    ])
  recurrent('that is clipped', opType, { clip: float(0.4) })
}
for (const direction of ['forward', 'bidirectional'])
  recurrent(`${direction} that resets behind the product`, 'GRU', { linear_before_reset: int(1), direction }, (b, _, directions) => [
    lengths(b),
    learntState(b, directions)
  ])
recurrent('with peepholes', 'LSTM', { direction: 'bidirectional' }, (b, x, directions) => [
  lengths(b),
  learntState(b, directions),
  computedState(b, x, directions),
  b.weight(directions, 3 * hidden)
])
recurrent('with coupled gates and peepholes', 'LSTM', { input_forget: int(1) }, (b) => ['', '', '', b.weight(1, 3 * hidden)])
recurrent('with the batch first', 'GRU', { layout: int(1) })
recurrent('of other activations', 'LSTM', {
  direction: 'bidirectional',
  activations: names('HardSigmoid', 'Softsign', 'ScaledTanh', 'Affine', 'LeakyRelu', 'Elu'),
  activation_alpha: values(0.25, 1.5, 0.5, 0.1, 0.7),
  activation_beta: values(0.45, 0.8, 0.2)
})
recurrent('of other activations', 'GRU', { activations: names('Softplus', 'ThresholdedRelu'), activation_alpha: values(-0.3) })
recurrent('of Relu', 'RNN', { activations: names('Relu') })
// Vectors of every kernel that are filled in part, and products that several threads share.
for (const [timeSteps, size, wide] of [
  [1, 1, 1],
  [2, 7, 17],
  [3, 33, 67]
] as const)
  for (const opType of ['LSTM', 'GRU', 'RNN'] as const)
    recurrent(`of ${wide} cells`, opType, { direction: 'bidirectional' }, () => [], [timeSteps, size, wide])

export const recurrentGradientCases: readonly GradientCase[] = cases
