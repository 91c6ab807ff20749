import { patch } from '../../examples/charnet/architecture.js'
import { decompose, denseCharNet, size, type Start, testAccuracy, tune, type Tuning } from '../common/charnet.js'
import { measureCompressed, type Timing } from '../common/latency.js'
import type { CellContext } from '../framework/experiment.js'

export type SecondConfig = StartConfig | TimeConfig

export type StartConfig = {
  readonly rank: number
  readonly start: Start
  readonly seed: number
  readonly tuning: Tuning
}

/** How fast the whole network is at each rank. */
export type TimeConfig = { readonly kind: 'time'; readonly batch: number; readonly ranks: readonly number[] }

export type SecondResult = StartResult | { readonly timings: readonly Timing[] }

/** Accuracies in percent on the test set, and on the validation set where that is said. */
export interface StartResult {
  readonly macs: number
  readonly parameters: number
  /** Relative, of conv2's weights and where inputs were used of its output; nothing for random factors. */
  readonly error?: number
  readonly outputError?: number
  readonly solverSeconds: number
  readonly before: number
  readonly after: number
  readonly validation: readonly number[]
}

export async function run(config: SecondConfig, context: CellContext): Promise<SecondResult> {
  if ('kind' in config) {
    const compressed = config.ranks.map((rank) => [String(rank), { conv2: rank }] as const)
    return { timings: await measureCompressed(await denseCharNet(), compressed, [config.batch, 1, patch, patch], context) }
  }
  const { rank, start, seed, tuning } = config
  const { graph: decomposed, errors, seconds } = await decompose(await denseCharNet(), { conv2: rank }, start, seed, context)
  const before = await testAccuracy(decomposed, context)
  const { graph, validation } = await tune(decomposed, tuning, seed, context)
  const { weights, output } = errors.conv2 ?? {}
  return {
    ...size(graph),
    ...(weights !== undefined && { error: weights }),
    ...(output !== undefined && { outputError: output }),
    solverSeconds: seconds,
    before,
    after: await testAccuracy(graph, context),
    validation
  }
}
