// What a network takes on the disk and in memory, dense and decomposed.

import type { Experiment } from '../framework/experiment.js'
import { type MemoryConfig, type MemoryResult, run } from './compute.js'
import { report } from './report.js'

export const memory: Experiment<MemoryConfig, MemoryResult> = {
  name: 'memory',
  title: 'Memory',
  components: () => ['decomposition', 'inference', 'files', 'networks'],
  cells: (scale) => {
    const networks = scale === 'quick' ? (['CharNet'] as const) : (['CharNet', 'AlexNet', 'VGG-16'] as const)
    return networks.flatMap((network) =>
      (['dense', 'cp'] as const).map((form): MemoryConfig => ({ network, form, batch: network === 'CharNet' ? 64 : 1 }))
    )
  },
  key: ({ network, form, batch }) => `${network}, ${form}, batch ${batch}`,
  run,
  report
}
