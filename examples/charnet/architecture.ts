// CharNet: four convolutions with maxout over 24×24 grey patches, 36 classes, no padding anywhere.

import type { Graph, Node } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { initialise } from '../../lib/training/initialise.js'

interface LayerShape {
  readonly name: string
  readonly inputs: number
  readonly filters: number
  readonly kernel: number
  /** Filters that compete in a maxout unit: adjacent ones. */
  readonly pieces: number
  /** Height and width after the layer. */
  readonly map: number
}

export const layers: readonly LayerShape[] = [
  { name: 'conv1', inputs: 1, filters: 96, kernel: 9, pieces: 2, map: 16 },
  { name: 'conv2', inputs: 48, filters: 128, kernel: 9, pieces: 2, map: 8 },
  { name: 'conv3', inputs: 64, filters: 512, kernel: 8, pieces: 4, map: 1 },
  { name: 'conv4', inputs: 128, filters: 144, kernel: 1, pieces: 4, map: 1 }
]

export const patch = 24
export const classCount = 36

/** An untrained CharNet with seeded weights: input `image` N×1×24×24, output `probabilities` N×36. */
export function createCharNet(seed = 1): Graph {
  const initializers = new Map<string, Tensor>()
  let value = 'image'
  const nodes = layers.flatMap((layer) => {
    const added = maxoutLayer(layer, value, initializers)
    value = `${layer.name}.maxout`
    return added
  })
  nodes.push(makeNode({ name: 'flatten', opType: 'Flatten', inputs: [value], outputs: ['logits'], attributes: { axis: int(1) } }))
  nodes.push(makeNode({ name: 'softmax', opType: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: int(1) } }))
  const graph = makeGraph({
    name: 'charnet',
    opset: 17,
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, patch, patch] }],
    outputs: [{ name: 'probabilities', dtype: 'float32', dims: ['N', classCount] }],
    nodes,
    initializers,
    docString: 'Reads one character (0-9, A-Z in both cases) in a grey 24×24 patch of mean 0 and standard deviation 1.'
  })
  return initialise(graph, { seed })
}

// Convolution, then N×(U·P)×H×W → N×U×P×H×W and the maximum over P.
function maxoutLayer({ name, inputs, filters, kernel, pieces, map }: LayerShape, input: string, initializers: Map<string, Tensor>): Node[] {
  const [weight, bias, shape] = [`${name}.weight`, `${name}.bias`, `${name}.pieces`]
  const [output, split] = [`${name}.output`, `${name}.split`]
  initializers.set(weight, floatTensor(new Float32Array(filters * inputs * kernel * kernel), [filters, inputs, kernel, kernel]))
  initializers.set(bias, floatTensor(new Float32Array(filters), [filters]))
  // 0 copies the batch size.
  initializers.set(shape, int64Tensor([0, filters / pieces, pieces, map, map]))
  return [
    makeNode({ name, opType: 'Conv', inputs: [input, weight, bias], outputs: [output], attributes: { kernel_shape: [kernel, kernel] } }),
    makeNode({ name: `${name}.reshape`, opType: 'Reshape', inputs: [output, shape], outputs: [split] }),
    makeNode({
      name: `${name}.max`,
      opType: 'ReduceMax',
      inputs: [split],
      outputs: [`${name}.maxout`],
      attributes: { axes: [2], keepdims: int(0) }
    })
  ]
}
