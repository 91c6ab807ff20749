// The paper's remark that a decomposed network sometimes generalises better than the original: does it here, and at which rank?

import { type Ranks, ranksText, type Tuning } from '../common/charnet.js'
import { type Experiment, seedsOf } from '../framework/experiment.js'
import { type RegularConfig, type RegularResult, run } from './compute.js'
import { report } from './report.js'

const tuning: Tuning = { images: 20_000, epochs: 3, learningRate: 0.002, weightDecay: 0.01, optimiser: 'adamw' }
const ranks = [32, 64, 128, 192]

export const regularisation: Experiment<RegularConfig, RegularResult> = {
  name: 'regularisation',
  title: 'Does a decomposition regularise?',
  components: () => ['character data', 'dense CharNet', 'decomposition', 'training'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const used = isQuick ? { ...tuning, images: 128, epochs: 1 } : tuning
    const tried = [null, ...(isQuick ? [16] : ranks)].map((rank): Ranks | null => (rank === null ? null : { conv2: rank, conv3: rank }))
    return seedsOf(scale).flatMap((seed) => tried.map((one): RegularConfig => ({ ranks: one, seed, tuning: used })))
  },
  key: ({ ranks: one, seed }) => `${one === null ? 'dense' : ranksText(one)}, seed ${seed}`,
  run,
  report
}
