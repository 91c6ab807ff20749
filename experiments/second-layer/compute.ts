import { decompose, denseCharNet, size, type Start, testAccuracy, tune, type Tuning } from '../common/charnet.js'
import type { CellContext } from '../framework/experiment.js'

export type SecondConfig = {
  readonly rank: number
  readonly start: Start
  readonly seed: number
  readonly tuning: Tuning
}

/** Accuracies in percent on the test set, and on the validation set where that is said. */
export interface SecondResult {
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

export async function run({ rank, start, seed, tuning }: SecondConfig, context: CellContext): Promise<SecondResult> {
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
