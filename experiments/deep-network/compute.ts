import { type CompressOptions, compress } from '../../lib/index.js'
import { type Accuracy, type Budget, calibrationAt, denseOf, type OwnNetwork, train, trainDense } from '../common/from-scratch.js'
import { measureCompressed, type Timing } from '../common/latency.js'
import type { CellContext } from '../framework/experiment.js'
import { residualNetwork, residualRanks, side } from './network.js'

/** How factors are found: without any control of how they cancel, with the ridge that is the default, corrected, or by the inputs. */
export const starts = {
  'nls, no ridge': { ridge: 0 },
  nls: {},
  'nls + correction': { correction: 'epc' },
  'data-aware nls': {}
} as const satisfies Readonly<Record<string, Partial<CompressOptions>>>

export type DeepStart = keyof typeof starts

export type DeepConfig =
  | { readonly kind: 'dense'; readonly budget: Budget }
  | {
      readonly kind: 'cp'
      readonly part: number
      readonly start: DeepStart
      readonly seed: number
      readonly budget: Budget
      readonly dense: Budget
    }
  | { readonly kind: 'time'; readonly batch: number; readonly parts: readonly number[] }

export interface DeepAccuracy extends Accuracy {
  /** Over the layers: the largest relative error of weights, and the sum of the sensitivities. */
  readonly error?: number
  readonly sensitivity?: number
}

export type DeepResult = DeepAccuracy | { readonly timings: readonly Timing[] }

const network: OwnNetwork = {
  name: 'residual',
  seed: 1,
  side,
  create: residualNetwork,
  training: { batchNorm: 'batch', clipNorm: 10, warmUp: 0.1 }
}

export async function run(config: DeepConfig, context: CellContext): Promise<DeepResult> {
  if (config.kind === 'time') {
    const compressed = config.parts.map((part) => [partName(part), residualRanks(part)] as const)
    return { timings: await measureCompressed(residualNetwork(1), compressed, [config.batch, 1, side, side], context) }
  }
  if (config.kind === 'dense') return (await trainDense(network, config.budget, context)).result
  const dense = await denseOf(network, config.dense, context)
  const { graph, layers } = await compress(dense, {
    whenSlower: 'replace',
    layers: residualRanks(config.part),
    seed: config.seed,
    ...(context.scale === 'quick' && { maxIterations: 5 }),
    ...starts[config.start],
    ...(config.start === 'data-aware nls' && { calibration: await calibrationAt(side, context) }),
    signal: context.signal
  })
  const options = { batchNorm: 'frozen', weightDecay: 1e-4, schedule: 'one-cycle', seed: config.seed } as const
  const { result } = await train(graph, side, config.budget, options, context)
  const error = Math.max(...layers.map(({ relativeError }) => relativeError))
  return { ...result, error, sensitivity: layers.reduce((sum, layer) => sum + layer.sensitivity, 0) }
}

/** As the tables call it. */
export function partName(part: number): string {
  return `rank ${part} × channels`
}
