// The paper's outlook: layers whose kernels vary over the image, as sums of rank-one terms with factors over places as well.

import type { Budget } from '../common/from-scratch.js'
import { type Experiment, seedsOf } from '../framework/experiment.js'
import { type LocalConfig, type LocalResult, run } from './compute.js'
import { report } from './report.js'

const scratch: Budget = { images: 30_000, epochs: 4, learningRate: 0.02 }
const tuning: Budget = { images: 20_000, epochs: 2, learningRate: 0.01 }

export const spatiallyVarying: Experiment<LocalConfig, LocalResult> = {
  name: 'spatially-varying',
  title: 'Spatially varying kernels',
  components: () => ['character data', 'decomposition', 'training', 'networks'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const small = (budget: Budget): Budget => (isQuick ? { ...budget, images: 128, epochs: 1 } : budget)
    const [full, short] = [small(scratch), small(tuning)]
    const ranks = isQuick ? [8] : [8, 16, 32, 64]
    return seedsOf(scale).flatMap((seed): LocalConfig[] => {
      const decomposed = (rank: number): LocalConfig => ({ kind: 'decomposed', rank, seed, budget: short, local: full })
      return [
        { kind: 'shared', seed, budget: full },
        { kind: 'local', alike: true, seed, budget: full },
        ...ranks.map((rank): LocalConfig => ({ ...decomposed(rank), alike: true })),
        { kind: 'local', seed, budget: full },
        ...ranks.map(decomposed),
        { kind: 'factored', rank: isQuick ? 8 : 64, seed, budget: full }
      ]
    })
  },
  key: ({ kind, alike, rank, seed }) =>
    [kind, ...(alike ? ['alike at first'] : []), ...(rank === undefined ? [] : [`rank ${rank}`]), `seed ${seed}`].join(', '),
  run,
  report
}
