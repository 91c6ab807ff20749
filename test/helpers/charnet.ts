import type { Graph } from '../../lib/graph/graph.js'
import { NetworkBuilder } from './network-builder.js'

/** CharNet as in the paper: 36 classes, 24×24 grey patches, four maxout convolutions. Random weights. */
export function charNet(): Graph {
  const b = new NetworkBuilder(17, 3)
  const maxout = (y: string, channels: number, pieces: number, map: number): string => {
    const shape = b.ints(-1, channels / pieces, pieces, map, map)
    return b.node('Squeeze', [b.node('ReduceMax', [b.node('Reshape', [y, shape])], { axes: [2] }), b.ints(2)])
  }
  const x = b.input(['batch', 1, 24, 24], 'patches')
  const conv1 = maxout(b.conv(x, [96, 1, 9, 9]), 96, 2, 16)
  const conv2 = maxout(b.conv(conv1, [128, 48, 9, 9]), 128, 2, 8)
  const conv3 = maxout(b.conv(conv2, [512, 64, 8, 8]), 512, 4, 1)
  const conv4 = maxout(b.conv(conv3, [144, 128, 1, 1]), 144, 4, 1)
  return b.graph(b.node('Softmax', [b.node('Flatten', [conv4])]))
}
