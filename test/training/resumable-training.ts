import type { Graph } from '../../lib/graph/graph.js'
import { initialise } from '../../lib/training/initialise.js'
import type { FineTuneOptions } from '../../lib/training/options.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { bars, toyClasses, toySize } from './toy.js'

/** Everything that has state: batch statistics, dropout, a maxout, odd channel counts. */
export function resumableNetwork(): Graph {
  const b = new NetworkBuilder(17, 3)
  const pads = [1, 1, 1, 1]
  const x = b.input(['N', 1, toySize, toySize], 'image')
  let y = b.node('Relu', [b.norm(b.conv(x, [10, 1, 3, 3], { pads }, false), 10)])
  y = b.node('Relu', [b.norm(b.conv(y, [11, 10, 3, 3], { pads }, false), 11)])
  y = b.node('Flatten', [b.node('GlobalAveragePool', [y])])
  y = b.node('Dropout', [y, b.scalar(0.2)])
  return initialise(b.graph(b.node('Gemm', [y, b.weight(toyClasses, 11), b.weight(toyClasses)], { transB: int(1) })), { seed: 4 })
}

/** 4 epochs of 15 steps, with whatever makes a run depend on its past. */
export function resumableOptions(): FineTuneOptions {
  return {
    train: bars(240, 1),
    validation: bars(64, 2),
    epochs: 4,
    batchSize: 16,
    optimiser: 'adamw',
    learningRate: 0.01,
    averageDecay: 0.9,
    batchNorm: 'batch',
    schedule: { factor: 0.5, patience: 0 },
    augment: (example, random) => {
      const shift = 0.2 * random.normal()
      for (let i = 0; i < example.length; i++) example[i]! += shift
    },
    threads: 1,
    seed: 5
  }
}
