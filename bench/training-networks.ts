import type { Graph, Node } from '../lib/graph/graph.js'
import { type AttributeValue, float, int, makeGraph, makeNode } from '../lib/graph/rewrite.js'
import { elementCount, floatTensor, int64Tensor, type Tensor } from '../lib/tensor.js'
import { initialise } from '../lib/training/initialise.js'
import {
  type BlockBuilder,
  bothWays,
  columnsOf,
  convNextBlock,
  firstToken,
  layerNorm,
  meanOverTime,
  pixelNorm,
  tokensOf,
  transformerBlock
} from './modern-blocks.js'
import { createCharNet, layers as charnetLayers } from '../examples/charnet/architecture.js'

/** A network whose training is timed, dense or with its convolutions as chains of four of a rank. */
export interface TrainingNetwork {
  readonly name: string
  readonly form: 'dense' | 'cp'
  readonly graph: Graph
  /** C×H×W of the input. */
  readonly dims: readonly [number, number, number]
  readonly batch: number
  readonly classes: number
}

/** Speed does not depend on the weights: a chain starts from random factors, not from a decomposition. */
export const trainingNetworks: readonly { readonly name: string; readonly form: 'dense' | 'cp'; readonly make: () => TrainingNetwork }[] = (
  ['dense', 'cp'] as const
).flatMap((form) => [
  { name: 'CharNet', form, make: () => charNet(form) },
  { name: 'AlexNet', form, make: () => alexNet(form) },
  { name: 'ResNet-18', form, make: () => resNet18(form) },
  { name: 'VGG-10', form, make: () => vgg10(form) },
  ...(form === 'dense'
    ? [
        { name: 'ConvNeXt', form, make: convNeXt },
        { name: 'ViT', form, make: viT },
        { name: 'CRNN', form, make: crnn }
      ]
    : [])
])

/** CharNet; conv2 and conv3 at rank 64. */
export function charNet(form: 'dense' | 'cp'): TrainingNetwork {
  const dense = createCharNet()
  const initializers = new Map(dense.initializers)
  const nodes = dense.nodes.flatMap((node) => {
    const layer = charnetLayers.find(({ name }) => name === node.name)
    if (form === 'dense' || layer === undefined || layer.kernel === 1 || layer.inputs === 1) return [node]
    const chain = new Builder()
    const shape = { inputs: layer.inputs, outputs: layer.filters, kernel: layer.kernel, rank: 64 }
    chain.convolution(node.name, node.inputs[0] as string, shape, node.outputs[0] as string)
    initializers.delete(node.inputs[1] as string)
    for (const [name, tensor] of chain.initializers) initializers.set(name, tensor)
    return chain.nodes
  })
  return { name: 'CharNet', form, graph: initialise({ ...dense, nodes, initializers }), dims: [1, 24, 24], batch: 64, classes: 36 }
}

/** AlexNet in its two-group form with local response normalisation, 227×227, without dropout; conv2 to conv5 at the paper's kind of ranks. */
function alexNet(form: 'dense' | 'cp'): TrainingNetwork {
  const b = new Builder(form)
  const pool = { kernel_shape: [3, 3], strides: [2, 2] }
  const lrn = { size: int(5), alpha: float(1e-4), beta: float(0.75), bias: float(1) }
  let x = b.node('Relu', [b.convolution('conv1', b.input, { inputs: 3, outputs: 96, kernel: 11, stride: 4 })])
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = b.node('Relu', [b.convolution('conv2', x, { inputs: 96, outputs: 256, kernel: 5, pad: 2, groups: 2, rank: 100 })])
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = b.node('Relu', [b.convolution('conv3', x, { inputs: 256, outputs: 384, kernel: 3, pad: 1, rank: 200 })])
  x = b.node('Relu', [b.convolution('conv4', x, { inputs: 384, outputs: 384, kernel: 3, pad: 1, groups: 2, rank: 100 })])
  x = b.node('Relu', [b.convolution('conv5', x, { inputs: 384, outputs: 256, kernel: 3, pad: 1, groups: 2, rank: 100 })])
  x = b.node('Flatten', [b.node('MaxPool', [x], pool)], { axis: int(1) })
  x = b.node('Relu', [b.dense('fc6', x, 9216, 4096)])
  x = b.node('Relu', [b.dense('fc7', x, 4096, 4096)])
  return b.network('AlexNet', b.dense('fc8', x, 4096, 1000), [3, 227, 227], 32, 1000)
}

/** ResNet-18 as for ImageNet, on 64×64, batch normalisation with frozen statistics; all 3×3 convolutions at a quarter of their channels. */
function resNet18(form: 'dense' | 'cp'): TrainingNetwork {
  const b = new Builder(form)
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
  return b.network('ResNet-18', b.dense('fc', x, 512, 1000), [3, 64, 64], 32, 1000)
}

/** Ten layers of weights in the manner of VGG on 32×32: eight 3×3 convolutions and two dense layers; conv2 to conv8 at half of their channels. */
function vgg10(form: 'dense' | 'cp'): TrainingNetwork {
  const b = new Builder(form)
  let [x, inputs] = [b.input, 3]
  for (const [i, outputs] of [64, 64, 128, 128, 256, 256, 512, 512].entries()) {
    const rank = i === 0 ? {} : { rank: outputs / 2 }
    x = b.node('Relu', [b.convolution(`conv${i + 1}`, x, { inputs, outputs, kernel: 3, pad: 1, ...rank })])
    if (i % 2 === 1) x = b.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] })
    inputs = outputs
  }
  x = b.node('Relu', [b.dense('fc1', b.node('Flatten', [x], { axis: int(1) }), 2048, 512)])
  return b.network('VGG-10', b.dense('fc2', x, 512, 10), [3, 32, 32], 32, 10)
}

/** ConvNeXt-Atto on 64×64: blocks of a depthwise 7×7 and two matrices over rows of channels. Its matrices have no CP form. */
function convNeXt(): TrainingNetwork {
  const b = new Builder('dense')
  const stages = [
    [40, 2],
    [80, 2],
    [160, 6],
    [320, 2]
  ] as const
  let [x, inputs] = [pixelNorm(b, b.conv(b.input, [40, 3, 4, 4], { strides: [4, 4] }), 40), 40]
  for (const [channels, blocks] of stages) {
    if (channels !== inputs) x = b.conv(pixelNorm(b, x, inputs), [channels, inputs, 2, 2], { strides: [2, 2] })
    for (let i = 0; i < blocks; i++) x = convNextBlock(b, x, channels, 7, 4 * channels)
    inputs = channels
  }
  x = layerNorm(b, b.node('Flatten', [b.node('GlobalAveragePool', [x])], { axis: int(1) }), inputs)
  return b.network('ConvNeXt', b.dense('head', x, inputs, 1000), [3, 64, 64], 32, 1000)
}

/** Half of DeiT-Tiny's twelve blocks, on 64×64 in patches of 8×8. */
function viT(): TrainingNetwork {
  const b = new Builder('dense')
  const shape = { batch: 16, tokens: 65, size: 192, heads: 3, wide: 768 }
  let x = tokensOf(b, b.conv(b.input, [192, 3, 8, 8], { strides: [8, 8] }), shape)
  for (let i = 0; i < 6; i++) x = transformerBlock(b, x, shape)
  return b.network('ViT', b.dense('head', firstToken(b, x, 192), 192, 1000), [3, 64, 64], shape.batch, 1000)
}

/** Text recognition of 32×100 (Shi et al. 2015) without its batch normalisation: seven convolutions, two LSTMs; a class for the whole line. */
function crnn(): TrainingNetwork {
  const b = new Builder('dense')
  const shrink = { kernel_shape: [2, 2], strides: [2, 2] }
  const flatten = { kernel_shape: [2, 1], strides: [2, 1] }
  let [x, inputs] = [b.input, 1]
  for (const [outputs, pool] of [[64, shrink], [128, shrink], [256], [256, flatten], [512], [512, flatten]] as const) {
    x = b.node('Relu', [b.conv(x, [outputs, inputs, 3, 3], { pads: [1, 1, 1, 1] })])
    if (pool !== undefined) x = b.node('MaxPool', [x], pool)
    inputs = outputs
  }
  const map = b.node('Relu', [b.conv(x, [512, 512, 2, 2])])
  const lines = bothWays(b, bothWays(b, columnsOf(b, map, 512), 512, 256), 512, 256)
  return b.network('CRNN', b.dense('head', meanOverTime(b, lines), 512, 37), [1, 32, 100], 16, 37)
}

interface ConvolutionShape {
  readonly inputs: number
  readonly outputs: number
  readonly kernel: number
  readonly stride?: number
  readonly pad?: number
  readonly groups?: number
  /** A group, in the CP form; without one the layer stays whole. */
  readonly rank?: number
}

class Builder implements BlockBuilder {
  readonly input = 'image'
  readonly nodes: Node[] = []
  readonly initializers = new Map<string, Tensor>()
  #next = 0

  constructor(readonly form: 'dense' | 'cp' = 'cp') {}

  node(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}, output?: string): string {
    const name = output ?? `v${this.#next++}`
    this.nodes.push(makeNode({ name: `${opType}.${name}`, opType, inputs, outputs: [name], attributes }))
    return name
  }

  convolution(name: string, x: string, shape: ConvolutionShape, output?: string): string {
    const { inputs, outputs, kernel: k, stride: s = 1, pad: p = 0, groups = 1, rank } = shape
    const stage = (
      role: string,
      from: string,
      weight: readonly number[],
      attributes: Readonly<Record<string, AttributeValue>>,
      to?: string
    ): string => {
      const bias = role === 'expand' || role === '' ? [this.zeros(`${name}.bias`, [outputs])] : []
      const weights = this.zeros(role === '' ? `${name}.weight` : `${name}.${role}`, weight)
      return this.node('Conv', [from, weights, ...bias], { kernel_shape: weight.slice(2), ...attributes }, to)
    }
    if (rank === undefined || this.form === 'dense')
      return stage(
        '',
        x,
        [outputs, inputs / groups, k, k],
        { strides: [s, s], pads: [p, p, p, p], dilations: [1, 1], group: int(groups) },
        output
      )
    const channels = rank * groups
    const reduced = stage('reduce', x, [channels, inputs / groups, 1, 1], { group: int(groups) })
    const vertical = stage('vertical', reduced, [channels, 1, k, 1], { group: int(channels), strides: [s, 1], pads: [p, 0, p, 0] })
    const horizontal = stage('horizontal', vertical, [channels, 1, 1, k], { group: int(channels), strides: [1, s], pads: [0, p, 0, p] })
    return stage('expand', horizontal, [outputs, rank, 1, 1], { group: int(groups) }, output)
  }

  dense(name: string, x: string, inputs: number, outputs: number): string {
    const weights = [this.zeros(`${name}.weight`, [outputs, inputs]), this.zeros(`${name}.bias`, [outputs])]
    return this.node('Gemm', [x, ...weights], { transB: int(1) })
  }

  norm(name: string, x: string, channels: number): string {
    const [scale, bias, mean, variance] = [1, 0, 0, 1].map((value, i) =>
      this.constant(`${name}.norm.${i}`, floatTensor(new Float32Array(channels).fill(value), [channels]))
    )
    return this.node('BatchNormalization', [x, scale, bias, mean, variance] as string[])
  }

  network(name: string, logits: string, dims: TrainingNetwork['dims'], batch: number, classes: number): TrainingNetwork {
    const graph = makeGraph({
      inputs: [{ name: this.input, dtype: 'float32', dims: ['N', ...dims] }],
      outputs: [{ name: logits, dtype: 'float32', dims: ['N', classes] }],
      nodes: this.nodes,
      initializers: this.initializers
    })
    return { name, form: this.form, graph: initialise(graph), dims, batch, classes }
  }

  conv(input: string, weight: readonly number[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const weights = [this.weight(...weight), this.weight(weight[0] as number)]
    return this.node('Conv', [input, ...weights], attributes)
  }

  weight(...dims: readonly number[]): string {
    return this.zeros(this.unnamed(), dims)
  }

  positive(...dims: readonly number[]): string {
    return this.constant(this.unnamed(), floatTensor(new Float32Array(elementCount(dims)).fill(1), dims))
  }

  scalar(value: number): string {
    return this.constant(this.unnamed(), floatTensor(Float32Array.of(value), []))
  }

  ints(...values: readonly number[]): string {
    return this.constant(this.unnamed(), int64Tensor(values))
  }

  index(value: number): string {
    return this.constant(this.unnamed(), { ...int64Tensor([value]), dims: [] })
  }

  private unnamed(): string {
    return `w${this.initializers.size}`
  }

  private zeros(name: string, dims: readonly number[]): string {
    return this.constant(name, floatTensor(new Float32Array(elementCount(dims)), dims))
  }

  private constant(name: string, tensor: Tensor): string {
    this.initializers.set(name, tensor)
    return name
  }
}
