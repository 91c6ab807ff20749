import { patch } from '../../examples/charnet/architecture.js'
import {
  decompose,
  denseCharNet,
  type LayerError,
  type Ranks,
  ranksText,
  size,
  type Start,
  testAccuracy,
  tune,
  type Tuning,
  validationAccuracy
} from '../common/charnet.js'
import { measureCompressed, type Timing } from '../common/latency.js'
import type { CellContext } from '../framework/experiment.js'

/** A way from the dense network to the decomposed one. */
export interface Recipe {
  readonly start: Start
  readonly tuning: LongTuning
}

export interface LongTuning extends Tuning {
  /** Of a moving average of the weights, which then is what is judged. */
  readonly averageDecay?: number
}

export type PastConfig =
  | { readonly kind: 'dense' }
  /** The dense network with the budget of the decomposed ones: what more training alone does. */
  | { readonly kind: 'dense, tuned'; readonly seed: number; readonly tuning: Tuning }
  | { readonly kind: 'recipe'; readonly recipe: string; readonly ranks: Ranks; readonly seed: number; readonly settings: Recipe }
  | { readonly kind: 'ranks'; readonly ranks: Ranks; readonly seed: number; readonly settings: Recipe }
  | { readonly kind: 'time'; readonly batch: number; readonly ranks: readonly Ranks[] }

/** Accuracies in percent. */
export interface Trained {
  readonly macs: number
  readonly parameters: number
  readonly errors: Readonly<Record<string, LayerError>>
  readonly testBefore: number
  readonly test: number
  /** Before the first epoch and after each. */
  readonly validation: readonly number[]
  readonly training: readonly number[]
  readonly best: number
  readonly seconds: number
}

export interface Dense {
  readonly validation: number
  readonly test: number
  readonly macs: number
  readonly parameters: number
}

export interface Timed {
  readonly timings: readonly Timing[]
}

export type PastResult = Trained | Dense | Timed

export async function run(config: PastConfig, context: CellContext): Promise<PastResult> {
  const dense = await denseCharNet()
  if (config.kind === 'dense')
    return { validation: await validationAccuracy(dense, context), test: await testAccuracy(dense, context), ...size(dense) }
  if (config.kind === 'time') {
    const compressed = config.ranks.map((ranks) => [ranksText(ranks), ranks] as const)
    return { timings: await measureCompressed(dense, compressed, [config.batch, 1, patch, patch], context) }
  }
  const isDense = config.kind === 'dense, tuned'
  const begin = isDense ? { graph: dense, errors: {} } : await decompose(dense, config.ranks, config.settings.start, config.seed, context)
  const testBefore = await testAccuracy(begin.graph, context)
  const { graph, ...tuned } = await tune(begin.graph, isDense ? config.tuning : config.settings.tuning, config.seed, context)
  return { ...size(graph), errors: begin.errors, testBefore, test: await testAccuracy(graph, context), ...tuned }
}
