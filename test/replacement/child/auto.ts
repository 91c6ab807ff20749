// Run with POLYADIC_BF16=scalar: bf16 is there, and slow.
import t from 'tap'
import { compress } from '../../../lib/replacement/compress.js'
import { NetworkBuilder } from '../../helpers/network-builder.js'

const b = new NetworkBuilder()
const graph = b.graph(b.node('GlobalAveragePool', [b.conv(b.input(['n', 64, 14, 14], 'x'), [64, 64, 3, 3], { pads: [1, 1, 1, 1] })]))
const latency = async (precision: 'f32' | 'bf16' | 'auto'): Promise<unknown> => {
  const layers = { [graph.nodes[0]?.name as string]: 8 }
  const result = await compress(graph, { layers, maxIterations: 1, seed: 1, precision })
  return [...result.layers, ...result.kept][0]?.latency
}

t.match(await latency('bf16'), { densePrecision: 'bf16', chainPrecision: 'bf16' })
t.match(await latency('auto'), { densePrecision: 'f32', chainPrecision: 'f32' })
