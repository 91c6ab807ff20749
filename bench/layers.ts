import type { Graph } from '../lib/graph/graph.js'
import type { Suite } from './format.js'
import { type ConvolutionShape, GraphBuilder } from './graphs.js'
import { compareNetwork } from './inference.js'

interface Layer {
  readonly name: string
  readonly shape: ConvolutionShape
  /** Height and width of the input. */
  readonly size: number
  /** A group. */
  readonly ranks: readonly number[]
}

const square = (channels: number, size: number): Layer => ({
  name: `${channels}->${channels} 3x3 at ${size}`,
  shape: { inputs: channels, outputs: channels, kernel: 3, pad: 1 },
  size,
  ranks: [channels / 2, channels]
})

const layers: readonly Layer[] = [
  { name: 'CharNet conv2', shape: { inputs: 48, outputs: 128, kernel: 9 }, size: 16, ranks: [64] },
  { name: 'CharNet conv3', shape: { inputs: 64, outputs: 512, kernel: 8 }, size: 8, ranks: [64] },
  { name: 'AlexNet conv2', shape: { inputs: 96, outputs: 256, kernel: 5, pad: 2, groups: 2 }, size: 27, ranks: [70, 140, 200] },
  square(64, 56),
  square(128, 28),
  square(256, 56),
  square(256, 14),
  square(512, 7),
  { name: '1->96 9x9 at 24', shape: { inputs: 1, outputs: 96, kernel: 9 }, size: 24, ranks: [16] }
]

/** Single convolutions at batch 1, dense and as chains of four of a rank: what an engine makes of them. */
export const layerSuite: Suite = {
  name: 'layers',
  async *run(context) {
    for (const { name, shape, size, ranks } of layers) {
      const dims = [shape.inputs, size, size] as const
      yield* compareNetwork({ suite: 'layers', name, form: 'dense', graph: graphOf(name, shape, size, 'dense'), dims, batch: 1 }, context)
      for (const rank of ranks) {
        const graph = graphOf(name, { ...shape, rank }, size, 'cp')
        yield* compareNetwork({ suite: 'layers', name: `${name}, R = ${rank}`, form: 'cp', graph, dims, batch: 1 }, context)
      }
    }
  }
}

function graphOf(name: string, shape: ConvolutionShape, size: number, form: 'dense' | 'cp'): Graph {
  const b = new GraphBuilder(form)
  const output = b.convolution('conv', b.input, shape)
  const extent = size + 2 * (shape.pad ?? 0) - shape.kernel + 1
  return b.graph(name, output, [shape.inputs, size, size], [shape.outputs, extent, extent])
}
