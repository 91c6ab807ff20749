// AlexNet's second layer, the paper's other network: how fast it becomes. Speed does not depend on the weights.

import type { Experiment } from '../framework/experiment.js'
import { type AlexConfig, type AlexResult, run } from './compute.js'
import { report } from './report.js'

export const alexnetSpeed: Experiment<AlexConfig, AlexResult> = {
  name: 'alexnet-speed',
  title: 'AlexNet, second layer: speed',
  components: () => ['inference', 'peer runtimes', 'networks'],
  cells: (scale) => {
    const ranks = scale === 'quick' ? [64] : [64, 140, 200, 300]
    return (scale === 'quick' ? (['layer'] as const) : (['layer', 'network'] as const)).map(
      (what): AlexConfig => ({ what, batch: 1, ranks })
    )
  },
  key: ({ what, batch }) => `time: ${what}, batch ${batch}`,
  run,
  report
}
