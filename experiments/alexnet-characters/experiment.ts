// NLS against greedy on a second layer of two groups, as the paper compared them on AlexNet's; the network is ours, trained on the characters.

import type { CpdMethod } from '../../lib/index.js'
import type { Budget } from '../common/from-scratch.js'
import { type Experiment, seedsOf } from '../framework/experiment.js'
import { type GroupedConfig, type GroupedResult, run } from './compute.js'
import { report } from './report.js'

const dense: Budget = { images: 30_000, epochs: 3, learningRate: 0.01 }
const tuning: Budget = { images: 10_000, epochs: 1, learningRate: 0.005 }
const methods: readonly CpdMethod[] = ['nls', 'als', 'greedy']

export const alexnetCharacters: Experiment<GroupedConfig, GroupedResult> = {
  name: 'alexnet-characters',
  title: 'A second layer of two groups: NLS against greedy',
  components: () => ['character data', 'decomposition', 'training', 'networks'],
  cells: (scale) => {
    const isQuick = scale === 'quick'
    const small = (budget: Budget): Budget => (isQuick ? { ...budget, images: 128, epochs: 1 } : budget)
    const cp = (method: CpdMethod, rank: number, seed: number): GroupedConfig => ({
      kind: 'cp',
      method,
      rank,
      seed,
      budget: small(tuning),
      dense: small(dense)
    })
    return [
      { kind: 'dense', budget: small(dense) },
      ...seedsOf(scale).flatMap((seed) => (isQuick ? [8] : [16, 64]).flatMap((rank) => methods.map((method) => cp(method, rank, seed))))
    ]
  },
  key: (config) => (config.kind === 'dense' ? 'dense' : `rank ${config.rank}, ${config.method}, seed ${config.seed}`),
  run,
  report
}
