// A deeper reader of the same characters, in the manner of VGG: eight 3×3 convolutions with relu, pooled three times, an average over
// the last map, 36 classes. What it is for: all of its convolutions decomposed at once (bench/fine-tuning).

import type { Node } from '../../lib/graph/graph.js'
import type { Graph } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'
import { initialise } from '../../lib/training/initialise.js'
import { classCount, patch } from './architecture.js'

const filters = [16, 16, 32, 32, 32, 32, 48, 48] as const

/** Names of its convolutions, in order, with the rank at which each is decomposed: as many components as filters; the first has only nine taps. */
export const deepRanks: Readonly<Record<string, number>> = Object.fromEntries(
  filters.map((count, i) => [`conv${i + 1}`, i === 0 ? 6 : count])
)

/** Untrained, with seeded weights: input `image` N×1×24×24, output `logits` N×36. */
export function createDeepCharNet(seed = 1): Graph {
  const initializers = new Map<string, Tensor>()
  const nodes: Node[] = []
  const zeros = (name: string, dims: readonly number[]): string => {
    initializers.set(name, floatTensor(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims))
    return name
  }
  const add = (name: string, opType: string, inputs: readonly string[], attributes = {}): string => {
    nodes.push(makeNode({ name, opType, inputs, outputs: [`${name}.output`], attributes }))
    return `${name}.output`
  }
  let [value, channels] = ['image', 1]
  for (const [i, count] of filters.entries()) {
    const name = `conv${i + 1}`
    const weights = [zeros(`${name}.weight`, [count, channels, 3, 3]), zeros(`${name}.bias`, [count])]
    value = add(`relu${i + 1}`, 'Relu', [add(name, 'Conv', [value, ...weights], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })])
    if (i % 2 === 1 && i < filters.length - 1) value = add(`pool${i + 1}`, 'MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2] })
    channels = count
  }
  value = add('flatten', 'Flatten', [add('average', 'GlobalAveragePool', [value])], { axis: int(1) })
  const dense = [zeros('fc.weight', [classCount, channels]), zeros('fc.bias', [classCount])]
  nodes.push(makeNode({ name: 'fc', opType: 'Gemm', inputs: [value, ...dense], outputs: ['logits'], attributes: { transB: int(1) } }))
  const graph = makeGraph({
    name: 'deep-charnet',
    opset: 17,
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, patch, patch] }],
    outputs: [{ name: 'logits', dtype: 'float32', dims: ['N', classCount] }],
    nodes,
    initializers
  })
  return initialise(graph, { seed })
}
