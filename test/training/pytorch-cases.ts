import type { Graph } from '../../lib/graph/graph.js'
import { elementCount } from '../../lib/tensor.js'
import { NetworkBuilder, float, int } from '../helpers/network-builder.js'
import { modernBatch, modernClasses, modernNetworks } from './modern-networks.js'

/** A network, data and the way it is trained: what PyTorch's values in fixtures/pytorch.json were made from, and ours are. */
export interface PyTorchCase {
  readonly name: string
  readonly graph: Graph
  /** Of an example. */
  readonly dims: readonly number[]
  readonly batchSize: number
  readonly batches: number
  readonly classes: number
  readonly batchNorm: 'batch' | 'running'
  readonly labelSmoothing: number
  readonly optimiser:
    | {
        readonly kind: 'sgd'
        readonly learningRate: number
        readonly momentum: number
        readonly nesterov: boolean
        readonly weightDecay: number
      }
    | { readonly kind: 'adamw'; readonly learningRate: number; readonly weightDecay: number }
  readonly clipNorm: number
}

const [classes, batchSize, batches] = [6, 16, 8]

export const pytorchCases: readonly PyTorchCase[] = [
  {
    name: 'residual with batch statistics',
    graph: residual(),
    dims: [3, 12, 12],
    batchSize,
    batches,
    classes,
    batchNorm: 'batch',
    labelSmoothing: 0,
    optimiser: { kind: 'sgd', learningRate: 0.002, momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
    clipNorm: 0
  },
  {
    name: 'residual with running statistics',
    graph: residual(),
    dims: [3, 12, 12],
    batchSize,
    batches,
    classes,
    batchNorm: 'running',
    labelSmoothing: 0.1,
    optimiser: { kind: 'adamw', learningRate: 3e-4, weightDecay: 0.01 },
    clipNorm: 0
  },
  {
    name: 'groups, LRN, concat and pools',
    graph: mixed(),
    dims: [4, 13, 11],
    batchSize,
    batches,
    classes,
    batchNorm: 'running',
    labelSmoothing: 0.05,
    optimiser: { kind: 'sgd', learningRate: 0.02, momentum: 0.9, nesterov: false, weightDecay: 1e-3 },
    clipNorm: 1
  },
  {
    name: 'CP chains with maxout',
    graph: chains(),
    dims: [1, 16, 16],
    batchSize,
    batches,
    classes,
    batchNorm: 'running',
    labelSmoothing: 0,
    // Small, so that a maximum of two pieces that are equal but for rounding, taken from the other one, does not grow: at 0.02 weights that
    // differ by 1e-7 end 0.08 apart, whoever trains them.
    optimiser: { kind: 'sgd', learningRate: 0.0025, momentum: 0.9, nesterov: true, weightDecay: 0 },
    clipNorm: 0.5
  },
  ...modernNetworks.map(
    ({ name, dims, graph, learningRate = 0.02 }): PyTorchCase => ({
      name,
      graph,
      dims,
      batchSize: modernBatch,
      batches,
      classes: modernClasses,
      batchNorm: 'running',
      labelSmoothing: 0,
      optimiser: { kind: 'sgd', learningRate, momentum: 0.9, nesterov: true, weightDecay: 1e-3 },
      clipNorm: 1
    })
  )
]

/** The case's examples: noise, with a block of each class' own raised. */
export function pytorchData({ dims, batchSize: size, batches: count, classes: all }: PyTorchCase): {
  inputs: Float32Array
  targets: Int32Array
} {
  const examples = size * count
  const area = elementCount(dims)
  const { random } = new NetworkBuilder(17, 99)
  const targets = Int32Array.from({ length: examples }, () => random.integer(0, all - 1))
  const inputs = random.normal(examples * area)
  targets.forEach((target, n) => {
    const first = Math.floor((area / all) * target)
    for (let i = 0; i < Math.floor(area / all); i++) inputs[n * area + first + i]! += 0.6
  })
  return { inputs, targets }
}

/** Scales and variances around 1, as networks have them: far from that, rounding errors grow too fast to compare 200 steps. */
function norm(b: NetworkBuilder, x: string, channels: number): string {
  return b.node('BatchNormalization', [x, b.positive(channels), b.small(channels), b.small(channels), b.positive(channels)])
}

function residual(): Graph {
  const b = new NetworkBuilder(17, 5)
  const pads = [1, 1, 1, 1]
  const x = b.input(['N', 3, 12, 12], 'image')
  let y = b.node('Relu', [norm(b, b.conv(x, [10, 3, 3, 3], { pads }, false), 10)])
  const inner = b.node('Relu', [norm(b, b.conv(y, [10, 10, 3, 3], { pads }, false), 10)])
  y = b.node('Relu', [b.node('Add', [norm(b, b.conv(inner, [10, 10, 3, 3], { pads }, false), 10), y])])
  const down = norm(b, b.conv(y, [14, 10, 1, 1], { strides: [2, 2] }, false), 14)
  y = b.node('Relu', [b.node('Add', [norm(b, b.conv(y, [14, 10, 3, 3], { pads, strides: [2, 2] }, false), 14), down])])
  y = b.node('Relu', [b.node('Add', [b.conv(y, [14, 14, 3, 3], { pads }), y])])
  return b.graph(
    b.node('Gemm', [b.node('Flatten', [b.node('GlobalAveragePool', [y])]), b.weight(classes, 14), b.weight(classes)], { transB: int(1) })
  )
}

function mixed(): Graph {
  const b = new NetworkBuilder(17, 6)
  const x = b.input(['N', 4, 13, 11], 'image')
  let y = b.node('Relu', [b.conv(x, [12, 4, 5, 3], { pads: [2, 1, 1, 0], strides: [1, 2] })])
  y = b.node('LRN', [y], { size: int(5), alpha: float(0.2), beta: float(0.75), bias: float(1) })
  y = b.node('MaxPool', [y], { kernel_shape: [3, 3], strides: [2, 1], pads: [1, 1, 1, 1] })
  const left = b.node('Tanh', [b.conv(y, [12, 6, 3, 3], { pads: [1, 1, 1, 1], group: int(2) })])
  const right = b.node('LeakyRelu', [b.conv(y, [9, 4, 1, 1], { group: int(3) })], { alpha: float(0.1) })
  y = b.node('Concat', [left, right, y], { axis: int(1) })
  y = b.node('LRN', [y], { size: int(3), alpha: float(0.1), beta: float(0.6), bias: float(1.5) })
  y = b.node('AveragePool', [y], { kernel_shape: [2, 2], strides: [2, 2] })
  y = b.node('Sigmoid', [b.conv(y, [8, 33, 2, 2], {})])
  return b.graph(b.node('Gemm', [b.node('Flatten', [y]), b.weight(16, classes), b.weight(classes)], { alpha: float(0.7) }))
}

function chains(): Graph {
  const b = new NetworkBuilder(17, 7)
  const x = b.input(['N', 1, 16, 16], 'image')
  let y = maxout(b, b.conv(x, [24, 1, 5, 5]), 12, 12, 2)
  y = b.conv(y, [7, 12, 1, 1], {}, false)
  y = b.conv(y, [7, 1, 5, 1], { group: int(7) }, false)
  y = b.conv(y, [7, 1, 1, 5], { group: int(7) }, false)
  y = maxout(b, b.conv(y, [36, 7, 1, 1]), 12, 8, 3)
  y = b.conv(y, [9, 12, 1, 1], {}, false)
  y = b.conv(y, [9, 1, 8, 1], { group: int(9) }, false)
  y = b.conv(y, [9, 1, 1, 8], { group: int(9) }, false)
  y = maxout(b, b.conv(y, [32, 9, 1, 1]), 8, 1, 4)
  return b.graph(b.node('Flatten', [b.conv(y, [classes, 8, 1, 1])]))
}

function maxout(b: NetworkBuilder, x: string, channels: number, size: number, pieces: number): string {
  return b.node('ReduceMax', [b.node('Reshape', [x, b.ints(0, channels, pieces, size, size)])], { axes: [2], keepdims: int(0) })
}
