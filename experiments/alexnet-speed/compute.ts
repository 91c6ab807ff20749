import { GraphBuilder } from '../../bench/graphs.js'
import { alexNet } from '../../bench/networks.js'
import { cost, type Graph } from '../../lib/index.js'
import { type Contestant, measureLatency, type Runtime, runtimes, type Timing } from '../common/latency.js'
import type { CellContext } from '../framework/experiment.js'

export type AlexConfig = {
  /** The second layer by itself, or the whole network with only this layer decomposed. */
  readonly what: 'layer' | 'network'
  readonly batch: number
  /** A group. */
  readonly ranks: readonly number[]
}

export interface AlexResult {
  readonly sizes: readonly { readonly name: string; readonly parameters: number; readonly macs: number }[]
  readonly timings: readonly Timing[]
}

const layerShape = { inputs: 96, outputs: 256, kernel: 5, pad: 2, groups: 2 } as const

export async function run({ what, batch, ranks }: AlexConfig, context: CellContext): Promise<AlexResult> {
  const dims = what === 'layer' ? [96, 27, 27] : [3, 227, 227]
  const make = what === 'layer' ? layer : network
  const peers: readonly Runtime[] = ['polyadic', 'onnxruntime']
  const contestants: Contestant[] = [
    { name: 'dense', graph: make(undefined), runtimes },
    ...ranks.map((rank) => ({ name: `rank ${rank}`, graph: make(rank), runtimes: peers }))
  ]
  const sizes = contestants.map(({ name, graph }) => {
    const { parameters, macs } = cost(graph, { image: [1, ...dims] })
    return { name, parameters, macs }
  })
  return { sizes, timings: await measureLatency(contestants, [batch, ...dims], context) }
}

function network(rank: number | undefined): Graph {
  return rank === undefined ? alexNet('dense') : alexNet('cp', { conv2: rank })
}

function layer(rank: number | undefined): Graph {
  const b = new GraphBuilder('cp')
  const x = b.convolution('conv2', b.input, { ...layerShape, ...(rank !== undefined && { rank }) })
  return b.graph('conv2', x, [96, 27, 27], [256, 27, 27])
}
