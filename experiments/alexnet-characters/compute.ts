import { GraphBuilder } from '../../bench/graphs.js'
import { classCount } from '../../examples/charnet/architecture.js'
import { type CpdMethod, compress, float, type Graph, initialise, int } from '../../lib/index.js'
import { type Accuracy, type Budget, denseOf, type OwnNetwork, train, trainDense } from '../common/from-scratch.js'
import type { CellContext } from '../framework/experiment.js'

export type GroupedConfig =
  | { readonly kind: 'dense'; readonly budget: Budget }
  | {
      readonly kind: 'cp'
      readonly method: CpdMethod
      readonly rank: number
      readonly seed: number
      readonly budget: Budget
      readonly dense: Budget
    }

export interface GroupedResult extends Accuracy {
  /** Relative, of conv2's weights. */
  readonly error?: number
}

const side = 64
const network: OwnNetwork = { name: 'grouped', seed: 1, side, create: groupedNetwork, training: { clipNorm: 10, warmUp: 0.1 } }

export async function run(config: GroupedConfig, context: CellContext): Promise<GroupedResult> {
  if (config.kind === 'dense') return (await trainDense(network, config.budget, context)).result
  const dense = await denseOf(network, config.dense, context)
  const { graph, layers } = await compress(dense, {
    whenSlower: 'replace',
    layers: { 'conv2.weight': config.rank },
    method: config.method,
    seed: config.seed,
    ...(context.scale === 'quick' && { maxIterations: 5 }),
    signal: context.signal
  })
  const { result } = await train(graph, side, config.budget, { weightDecay: 1e-4, schedule: 'one-cycle', seed: config.seed }, context)
  const error = layers[0]?.relativeError
  return { ...result, ...(error !== undefined && { error }) }
}

/** AlexNet's beginning on a smaller scale: local response normalisation, and a second layer of two groups; N×1×64×64. */
function groupedNetwork(seed: number): Graph {
  const b = new GraphBuilder('dense')
  const pool = { kernel_shape: [3, 3], strides: [2, 2] }
  const lrn = { size: int(5), alpha: float(1e-4), beta: float(0.75), bias: float(1) }
  let x = b.node('Relu', [b.convolution('conv1', b.input, { inputs: 1, outputs: 32, kernel: 7, stride: 2, pad: 3 })])
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = b.node('Relu', [b.convolution('conv2', x, { inputs: 32, outputs: 64, kernel: 5, pad: 2, groups: 2 })])
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], pool)
  x = b.node('Relu', [b.convolution('conv3', x, { inputs: 64, outputs: 64, kernel: 3, pad: 1 })])
  x = b.node('Flatten', [b.node('MaxPool', [x], pool)], { axis: int(1) })
  x = b.node('Relu', [b.dense('fc4', x, 576, 256)])
  return initialise(b.graph('grouped', b.dense('fc5', x, 256, classCount), [1, side, side], [classCount]), { seed })
}
