import { decompose, denseCharNet, type Ranks, size, testAccuracy, tune, type Tuning } from '../common/charnet.js'
import type { CellContext } from '../framework/experiment.js'

export type RegularConfig = {
  /** None: the dense network, tuned further with the same budget. */
  readonly ranks: Ranks | null
  readonly seed: number
  readonly tuning: Tuning
}

/** Accuracies in percent. */
export interface RegularResult {
  readonly macs: number
  readonly parameters: number
  readonly before: number
  readonly after: number
  /** Before the first epoch and after each. */
  readonly validation: readonly number[]
  /** Over each epoch, while the weights move. */
  readonly training: readonly number[]
}

export async function run({ ranks, seed, tuning }: RegularConfig, context: CellContext): Promise<RegularResult> {
  const dense = await denseCharNet()
  const start = ranks === null ? dense : (await decompose(dense, ranks, 'nls', seed, context)).graph
  const before = await testAccuracy(start, context)
  const { graph, validation, training } = await tune(start, tuning, seed, context)
  return { ...size(graph), before, after: await testAccuracy(graph, context), validation, training }
}
