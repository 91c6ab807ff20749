import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import { writeNpy } from '../../lib/formats/npy.js'
import type { Graph, Node } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { floatTensor, type FloatTensor, int64Tensor } from '../../lib/tensor.js'

/** Uniform in [-1, 1), the same for a seed everywhere. */
export function noise(count: number, seed: number): Float32Array {
  let state = (seed * 2654435761) % 2147483647 || 1
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647
    return (2 * state) / 2147483647 - 1
  })
}

function weights(dims: readonly number[], seed: number): FloatTensor {
  const fanIn = dims.slice(1).reduce((product, dim) => product * dim, 1)
  const values = noise(
    dims.reduce((product, dim) => product * dim, 1),
    seed
  )
  return floatTensor(
    values.map((value) => value * Math.sqrt(3 / fanIn)),
    dims
  )
}

/** Two convolutions over N×1×8×8, `channels` between them, four classes: small enough to do everything with in a second. */
export function smallNetwork(channels = 8): Graph {
  return makeGraph({
    name: 'small',
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, 8, 8] }],
    outputs: [{ name: 'probabilities', dtype: 'float32', dims: ['N', 4] }],
    initializers: new Map([
      ['w1', weights([channels, 1, 3, 3], 1)],
      ['w2', weights([4, channels, 6, 6], 2)],
      ['b2', floatTensor(new Float32Array(4), [4])]
    ]),
    nodes: [
      makeNode({ name: 'conv1', opType: 'Conv', inputs: ['image', 'w1'], outputs: ['c1'], attributes: { kernel_shape: [3, 3] } }),
      makeNode({ name: 'relu1', opType: 'Relu', inputs: ['c1'], outputs: ['r1'] }),
      makeNode({ name: 'conv2', opType: 'Conv', inputs: ['r1', 'w2', 'b2'], outputs: ['c2'], attributes: { kernel_shape: [6, 6] } }),
      makeNode({ name: 'flatten', opType: 'Flatten', inputs: ['c2'], outputs: ['logits'], attributes: { axis: int(1) } }),
      makeNode({ name: 'softmax', opType: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: int(1) } })
    ]
  })
}

/** Two convolutions over N×3×h×w, of any height and width, and their mean: four classes. */
export function openNetwork(input = 'image'): Graph {
  return makeGraph({
    name: 'open',
    inputs: [{ name: input, dtype: 'float32', dims: ['N', 3, 'h', 'w'] }],
    outputs: [{ name: 'logits', dtype: 'float32', dims: ['N', 4] }],
    initializers: new Map([
      ['w1', weights([8, 3, 3, 3], 1)],
      ['w2', weights([4, 8, 3, 3], 2)]
    ]),
    nodes: [
      makeNode({ name: 'conv1', opType: 'Conv', inputs: [input, 'w1'], outputs: ['c1'], attributes: { kernel_shape: [3, 3] } }),
      makeNode({ name: 'relu1', opType: 'Relu', inputs: ['c1'], outputs: ['r1'] }),
      makeNode({ name: 'conv2', opType: 'Conv', inputs: ['r1', 'w2'], outputs: ['c2'], attributes: { kernel_shape: [3, 3] } }),
      makeNode({ name: 'mean', opType: 'GlobalAveragePool', inputs: ['c2'], outputs: ['m'] }),
      makeNode({ name: 'flatten', opType: 'Flatten', inputs: ['m'], outputs: ['logits'], attributes: { axis: int(1) } })
    ]
  })
}

/** conv1, conv2 and conv3 over N×1×8×8 with four classes, named as in the README. */
export function threeLayerNetwork(): Graph {
  const conv = (name: string, input: string, size: number): Node =>
    makeNode({ name, opType: 'Conv', inputs: [input, `${name}.weight`], outputs: [name], attributes: { kernel_shape: [size, size] } })
  return makeGraph({
    name: 'three',
    inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, 8, 8] }],
    outputs: [{ name: 'probabilities', dtype: 'float32', dims: ['N', 4] }],
    initializers: new Map([
      ['conv1.weight', weights([6, 1, 3, 3], 1)],
      ['conv2.weight', weights([6, 6, 3, 3], 2)],
      ['conv3.weight', weights([4, 6, 4, 4], 3)]
    ]),
    nodes: [
      conv('conv1', 'image', 3),
      makeNode({ name: 'relu1', opType: 'Relu', inputs: ['conv1'], outputs: ['r1'] }),
      conv('conv2', 'r1', 3),
      makeNode({ name: 'relu2', opType: 'Relu', inputs: ['conv2'], outputs: ['r2'] }),
      conv('conv3', 'r2', 4),
      makeNode({ name: 'flatten', opType: 'Flatten', inputs: ['conv3'], outputs: ['logits'], attributes: { axis: int(1) } }),
      makeNode({ name: 'softmax', opType: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: int(1) } })
    ]
  })
}

/** A data folder of images in which one quadrant is brighter: its number is the class. */
export async function writeQuadrants(folder: string, count: number): Promise<void> {
  const images = noise(count * 64, 3).map((value, i) => {
    const [image, y, x] = [Math.floor(i / 64), Math.floor((i % 64) / 8), i % 8]
    return 0.3 * value + (image % 4 === 2 * (y >> 2) + (x >> 2) ? 1 : 0)
  })
  await mkdir(folder, { recursive: true })
  await writeNpy(path.join(folder, 'inputs.npy'), floatTensor(images, [count, 1, 8, 8]))
  await writeNpy(path.join(folder, 'labels.npy'), int64Tensor(Array.from({ length: count }, (_, i) => i % 4)))
}

/** The same as images, `count` of each class: `folder/quadrant 0/0.png` and so on; others for another seed. */
export async function writeQuadrantImages(folder: string, count: number, seed: number): Promise<void> {
  for (const label of [0, 1, 2, 3]) {
    const place = path.join(folder, `quadrant ${label}`)
    await mkdir(place, { recursive: true })
    for (let i = 0; i < count; i++) {
      const pixels = Uint8Array.from(noise(64, 1000 * seed + 4 * i + label), (value, at) => {
        const [y, x] = [at >> 3, at % 8]
        return Math.min(255, Math.max(0, 60 + 20 * value + (label === 2 * (y >> 2) + (x >> 2) ? 130 : 0)))
      })
      await sharp(pixels, { raw: { width: 8, height: 8, channels: 1 } })
        .png()
        .toFile(path.join(place, `${i}.png`))
    }
  }
}
