// The paper's first experiment: CharNet's second layer at many ranks, from starts of many qualities, before and after tuning.

import { starts, type Tuning } from '../common/charnet.js'
import { type Experiment, seedsOf } from '../framework/experiment.js'
import { run, type SecondConfig, type SecondResult } from './compute.js'
import { report } from './report.js'

const ranks = [8, 16, 32, 64, 96, 128, 192]
/** The same for every cell: one epoch, so that the start still matters if it ever does. */
const tuning: Tuning = { images: 10_000, epochs: 1, learningRate: 0.005, weightDecay: 1e-4 }

export const secondLayer: Experiment<SecondConfig, SecondResult> = {
  name: 'second-layer',
  title: 'CharNet, second layer',
  components: (config) =>
    'kind' in config ? ['dense CharNet', 'inference', 'peer runtimes'] : ['character data', 'dense CharNet', 'decomposition', 'training'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const used = isQuick ? { ...tuning, images: 256 } : tuning
    const tried = isQuick ? [8, 16] : ranks
    return [
      ...seedsOf(scale).flatMap((seed) =>
        tried.flatMap((rank) => starts.map((start): SecondConfig => ({ rank, start, seed, tuning: used })))
      ),
      ...[1, 64].map((batch): SecondConfig => ({ kind: 'time', batch, ranks: tried }))
    ]
  },
  key: (config) => ('kind' in config ? `time: batch ${config.batch}` : `rank ${config.rank}, ${config.start}, seed ${config.seed}`),
  run,
  report
}
