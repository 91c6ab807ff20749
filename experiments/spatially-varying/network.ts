// The network around the layer: one convolution before it, one fully connected layer behind it; N×1×24×24 → N×36.

import { GraphBuilder } from '../../bench/graphs.js'
import { classCount, patch } from '../../examples/charnet/architecture.js'
import { type Factor, floatTensor, type Graph, initialise, type Tensor } from '../../lib/index.js'
import {
  factoredLocal,
  factorsIn,
  fixed,
  kernelOf,
  type LocalFactors,
  type LocalShape,
  localParameters,
  matrix,
  trainableLocal,
  wholeLocal
} from './layer.js'
import { withLocal } from './operator.js'

export const shape: LocalShape = { inputs: 16, outputs: 32, kernel: 3, side: 8 }
const places = shape.side ** 2
const layer = 'local'

/** What stands in the layer's place: one kernel for every place (a convolution), one for each, or each as a sum of rank-one terms. */
export type Kind = 'shared' | 'local' | 'factored'

type Middle = (b: GraphBuilder, x: string) => string

function around(middle: Middle): Graph {
  const b = new GraphBuilder('dense')
  let x = b.node('Relu', [b.convolution('conv1', b.input, { inputs: 1, outputs: shape.inputs, kernel: 5 })])
  x = b.node('Relu', [middle(b, b.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] }))])
  x = b.dense('fc', b.node('Flatten', [x]), places * shape.outputs, classCount)
  return b.graph('spatially varying', x, [1, patch, patch], [classCount])
}

/** To be trained from scratch. Factors over places begin as ones: then it is an ordinary decomposed convolution. */
export function untrained(kind: Kind, seed: number, rank = 0): Graph {
  const ones = (size: number): Factor => matrix(new Float32Array(size * rank).fill(1), size)
  const { inputs, outputs, kernel, side } = shape
  const factors: LocalFactors = {
    y: ones(side),
    x: ones(side),
    outputs: ones(outputs),
    inputs: ones(inputs),
    i: ones(kernel),
    j: ones(kernel)
  }
  const middles: Readonly<Record<Kind, Middle>> = {
    shared: (b, x) => b.convolution(layer, x, { inputs, outputs, kernel }),
    local: (b, x) => trainableLocal(b, layer, x, shape),
    factored: (b, x) => factoredLocal(b, layer, x, factors, shape, true)
  }
  const graph = around(middles[kind])
  const drawn = initialise(graph, { seed })
  const isKept = (name: string): boolean => fixed.test(name) || name === `${layer}.y` || name === `${layer}.x`
  return {
    ...drawn,
    initializers: new Map(
      [...drawn.initializers].map(([name, tensor]) => [name, isKept(name) ? (graph.initializers.get(name) as Tensor) : tensor])
    )
  }
}

/** K of a trained `local` network. */
export function kernelIn(graph: Graph): Tensor {
  return kernelOf(graph.initializers.get(`${layer}.weight`) as Tensor, shape)
}

/** The trained `local` network with factors in place of its layer, ready to be tuned. */
export function factored(graph: Graph, factors: LocalFactors): Graph {
  const result = around((b, x) => factoredLocal(b, layer, x, factors, shape, true))
  return withWeightsOf(result, graph, true)
}

/** What is handed on: no maps of places, no ones and zeros; the locally connected layer as one node, the factored one of ONNX's operators. */
export function deployed(kind: Kind, graph: Graph): Graph {
  if (kind === 'shared') return graph
  if (kind === 'factored') {
    const factors = factorsIn(graph.initializers, layer, shape)
    return withWeightsOf(
      around((b, x) => factoredLocal(b, layer, x, factors, shape, false)),
      graph,
      false
    )
  }
  const kernel = kernelIn(graph).data as Float32Array
  const result = around((b, x) => wholeLocal(b, layer, x, kernel, shape))
  return withLocal(withWeightsOf(result, graph, true), shape.kernel, shape.side)
}

/** Weights of the layer itself. */
export function layerParameters(kind: Kind, rank?: number): number {
  const { inputs, outputs, kernel } = shape
  return kind === 'shared' ? (inputs * kernel * kernel + 1) * outputs : localParameters(shape, kind === 'factored' ? rank : undefined)
}

/** Everything but the layer itself. `local` networks that train have their features by place and output, all others by output and place. */
function withWeightsOf(graph: Graph, from: Graph, isByPlace: boolean): Graph {
  const initializers = new Map(graph.initializers)
  for (const name of ['conv1.weight', 'conv1.bias', 'fc.bias', 'fc.weight']) {
    const tensor = from.initializers.get(name) as Tensor
    initializers.set(name, name === 'fc.weight' && isByPlace ? byOutput(tensor) : tensor)
  }
  return { ...graph, initializers }
}

// classes × (p, t) → classes × (t, p)
function byOutput(weight: Tensor): Tensor {
  const data = weight.data as Float32Array
  const { outputs } = shape
  const moved = data.map((_, n) => {
    const [row, t, p] = [Math.floor(n / (places * outputs)), Math.floor((n % (places * outputs)) / places), n % places]
    return data[(row * places + p) * outputs + t] as number
  })
  return floatTensor(moved, weight.dims)
}
