// The paper's first experiment: CharNet's second layer at many ranks, from starts of many qualities, before and after tuning.

import { starts, type Tuning } from '../common/charnet.js'
import type { Experiment } from '../framework/experiment.js'
import { run, type SecondConfig, type SecondResult } from './compute.js'
import { report } from './report.js'

const ranks = [8, 16, 32, 64, 96, 128, 192]
/** The same for every cell: one epoch, so that the start still matters if it ever does. */
const tuning: Tuning = { images: 10_000, epochs: 1, learningRate: 0.005, weightDecay: 1e-4 }

export const secondLayer: Experiment<SecondConfig, SecondResult> = {
  name: 'second-layer',
  title: 'CharNet, second layer',
  components: () => ['character data', 'dense CharNet', 'decomposition', 'training'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const used = isQuick ? { ...tuning, images: 256 } : tuning
    return (isQuick ? [1] : [1, 2, 3]).flatMap((seed) =>
      (isQuick ? [8, 16] : ranks).flatMap((rank) => starts.map((start) => ({ rank, start, seed, tuning: used })))
    )
  },
  key: ({ rank, start, seed }) => `rank ${rank}, ${start}, seed ${seed}`,
  run,
  report
}
