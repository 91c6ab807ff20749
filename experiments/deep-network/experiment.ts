// A residual network that we train on the characters, decomposed as a whole: where plain factors are said to break fine-tuning.

import { type Experiment, seedsOf } from '../framework/experiment.js'
import type { Budget } from '../common/from-scratch.js'
import { type DeepConfig, type DeepResult, type DeepStart, run, starts } from './compute.js'
import { report } from './report.js'

const dense: Budget = { images: 30_000, epochs: 4, learningRate: 0.05 }
const tuning: Budget = { images: 15_000, epochs: 1, learningRate: 0.02 }

export const deepNetwork: Experiment<DeepConfig, DeepResult> = {
  name: 'deep-network',
  title: 'A deep residual network, decomposed as a whole',
  components: ({ kind }) =>
    kind === 'time' ? ['inference', 'peer runtimes'] : ['character data', 'decomposition', 'training', 'networks'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const small = (budget: Budget): Budget => (isQuick ? { ...budget, images: 128, epochs: 1 } : budget)
    const names = (Object.keys(starts) as DeepStart[]).slice(isQuick ? 2 : 0)
    const parts = isQuick ? [0.25] : [1, 0.5]
    const cp = (part: number, start: DeepStart, seed: number): DeepConfig => ({
      kind: 'cp',
      part,
      start,
      seed,
      budget: small(tuning),
      dense: small(dense)
    })
    return [
      { kind: 'dense', budget: small(dense) },
      ...seedsOf(scale).flatMap((seed) => [...parts].reverse().flatMap((part) => names.map((start) => cp(part, start, seed)))),
      ...(isQuick ? [1] : [1, 64]).map((batch): DeepConfig => ({ kind: 'time', batch, parts }))
    ]
  },
  key: (config) => {
    if (config.kind === 'dense') return 'dense'
    return config.kind === 'time' ? `time: batch ${config.batch}` : `${config.part} of the channels, ${config.start}, seed ${config.seed}`
  },
  run,
  report
}
