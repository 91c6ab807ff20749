import type { Graph } from '../../lib/graph/graph.js'
import type { AttributeValue } from '../../lib/graph/rewrite.js'
import { analyse } from '../../lib/operators/infer.js'
import { elementCount } from '../../lib/tensor.js'
import { exportedGelus } from './exported-gelus.js'
import { type Body, caseList, type GradientCase, gradientBatch } from './gradient-case.js'
import { indexedGradientCases } from './indexed-gradient-cases.js'
import { recurrentGradientCases } from './recurrent-gradient-cases.js'
import { float, int, NetworkBuilder } from './network-builder.js'

/*
 * Operators whose gradients are compared with numerical ones, as networks have them: on dense values, on blocked ones where there is such a
 * form, and between the two.
 */

/** Before the operator something is trained: a matrix, which leaves a dense value, or a convolution, which leaves a blocked one. */
function begin(b: NetworkBuilder, dims: readonly number[], kind: 'dense' | 'blocked'): string {
  const x = b.input([gradientBatch, ...dims], 'x')
  const last = dims.at(-1) as number
  if (kind === 'dense') return b.node('MatMul', [x, b.weight(last, last)])
  const channels = dims[0] as number
  // Without a bias, which a normalisation behind it would take away again: its gradient would be nothing but rounding.
  return b.conv(x, [channels, channels, ...dims.slice(1).map(() => 1)], {}, false)
}

/** A last product over all of an example: an average would hide gradients of the wrong element. */
function end(b: NetworkBuilder, y: string): string {
  const graph = b.graph(y)
  const count = elementCount(analyse(graph).dims.get(y) as readonly number[]) / gradientBatch
  return b.node('MatMul', [b.node('Reshape', [y, b.ints(gradientBatch, count)]), b.weight(count, 3)])
}

/** What is trained, the operator, and logits. */
export function gradientGraph({ dims, body, opset = 18 }: GradientCase, kind: 'dense' | 'blocked'): { graph: Graph; b: NetworkBuilder } {
  const b = new NetworkBuilder(opset, 7)
  return { graph: b.graph(end(b, body(b, begin(b, dims, kind)))), b }
}

const { cases, add } = caseList()
const node =
  (opType: string, attributes: Readonly<Record<string, AttributeValue>> = {}, more: (b: NetworkBuilder) => string[] = () => []): Body =>
  (b, x) =>
    b.node(opType, [x, ...more(b)], attributes)

const image = [5, 4, 6]
const rank3 = [4, 6]

// Of one value; some want positive ones, or small.
const positive: Body = (b, x) => b.node('Add', [b.node('Abs', [x]), b.scalar(0.3)])
const small: Body = (b, x) => b.node('Mul', [b.node('Tanh', [x]), b.scalar(0.8)])
for (const opType of ['Abs', 'Neg', 'Exp', 'Sin', 'Cos', 'Atan', 'Sinh', 'Cosh', 'Asinh', 'Erf', 'Softsign', 'Celu', 'Identity'])
  add(opType, image, node(opType))
for (const opType of ['Sqrt', 'Log', 'Reciprocal']) add(opType, image, (b, x) => b.node(opType, [positive(b, x)]))
for (const opType of ['Asin', 'Acos', 'Atanh', 'Tan']) add(opType, image, (b, x) => b.node(opType, [small(b, x)]))
add('Acosh', image, (b, x) => b.node('Acosh', [b.node('Add', [positive(b, x), b.scalar(1)])]))
add('ThresholdedRelu', image, node('ThresholdedRelu', { alpha: float(0.2) }))
add('Shrink', image, node('Shrink', { bias: float(0.1), lambd: float(0.3) }))
for (const opType of ['Floor', 'Round', 'Sign']) add(opType, image, (b, x) => b.node('Add', [b.node(opType, [x]), x]))
for (const opType of ['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh', 'HardSigmoid', 'HardSwish', 'Elu', 'Selu', 'Softplus', 'Mish'])
  add(opType, rank3, node(opType))
for (const [name, gelu] of exportedGelus) add(`Gelu as exported, ${name}`, image, gelu)
for (const opType of ['Gelu', 'Swish']) add(opType, image, node(opType), 24)
add('Clip', image, (b, x) => b.node('Clip', [x, b.scalar(-0.4), b.scalar(0.6)]))

// Of two: activations with each other, with themselves, with trained tensors that are broadcast, on both sides.
for (const opType of ['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max']) {
  const second: Body = opType === 'Div' ? positive : (_, x) => x
  add(`${opType} of values`, image, (b, x) => b.node(opType, [x, second(b, b.node('Sin', [x]))]))
  add(`${opType} of a value and its map's mean`, image, (b, x) =>
    b.node(opType, [x, second(b, b.node('GlobalAveragePool', [b.node('Sin', [x])]))])
  )
  for (const dims of [[6], [4, 1], [5, 1, 1], [1, 5, 4, 6], [5, 4, 6], [1, 1, 4, 1]])
    add(`${opType} with ${dims.join('×')}`, image, (b, x) => b.node(opType, [x, b.positive(...dims)]))
  add(`${opType} on the left`, image, (b, x) => b.node(opType, [b.weight(4, 6), second(b, x)]))
  add(`${opType} that both are broadcast in`, [1, 6], (b, x) => b.node(opType, [x, b.positive(5, 1)]))
}
add('a value with itself', image, (b, x) => b.node('Div', [b.node('Mul', [x, x]), positive(b, x)]))
add('Pow with a constant', image, (b, x) => b.node('Pow', [positive(b, x), b.scalar(2.5)]))
add('Pow 2', image, (b, x) => b.node('Pow', [x, b.scalar(2)]))
add('Pow 3 of negative numbers', image, (b, x) => b.node('Pow', [x, b.scalar(3)]))
add('Pow with trained exponents', image, (b, x) => b.node('Pow', [positive(b, x), b.positive(5, 1, 1)]))
add('Mod', image, (b, x) => b.node('Mod', [x, b.positive(6)], { fmod: int(1) }))
for (const dims of [
  [5, 1, 1],
  [1, 1, 1],
  [4, 6]
])
  add(`PRelu of ${dims.join('×')}`, image, (b, x) => b.node('PRelu', [x, b.weight(...dims)]))
add('Sum of three', image, (b, x) => b.node('Sum', [x, b.node('Sin', [x]), b.weight(1, 5, 4, 6)]))
add('Mean of three', image, (b, x) => b.node('Mean', [x, b.node('Sin', [x]), b.weight(4, 6)]))
add('Where', image, (b, x) => b.node('Where', [b.node('Greater', [x, b.scalar(0.1)]), b.node('Sin', [x]), b.weight(5, 1, 1)]))

// Moving.
add('Transpose', image, node('Transpose', { perm: [0, 2, 3, 1] }))
add('Transpose twice', image, (b, x) =>
  b.node('Transpose', [b.node('Mul', [b.node('Transpose', [x], { perm: [0, 2, 3, 1] }), b.weight(5)])], { perm: [0, 3, 1, 2] })
)
add('Reshape', image, (b, x) => b.node('Sin', [b.node('Reshape', [x, b.ints(0, 10, 12)])]))
add('Flatten', image, (b, x) => b.node('Flatten', [b.node('Sin', [x])], { axis: int(2) }))
add('Squeeze, Unsqueeze', image, (b, x) => b.node('Squeeze', [b.node('Sin', [b.node('Unsqueeze', [x, b.ints(2)])]), b.ints(2)]))
for (const axis of [1, 2, 3])
  add(`Concat along ${axis}`, image, (b, x) => b.node('Concat', [x, b.node('Sin', [x]), x], { axis: int(axis) }))
add('Concat with a token for each', rank3, (b, x) =>
  b.node('Concat', [b.node('Expand', [b.weight(1, 1, 6), b.ints(gradientBatch, 1, 6)]), x], { axis: int(1) })
)
for (const [axis, start, stop, step] of [
  [1, 1, 4, 1],
  [1, 0, 5, 2],
  [2, 0, 3, 2],
  [3, 5, 0, -2]
] as const)
  add(`Slice of axis ${axis} by ${step}`, image, (b, x) =>
    b.node('Sin', [b.node('Slice', [x, b.ints(start), b.ints(stop), b.ints(axis), b.ints(step)])])
  )
for (const axis of [1, 2])
  add(`Split of axis ${axis}`, image, (b, x) => {
    const sizes = axis === 1 ? b.ints(2, 3) : b.ints(1, 3)
    const [left, right] = b.nodeOf('Split', [x, sizes], { axis: int(axis) }, 2) as [string, string]
    return b.node('Concat', [right, b.node('Sin', [left])], { axis: int(axis) })
  })
for (const mode of ['constant', 'reflect', 'edge', 'wrap'])
  add(
    `Pad ${mode}`,
    image,
    (b, x) => {
      const pads = b.ints(0, 0, 1, 2, 0, 0, 2, 3)
      return b.node('Pad', mode === 'constant' ? [x, pads, b.scalar(0.5)] : [x, pads], { mode })
    },
    19
  )
add('Pad before a convolution', image, (b, x) =>
  b.conv(b.node('Pad', [x, b.ints(0, 0, 1, 1, 0, 0, 1, 1)], { mode: 'reflect' }), [3, 5, 3, 3])
)
add('Pad of channels', image, (b, x) => b.node('Pad', [x, b.ints(0, 1, 0, 0, 0, 2, 0, 0)]))
add('CenterCropPad', image, (b, x) => b.node('CenterCropPad', [x, b.ints(6, 3)], { axes: [2, 3] }))
add('Expand', [4, 1], (b, x) => b.node('Sin', [b.node('Expand', [x, b.ints(gradientBatch, 4, 5)])]))
add('Tile', image, (b, x) => b.node('Sin', [b.node('Tile', [x, b.ints(1, 2, 1, 3)])]))
add('DepthToSpace DCR', [8, 3, 2], node('DepthToSpace', { blocksize: int(2) }))
add('DepthToSpace CRD', [8, 3, 2], node('DepthToSpace', { blocksize: int(2), mode: 'CRD' }))
add('SpaceToDepth', image, node('SpaceToDepth', { blocksize: int(2) }))

// Reductions.
const reductions = ['Mean', 'Sum', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSumExp', 'SumSquare']
for (const name of reductions) {
  for (const [axes, keepdims] of [
    [[1], 1],
    [[3], 0],
    [[2, 3], 1],
    [[1, 3], 0]
  ] as const)
    add(`Reduce${name} of ${axes}`, image, (b, x) => b.node(`Reduce${name}`, [x, b.ints(...axes)], { keepdims: int(keepdims) }))
}
add('ReduceLogSum', image, (b, x) => b.node('ReduceLogSum', [positive(b, x), b.ints(2)]))
for (const opType of ['GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool']) add(opType, image, node(opType))
add('GlobalAveragePool of volumes', [3, 2, 3, 4], node('GlobalAveragePool'))
for (const axis of [1, 2, 3]) {
  add(`Softmax of ${axis}`, image, node('Softmax', { axis: int(axis) }))
  add(`LogSoftmax of ${axis}`, image, node('LogSoftmax', { axis: int(axis) }))
}
add('Softmax of all behind an axis', image, node('Softmax', { axis: int(2) }), 11)
for (const reverse of [0, 1])
  for (const exclusive of [0, 1])
    add(`CumSum ${reverse} ${exclusive}`, image, (b, x) =>
      b.node('CumSum', [x, b.ints(2)], { reverse: int(reverse), exclusive: int(exclusive) })
    )

// Products.
add('MatMul with a matrix', rank3, (b, x) => b.node('MatMul', [x, b.weight(6, 7)]))
add('MatMul with a matrix, two batches', image, (b, x) => b.node('MatMul', [x, b.weight(6, 7)]))
add('MatMul with a matrix of each batch', image, (b, x) => b.node('MatMul', [x, b.weight(5, 6, 2)]))
add('MatMul of a matrix on the left', rank3, (b, x) => b.node('MatMul', [b.weight(3, 4), x]))
add('MatMul of values', image, (b, x) => b.node('MatMul', [x, b.node('Transpose', [b.node('Sin', [x])], { perm: [0, 1, 3, 2] })]))
add('MatMul with a value that is broadcast', image, (b, x) =>
  b.node('MatMul', [x, b.node('Transpose', [b.node('ReduceMean', [x, b.ints(1)])], { perm: [0, 1, 3, 2] })])
)
add('MatMul with a vector', rank3, (b, x) => b.node('MatMul', [x, b.weight(6)]))
add('Gemm of values', rank3, (b, x) => {
  const y = b.node('Reshape', [x, b.ints(12, 6)])
  return b.node('Gemm', [y, b.node('Sin', [y]), b.weight(12)], { transB: int(1), alpha: float(0.5), beta: float(2) })
})
add('Gemm of a row of values', [6], (b, x) => b.node('Gemm', [b.node('Sin', [x]), b.weight(4, 6), b.weight(4)], { transB: int(1) }))
add('Einsum', image, (b, x) => b.node('Einsum', [x, b.weight(5, 6, 3)], { equation: 'bchw,cwk->bhk' }))
add('attention', [5, 8], (b, x) => {
  const split = (y: string): string => b.node('Transpose', [b.node('Reshape', [y, b.ints(0, 5, 2, 4)])], { perm: [0, 2, 1, 3] })
  const projected = (): string => b.node('MatMul', [x, b.weight(8, 8)])
  // Keys have no bias: softmax would take it away again.
  const [q, k, v] = [split(b.node('Add', [projected(), b.weight(8)])), split(projected()), split(b.node('Add', [projected(), b.weight(8)]))]
  const scores = b.node('Div', [b.node('MatMul', [q, b.node('Transpose', [k], { perm: [0, 1, 3, 2] })]), b.scalar(2)])
  const mixed = b.node('MatMul', [b.node('Softmax', [scores], { axis: int(-1) }), v])
  return b.node('Add', [x, b.node('Reshape', [b.node('Transpose', [mixed], { perm: [0, 2, 1, 3] }), b.ints(0, 5, 8)])])
})

// Normalisations.
add('LayerNormalization', rank3, (b, x) => b.node('LayerNormalization', [x, b.positive(6), b.weight(6)]))
add('LayerNormalization of two axes', image, (b, x) => b.node('LayerNormalization', [x, b.positive(4, 6)], { axis: int(-2) }))
add('LayerNormalization with its statistics', rank3, (b, x) => {
  const outputs = b.nodeOf('LayerNormalization', [x, b.positive(6), b.weight(6)], {}, 3)
  return b.node('Concat', outputs, { axis: int(2) })
})
add('LayerNormalization as it was', rank3, (b, x) => {
  const mean = b.node('ReduceMean', [x, b.ints(-1)])
  const centred = b.node('Sub', [x, mean])
  const variance = b.node('ReduceMean', [b.node('Pow', [centred, b.scalar(2)]), b.ints(-1)])
  const normal = b.node('Div', [centred, b.node('Sqrt', [b.node('Add', [variance, b.scalar(1e-5)])])])
  return b.node('Add', [b.node('Mul', [normal, b.positive(6)]), b.weight(6)])
})
add('InstanceNormalization', image, (b, x) => b.node('InstanceNormalization', [x, b.positive(5), b.weight(5)]))
add('GroupNormalization', [6, 2, 3], (b, x) => b.node('GroupNormalization', [x, b.positive(6), b.weight(6)], { num_groups: int(2) }), 21)
add('GroupNormalization by group', [6, 2, 3], (b, x) =>
  b.node('GroupNormalization', [x, b.positive(2), b.weight(2)], { num_groups: int(2) })
)
add('RMSNormalization', rank3, (b, x) => b.node('RMSNormalization', [x, b.positive(6)]), 23)
add('MeanVarianceNormalization', image, node('MeanVarianceNormalization'))
add('LpNormalization', image, node('LpNormalization', { axis: int(2) }))
add('LRN', image, node('LRN', { size: int(3), alpha: float(0.3) }))
for (const dims of [[6], [5, 4], image, [5, 2, 3, 4]])
  add(`BatchNormalization of rank ${dims.length + 1}`, dims, (b, x) => {
    const channels = dims[0] as number
    return b.node('BatchNormalization', [x, b.positive(channels), b.weight(channels), b.weight(channels), b.positive(channels)])
  })

// Convolutions and what goes with them.
add('Conv of three axes', [3, 4, 5, 4], (b, x) =>
  b.conv(x, [4, 3, 3, 2, 3], { pads: [1, 0, 1, 1, 1, 1], strides: [1, 2, 1], dilations: [1, 1, 1] })
)
add('Conv of three axes in groups', [4, 4, 3, 4], (b, x) => b.conv(x, [6, 2, 2, 3, 1], { group: int(2), strides: [2, 1, 1] }, false))
add('Conv with computed weights', image, (b, x) =>
  b.node('Conv', [x, b.node('Mul', [b.weight(4, 5, 3, 3), b.node('ReduceMean', [x, b.ints(0, 1, 2, 3)])])])
)
add('Conv of one axis', [5, 9], (b, x) => b.conv(x, [4, 5, 3], { pads: [1, 1], strides: [2] }))
const transposed =
  (channels: readonly number[], attributes: Readonly<Record<string, AttributeValue>>, bias = true): Body =>
  (b, x) =>
    b.node('ConvTranspose', [x, b.weight(...channels), ...(bias ? [b.weight((channels[1] as number) * 1)] : [])], attributes)
add('ConvTranspose', image, transposed([5, 4, 2, 2], { strides: [2, 2] }))
add('ConvTranspose with pads', image, transposed([5, 3, 3, 4], { strides: [2, 1], pads: [1, 0, 1, 2], output_padding: [1, 0] }))
add('ConvTranspose dilated', image, transposed([5, 19, 3, 2], { dilations: [2, 1], pads: [1, 1, 0, 0] }))
add('ConvTranspose in groups', [6, 4, 3], transposed([6, 2, 3, 3], { group: int(3), strides: [2, 2] }, false))
add('ConvTranspose of channels by themselves', [6, 4, 3], transposed([6, 1, 3, 3], { group: int(6), strides: [2, 2] }, false))
add('ConvTranspose of one axis', [5, 6], transposed([5, 4, 3], { strides: [2] }))
add('ConvTranspose of three axes', [3, 2, 3, 2], transposed([3, 4, 2, 2, 2], { strides: [2, 2, 2] }))
for (const [mode, coordinates] of [
  ['nearest', 'asymmetric'],
  ['linear', 'half_pixel'],
  ['linear', 'align_corners'],
  ['cubic', 'half_pixel']
] as const) {
  const attributes = { mode, coordinate_transformation_mode: coordinates }
  for (const sizes of [
    [8, 12],
    [3, 4]
  ] as const)
    add(`Resize ${mode}, ${coordinates} to ${sizes.join('×')}`, image, (b, x) =>
      b.node('Resize', [x, '', '', b.ints(gradientBatch, 5, ...sizes)], attributes)
    )
}
add('Resize nearest of three axes', [2, 2, 3, 2], (b, x) =>
  b.node('Resize', [x, '', '', b.ints(gradientBatch, 2, 4, 6, 3)], { mode: 'nearest' })
)
add('Resize linear of three axes', [2, 2, 3, 2], (b, x) =>
  b.node('Resize', [x, '', '', b.ints(gradientBatch, 2, 4, 5, 3)], { mode: 'linear' })
)
for (const opType of ['MaxPool', 'AveragePool', 'LpPool']) {
  add(`${opType} of three axes`, [2, 4, 5, 4], node(opType, { kernel_shape: [2, 3, 2], strides: [2, 1, 1], pads: [0, 1, 0, 1, 1, 0] }))
  add(`${opType} of two axes`, image, node(opType, { kernel_shape: [3, 2], strides: [1, 2], pads: [1, 0, 1, 0] }))
}
add(
  'AveragePool that counts pads',
  [2, 4, 5, 4],
  node('AveragePool', { kernel_shape: [2, 3, 2], pads: [0, 1, 0, 1, 1, 0], count_include_pad: int(1) })
)
add('MaxPool with its places', image, (b, x) => {
  const [values, places] = b.nodeOf('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] }, 2) as [string, string]
  return b.node('Add', [values, b.node('Mul', [b.node('Cast', [places], { to: int(1) }), b.scalar(0.01)])])
})
add('squeeze and excite', image, (b, x) => {
  const squeezed = b.node('Relu', [b.conv(b.node('GlobalAveragePool', [x]), [3, 5, 1, 1])])
  return b.node('Mul', [x, b.node('Sigmoid', [b.conv(squeezed, [5, 3, 1, 1])])])
})
add('one matrix in two places', rank3, (b, x) => {
  const weight = b.weight(6, 6)
  return b.node('MatMul', [b.node('Sin', [b.node('MatMul', [x, weight])]), weight])
})
add('one tensor as weight and as summand', image, (b, x) => {
  const weight = b.weight(5, 5, 1, 1)
  return b.node('Add', [
    b.node('Conv', [x, weight]),
    b.node('Reshape', [b.node('Mul', [b.node('Conv', [b.node('Sin', [x]), weight]), b.scalar(0.5)]), b.ints(gradientBatch, 5, 4, 6)])
  ])
})

// What else passes gradients on.
add('Cast', image, node('Cast', { to: int(1) }))
add('CastLike', image, (b, x) => b.node('CastLike', [x, b.scalar(1)]))
add('Dropout', image, node('Dropout'))
add('Trilu', image, node('Trilu'))
add('OneHot', [4], (b, x) =>
  b.node('Mul', [
    b.node('OneHot', [b.ints(0, 2, 1), b.index(3), b.floats(0.5, 2)], { axis: int(0) }),
    b.node('ReduceMean', [x, b.ints(1)], { keepdims: int(0) })
  ])
)
add('Upsample', image, (b, x) => b.node('Upsample', [x, b.floats(1, 1, 2, 1.5)], { mode: 'linear' }), 9)
add(
  'GridSample',
  image,
  (b, x) => {
    const grid = b.node('Tanh', [
      b.node('Reshape', [b.node('Slice', [x, b.ints(0), b.ints(4), b.ints(1)]), b.ints(gradientBatch, 6, 8, 2)])
    ])
    return b.node('GridSample', [x, grid], { mode: 'bilinear', padding_mode: 'zeros', align_corners: int(1) })
  },
  16
)
add('DFT', [6, 1], (b, x) => b.node('DFT', [x], { axis: int(1) }), 17)
add('STFT', [12, 1], (b, x) => b.node('STFT', [x, b.index(4), b.floats(0.2, 0.8, 1, 0.8, 0.3)]), 17)
add('DynamicQuantizeLinear', image, (b, x) => {
  const [, scale] = b.nodeOf('DynamicQuantizeLinear', [x], {}, 3) as [string, string, string]
  return b.node('Mul', [x, scale])
})
add('DequantizeLinear', image, (b, x) => {
  const whole = b.node('QuantizeLinear', [x, b.scalar(0.05)])
  return b.node('Add', [x, b.node('DequantizeLinear', [whole, b.scalar(0.04)])])
})

export const gradientCases: readonly GradientCase[] = [...cases, ...indexedGradientCases, ...recurrentGradientCases]
