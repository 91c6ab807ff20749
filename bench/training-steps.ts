import { runJob } from '../lib/native/jobs.js'
import { prepareTraining } from '../lib/training/trainer.js'
import { gaussian } from './harness.js'
import type { PeerData } from './pytorch/peer.js'
import type { TrainingNetwork } from './training-networks.js'

/** How every network of the suite is trained. */
export const sgd = { learningRate: 1e-3, momentum: 0.9, nesterov: true } as const

/** A network on our trainer with a batch of noise: one step of it, and the batch. */
export function steps({ graph, dims, batch, classes }: TrainingNetwork, threads: number) {
  const data: PeerData = {
    inputs: gaussian(batch * dims[0] * dims[1] * dims[2]),
    targets: Int32Array.from({ length: batch }, (_, i) => (i * 7) % classes),
    dims
  }
  const prepared = prepareTraining(graph, { batchSize: batch, threads, inputShape: dims })
  const { trainer, parameters, rateScale } = prepared
  const options = { kind: 'sgd', ...sgd, weightDecay: new Float32Array(parameters.length), rateScale } as const
  const step = () =>
    runJob(() => trainer.step([data.inputs], [{ kind: 'cross_entropy', output: 0, target: data.targets as Int32Array }], options))
  return { data, step, close: (): void => trainer.close() }
}
