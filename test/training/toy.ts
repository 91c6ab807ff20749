import type { Graph } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { type Tensor, elementCount, floatTensor } from '../../lib/tensor.js'
import type { ExampleSet } from '../../lib/training/batches.js'
import { initialise } from '../../lib/training/initialise.js'
import { random } from '../../lib/random.js'

export const toySize = 10
export const toyClasses = 3

/** Noisy 10×10 images of a horizontal, a vertical or a diagonal bar at a random place. */
export function bars(count: number, seed: number, noise = 0.3): ExampleSet {
  const source = random(seed)
  const labels = Int32Array.from({ length: count }, () => Math.floor(source.next() * toyClasses))
  const images = new Float32Array(count * toySize * toySize)
  labels.forEach((label, n) => {
    const at = 2 + Math.floor(source.next() * (toySize - 4))
    for (let y = 0; y < toySize; y++) {
      for (let x = 0; x < toySize; x++) {
        const on = label === 0 ? y === at : label === 1 ? x === at : (x + at) % toySize === y
        images[(n * toySize + y) * toySize + x] = (on ? 1 : 0) + noise * source.normal()
      }
    }
  })
  return { images, labels, count }
}

/** conv1 3×3 1→8, relu, conv2 3×3 8→12, relu, global average pool, flatten, fc 12→3 (weights 12×3), softmax. */
export function toyNetwork(seed = 0): Graph {
  const zeros = (...dims: number[]): Tensor => floatTensor(new Float32Array(elementCount(dims)), dims)
  const graph = makeGraph({
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, toySize, toySize] }],
    outputs: [{ name: 'probabilities', dtype: 'float32', dims: ['N', toyClasses] }],
    initializers: new Map([
      ['conv1.weight', zeros(8, 1, 3, 3)],
      ['conv1.bias', zeros(8)],
      ['conv2.weight', zeros(12, 8, 3, 3)],
      ['conv2.bias', zeros(12)],
      ['fc.weight', zeros(12, toyClasses)],
      ['fc.bias', zeros(toyClasses)]
    ]),
    nodes: [
      makeNode({
        name: 'conv1',
        opType: 'Conv',
        inputs: ['image', 'conv1.weight', 'conv1.bias'],
        outputs: ['c1'],
        attributes: { pads: [1, 1, 1, 1] }
      }),
      makeNode({ opType: 'Relu', inputs: ['c1'], outputs: ['r1'] }),
      makeNode({ name: 'conv2', opType: 'Conv', inputs: ['r1', 'conv2.weight', 'conv2.bias'], outputs: ['c2'] }),
      makeNode({ opType: 'Relu', inputs: ['c2'], outputs: ['r2'] }),
      makeNode({ opType: 'GlobalAveragePool', inputs: ['r2'], outputs: ['p'] }),
      makeNode({ opType: 'Flatten', inputs: ['p'], outputs: ['f'], attributes: { axis: int(1) } }),
      makeNode({ name: 'fc', opType: 'Gemm', inputs: ['f', 'fc.weight', 'fc.bias'], outputs: ['logits'] }),
      makeNode({ opType: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: int(1) } })
    ]
  })
  return initialise(graph, { seed })
}

/** The bits of an initializer, quick to compare. */
export function bits(graph: Graph, name: string): string {
  const { data } = graph.initializers.get(name) as Tensor
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')
}
