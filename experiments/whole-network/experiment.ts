// The paper's second experiment: both large layers of CharNet at rank 64, one after the other and at once.

import { type Ranks, ranksText, type Tuning } from '../common/charnet.js'
import { type Experiment, seedsOf } from '../framework/experiment.js'
import { run, type WholeConfig, type WholeResult } from './compute.js'
import { report } from './report.js'

const [conv2, conv3] = [{ conv2: 64 }, { conv3: 64 }]
const tuning: Tuning = { images: 20_000, epochs: 4, learningRate: 0.005, weightDecay: 1e-4 }

export const wholeNetwork: Experiment<WholeConfig, WholeResult> = {
  name: 'whole-network',
  title: 'CharNet, whole network',
  components: () => ['character data', 'dense CharNet', 'decomposition', 'training'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const total = isQuick ? { ...tuning, images: 256, epochs: 2 } : tuning
    // As many epochs in all.
    const half = { ...total, epochs: total.epochs / 2 }
    return seedsOf(scale).flatMap((seed): WholeConfig[] => [
      { stages: [{ ...conv2, ...conv3 }], seed, tuning: total },
      { stages: [conv2, conv3], seed, tuning: half }
    ])
  },
  key: ({ stages, seed }) => `${stagesText(stages)}, seed ${seed}`,
  run,
  report
}

function stagesText(stages: readonly Ranks[]): string {
  return stages.map(ranksText).join('; then ')
}
