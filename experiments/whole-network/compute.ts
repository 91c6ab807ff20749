import {
  decompose,
  denseCharNet,
  type LayerError,
  type Ranks,
  size,
  testAccuracy,
  tune,
  type Tuned,
  type Tuning
} from '../common/charnet.js'
import type { CellContext } from '../framework/experiment.js'

export type WholeConfig = {
  /** One after another: which layers are decomposed before each tuning. */
  readonly stages: readonly Ranks[]
  readonly seed: number
  /** Of each stage. */
  readonly tuning: Tuning
}

/** Accuracies in percent. */
export interface WholeResult {
  readonly macs: number
  readonly parameters: number
  readonly stages: readonly {
    readonly errors: Readonly<Record<string, LayerError>>
    readonly before: number
    readonly after: number
    readonly validation: readonly number[]
  }[]
}

export async function run({ stages, seed, tuning }: WholeConfig, context: CellContext): Promise<WholeResult> {
  let graph = await denseCharNet()
  const done = []
  for (const [index, ranks] of stages.entries()) {
    const decomposed = await decompose(graph, ranks, 'nls', seed, context)
    const before = await testAccuracy(decomposed.graph, context)
    const tuned: Tuned = await tune(decomposed.graph, tuning, seed, { ...context, scratch: (name) => context.scratch(`${index}.${name}`) })
    graph = tuned.graph
    done.push({ errors: decomposed.errors, before, after: await testAccuracy(graph, context), validation: tuned.validation })
  }
  return { ...size(graph), stages: done }
}
