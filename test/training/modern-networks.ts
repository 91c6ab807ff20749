import {
  bothWays,
  columnsOf,
  convNextBlock,
  firstToken,
  meanOverTime,
  recurrentWeights,
  tokensOf,
  transformerBlock
} from '../../bench/modern-blocks.js'
import type { Graph } from '../../lib/graph/graph.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'

/*
 * Small versions of what networks are made of today, each with its own way between blocks of channels and plain tensors.
 */

export interface ModernNetwork {
  readonly name: string
  /** Of an example. */
  readonly dims: readonly number[]
  readonly graph: Graph
  /** At which rounding errors do not grow within 200 steps; default: 0.02. */
  readonly learningRate?: number
}

export const modernClasses = 6
/** Those that repeat a token for each image have it in their shapes. */
export const modernBatch = 16

const image = [3, 8, 8] as const

/** Average over the map, then a matrix with bias. */
function head(b: NetworkBuilder, y: string, channels: number): Graph {
  return b.graph(
    b.node('Gemm', [b.node('Flatten', [b.node('GlobalAveragePool', [y])]), b.weight(modernClasses, channels), b.weight(modernClasses)], {
      transB: int(1)
    })
  )
}

const silu = (b: NetworkBuilder, x: string): string => b.node('Mul', [x, b.node('Sigmoid', [x])])

/** As exporters write it: instances of groups, then scale and bias by channel. */
function groupNorm(b: NetworkBuilder, x: string, groups: number, dims: readonly [number, number, number]): string {
  const split = b.node('Reshape', [x, b.ints(0, groups, -1)])
  const normal = b.node('InstanceNormalization', [split, b.positive(groups), b.small(groups)])
  const whole = b.node('Reshape', [normal, b.ints(0, ...dims)])
  return b.node('Add', [b.node('Mul', [whole, b.positive(dims[0], 1, 1)]), b.weight(dims[0], 1, 1)])
}

function convNext(): Graph {
  const b = new NetworkBuilder(17, 11)
  const x = b.conv(b.input(['N', ...image], 'image'), [8, 3, 2, 2], { strides: [2, 2] })
  return head(b, convNextBlock(b, x, 8, 3, 16), 8)
}

function mobile(): Graph {
  const b = new NetworkBuilder(17, 12)
  const x = b.conv(b.input(['N', ...image], 'image'), [6, 3, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })
  const wide = silu(b, groupNorm(b, b.conv(x, [12, 6, 1, 1], {}, false), 3, [12, 4, 4]))
  const deep = silu(b, groupNorm(b, b.conv(wide, [12, 1, 3, 3], { pads: [1, 1, 1, 1], group: int(12) }, false), 3, [12, 4, 4]))
  const squeezed = silu(b, b.conv(b.node('GlobalAveragePool', [deep]), [4, 12, 1, 1]))
  const gated = b.node('Mul', [deep, b.node('Sigmoid', [b.conv(squeezed, [12, 4, 1, 1])])])
  return head(b, b.node('Add', [x, b.conv(gated, [6, 12, 1, 1], {}, false)]), 6)
}

function uNet(): Graph {
  const b = new NetworkBuilder(17, 13)
  const pads = [1, 1, 1, 1]
  const first = b.node('Relu', [b.conv(b.input(['N', ...image], 'image'), [8, 3, 3, 3], { pads })])
  const pooled = b.node('MaxPool', [first], { kernel_shape: [2, 2], strides: [2, 2] })
  const middle = b.node('Relu', [b.conv(pooled, [12, 8, 3, 3], { pads })])
  const up = b.node('ConvTranspose', [middle, b.weight(12, 8, 2, 2), b.weight(8)], { strides: [2, 2] })
  return head(b, b.node('Relu', [b.conv(b.node('Concat', [up, first], { axis: int(1) }), [8, 16, 3, 3], { pads })]), 8)
}

function volumes(): Graph {
  const b = new NetworkBuilder(17, 14)
  const x = b.input(['N', 2, 4, 6, 6], 'clip')
  const norm = (y: string, channels: number): string =>
    b.node('BatchNormalization', [y, b.positive(channels), b.small(channels), b.small(channels), b.positive(channels)])
  let y = b.node('Relu', [norm(b.conv(x, [6, 2, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1], strides: [1, 2, 2] }, false), 6)])
  y = b.node('AveragePool', [y], { kernel_shape: [2, 1, 1], strides: [2, 1, 1] })
  y = b.node('Relu', [b.conv(y, [8, 6, 2, 3, 3], { pads: [0, 1, 1, 1, 1, 1] })])
  return head(b, y, 8)
}

function transformer(): Graph {
  const b = new NetworkBuilder(17, 15)
  const shape = { batch: modernBatch, tokens: 5, size: 8, heads: 2, wide: 16 }
  const patches = b.conv(b.input(['N', ...image], 'image'), [8, 3, 4, 4], { strides: [4, 4] })
  const x = transformerBlock(b, tokensOf(b, patches, shape), shape)
  return b.graph(b.node('Gemm', [firstToken(b, x, 8), b.weight(modernClasses, 8), b.weight(modernClasses)], { transB: int(1) }))
}

function decoder(): Graph {
  const b = new NetworkBuilder(17, 16)
  const pads = [1, 1, 1, 1]
  const x = b.node('HardSwish', [b.conv(b.input(['N', ...image], 'image'), [8, 3, 3, 3], { pads, strides: [2, 2] })])
  const scales = b.floats(1, 1, 2, 2)
  const linearly = b.node('Resize', [x, '', scales], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' })
  const y = b.node('Elu', [b.conv(linearly, [6, 8, 3, 3], { pads, strides: [2, 2] })])
  const nearest = b.node('Resize', [y, '', scales], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor'
  })
  return head(b, b.node('Tanh', [b.conv(nearest, [8, 6, 3, 3], { pads })]), 8)
}

function slopes(): Graph {
  const b = new NetworkBuilder(17, 17)
  const padded = (x: string): string => b.node('Pad', [x, b.ints(0, 0, 1, 1, 0, 0, 1, 1)], { mode: 'reflect' })
  const x = b.node('PRelu', [b.conv(padded(b.input(['N', ...image], 'image')), [8, 3, 3, 3]), b.small(8, 1, 1)])
  const y = b.node('InstanceNormalization', [b.conv(padded(x), [8, 8, 3, 3], { strides: [2, 2] }, false), b.positive(8), b.small(8)])
  return head(b, b.node('PRelu', [padded(y), b.small(8, 1, 1)]), 8)
}

/** As text recognition has it: columns of a map are a sequence, read in both directions. */
function textLine(): Graph {
  const b = new NetworkBuilder(17, 18)
  const [size, hidden] = [8, 7]
  const map = b.node('Relu', [b.conv(b.input(['N', ...image], 'image'), [size, 3, 8, 3], { pads: [0, 1, 0, 1] })])
  const mean = meanOverTime(b, bothWays(b, columnsOf(b, map, size), size, hidden))
  return b.graph(b.node('Gemm', [mean, b.weight(modernClasses, 2 * hidden), b.weight(modernClasses)], { transB: int(1) }))
}

/** A GRU as PyTorch exports it, which resets behind the product, then a simple layer, whose last state is what counts. */
function signal(): Graph {
  const b = new NetworkBuilder(17, 19)
  const [size, hidden] = [6, 9]
  const wave = b.node('Relu', [b.conv(b.input(['N', 3, 24], 'wave'), [size, 3, 5], { strides: [2], pads: [2, 2] })])
  const sequence = b.node('Transpose', [wave], { perm: [2, 0, 1] })
  const gru = [sequence, ...recurrentWeights(b, 1, 3 * hidden, size, hidden)]
  const [y = ''] = b.nodeOf('GRU', gru, { hidden_size: int(hidden), linear_before_reset: int(1) }, 1)
  const joined = b.node('Reshape', [y, b.ints(0, modernBatch, hidden)])
  const rnn = [joined, ...recurrentWeights(b, 1, hidden, hidden, hidden)]
  const [, last = ''] = b.nodeOf('RNN', rnn, { hidden_size: int(hidden) }, 2)
  const state = b.node('Reshape', [last, b.ints(-1, hidden)])
  return b.graph(b.node('Gemm', [state, b.weight(modernClasses, hidden), b.weight(modernClasses)], { transB: int(1) }))
}

export const modernNetworks: readonly ModernNetwork[] = [
  { name: 'ConvNeXt: layer normalisation and GELU over rows of channels', dims: image, graph: convNext() },
  { name: 'MBConv: group normalisation, SiLU, squeeze and excite', dims: image, graph: mobile() },
  { name: 'U-Net: transposed convolution and skip connection', dims: image, graph: uNet() },
  { name: 'convolutions of three axes', dims: [2, 4, 6, 6], graph: volumes() },
  { name: 'ViT: tokens, attention, MLP', dims: image, graph: transformer(), learningRate: 0.01 },
  { name: 'decoder: linear and nearest resizing', dims: image, graph: decoder() },
  { name: 'PRelu between reflected pads', dims: image, graph: slopes() },
  { name: 'text line: columns of a map through an LSTM in both directions', dims: image, graph: textLine() },
  { name: 'signal: convolution of one axis, GRU, RNN', dims: [3, 24], graph: signal() }
]
