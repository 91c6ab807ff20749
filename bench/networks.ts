import { classCount, layers as charnetLayers, patch } from '../examples/charnet/architecture.js'
import { charnetFile } from '../examples/charnet/paths.js'
import type { Graph } from '../lib/graph/graph.js'
import { float, int, makeGraph } from '../lib/graph/rewrite.js'
import { readOnnx } from '../lib/index.js'
import { asIntegers, int64Tensor, type Tensor } from '../lib/tensor.js'
import { charnetAtRank } from './charnet.js'
import type { Suite } from './format.js'
import { type ConvolutionShape, GraphBuilder } from './graphs.js'
import { compareNetwork } from './inference.js'

/** Whole networks at batch 1, dense and with every eligible convolution at half of its channels as rank (CharNet: conv2 and conv3 at 64). */
export const networkSuite: Suite = {
  name: 'networks',
  async *run(context) {
    const charnet = await readOnnx(charnetFile)
    for (const form of ['dense', 'cp'] as const) {
      const graph = form === 'dense' ? charnet : await charnetAtRank(charnet, 64)
      for (const batch of [1, 64])
        yield* compareNetwork({ suite: 'networks', name: `CharNet, batch ${batch}`, form, graph, dims: [1, 24, 24], batch }, context)
      const [side, sliding] = [200, slidingCharNet(graph, 200)]
      yield* compareNetwork(
        { suite: 'networks', name: 'CharNet over 200x200', form, graph: sliding, dims: [1, side, side], batch: 1 },
        context
      )
    }
    for (const [name, make, dims] of [
      ['AlexNet', alexNet, [3, 227, 227]],
      ['VGG-16', vgg16, [3, 224, 224]],
      ['ResNet-18', resNet18, [3, 224, 224]]
    ] as const) {
      for (const form of ['dense', 'cp'] as const)
        yield* compareNetwork({ suite: 'networks', name, form, graph: make(form), dims, batch: 1 }, context)
    }
  }
}

/** CharNet at every position of a larger image, up to the logits: its convolutions have no pads. */
function slidingCharNet(graph: Graph, side: number): Graph {
  const initializers = new Map(graph.initializers)
  for (const { name, map } of charnetLayers) {
    const [batch = 0, units = 0, pieces = 0] = asIntegers(graph.initializers.get(`${name}.pieces`) as Tensor, name)
    const extent = map + side - patch
    initializers.set(`${name}.pieces`, int64Tensor([batch, units, pieces, extent, extent]))
  }
  const last = charnetLayers.at(-1)?.name
  const extent = side - patch + 1
  return makeGraph({
    name: 'sliding CharNet',
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, side, side] }],
    outputs: [{ name: `${last}.maxout`, dtype: 'float32', dims: ['N', classCount, extent, extent] }],
    nodes: graph.nodes.filter(({ opType }) => opType !== 'Flatten' && opType !== 'Softmax'),
    initializers
  })
}

/** Components a group of each convolution but the first. */
export type AlexNetRanks = Readonly<Partial<Record<'conv2' | 'conv3' | 'conv4' | 'conv5', number>>>

/** AlexNet in its two-group form with local response normalisation, over 227×227; layers without a rank stay whole. */
export function alexNet(form: 'dense' | 'cp', ranks: AlexNetRanks = { conv2: 64, conv3: 192, conv4: 96, conv5: 64 }): Graph {
  const decomposed = (layer: keyof AlexNetRanks): { rank?: number } => (ranks[layer] === undefined ? {} : { rank: ranks[layer] })
  const b = new GraphBuilder(form)
  const pool = { kernel_shape: [3, 3], strides: [2, 2] }
  const lrn = { size: int(5), alpha: float(1e-4), beta: float(0.75), bias: float(1) }
  const relu = (name: string, x: string, shape: ConvolutionShape): string => b.node('Relu', [b.convolution(name, x, shape)])
  let x = relu('conv1', b.input, { inputs: 3, outputs: 96, kernel: 11, stride: 4 })
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = relu('conv2', x, { inputs: 96, outputs: 256, kernel: 5, pad: 2, groups: 2, ...decomposed('conv2') })
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = relu('conv3', x, { inputs: 256, outputs: 384, kernel: 3, pad: 1, ...decomposed('conv3') })
  x = relu('conv4', x, { inputs: 384, outputs: 384, kernel: 3, pad: 1, groups: 2, ...decomposed('conv4') })
  x = relu('conv5', x, { inputs: 384, outputs: 256, kernel: 3, pad: 1, groups: 2, ...decomposed('conv5') })
  x = b.node('Flatten', [b.node('MaxPool', [x], pool)], { axis: int(1) })
  x = b.node('Relu', [b.dense('fc6', x, 9216, 4096)])
  x = b.node('Relu', [b.dense('fc7', x, 4096, 4096)])
  return b.graph('AlexNet', b.dense('fc8', x, 4096, 1000), [3, 227, 227], [1000])
}

/** VGG-16 over 224×224, every 3×3 convolution but the first at half of its channels as rank. */
export function vgg16(form: 'dense' | 'cp'): Graph {
  const b = new GraphBuilder(form)
  let [x, inputs, index] = [b.input, 3, 0]
  for (const [outputs, count] of [
    [64, 2],
    [128, 2],
    [256, 3],
    [512, 3],
    [512, 3]
  ] as const) {
    for (let i = 0; i < count; i++) {
      const rank = index === 0 ? {} : { rank: outputs / 2 }
      x = b.node('Relu', [b.convolution(`conv${++index}`, x, { inputs, outputs, kernel: 3, pad: 1, ...rank })])
      inputs = outputs
    }
    x = b.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] })
  }
  x = b.node('Relu', [b.dense('fc6', b.node('Flatten', [x], { axis: int(1) }), 25088, 4096)])
  x = b.node('Relu', [b.dense('fc7', x, 4096, 4096)])
  return b.graph('VGG-16', b.dense('fc8', x, 4096, 1000), [3, 224, 224], [1000])
}

/** ResNet-18 with its batch normalisations. */
export function resNet18(form: 'dense' | 'cp'): Graph {
  const b = new GraphBuilder(form)
  const convNorm = (name: string, x: string, shape: ConvolutionShape): string => b.norm(name, b.convolution(name, x, shape), shape.outputs)
  let x = b.node('Relu', [convNorm('stem', b.input, { inputs: 3, outputs: 64, kernel: 7, stride: 2, pad: 3 })])
  x = b.node('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
  let inputs = 64
  for (const [stage, outputs] of [64, 128, 256, 512].entries()) {
    for (const block of [0, 1]) {
      const name = `layer${stage + 1}.${block}`
      const stride = stage > 0 && block === 0 ? 2 : 1
      const rank = outputs / 2
      const inner = b.node('Relu', [convNorm(`${name}.conv1`, x, { inputs, outputs, kernel: 3, stride, pad: 1, rank })])
      const outer = convNorm(`${name}.conv2`, inner, { inputs: outputs, outputs, kernel: 3, pad: 1, rank })
      const skip = inputs === outputs ? x : convNorm(`${name}.down`, x, { inputs, outputs, kernel: 1, stride })
      x = b.node('Relu', [b.node('Add', [outer, skip])])
      inputs = outputs
    }
  }
  x = b.node('Flatten', [b.node('GlobalAveragePool', [x])], { axis: int(1) })
  return b.graph('ResNet-18', b.dense('fc', x, 512, 1000), [3, 224, 224], [1000])
}
