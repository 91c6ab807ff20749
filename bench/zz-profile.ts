import { prepareTraining } from '../lib/training/trainer.js'
import { runJob } from '../lib/native/jobs.js'
import { gaussian } from './harness.js'
import { trainingNetworks } from './training-networks.js'
const wanted = process.argv[2] ?? 'CharNet dense'
const steps = Number(process.argv[3] ?? 20)
const threads = Number(process.argv[4] ?? 1)
for (const { name, form, make } of trainingNetworks) {
  if (!new RegExp(wanted, 'i').test(`${name} ${form}`)) continue
  const { graph, dims, batch, classes } = make()
  const inputs = gaussian(batch * dims[0] * dims[1] * dims[2])
  const targets = Int32Array.from({ length: batch }, (_, i) => (i * 7) % classes)
  const prepared = prepareTraining(graph, { batchSize: batch, threads, logits: undefined, inputShape: dims, frozen: undefined })
  const options = { kind: 'sgd', learningRate: 1e-3, momentum: 0.9, nesterov: true, weightDecay: new Float32Array(prepared.parameters.length), rateScale: prepared.rateScale } as const
  const step = () => runJob(() => prepared.trainer.step([inputs], [{ kind: 'cross_entropy', output: 0, target: targets }], options))
  const times: number[] = []
  for (let i = 0; i < steps; i++) {
    const t = performance.now()
    await step()
    times.push(performance.now() - t)
  }
  times.sort((a, b) => a - b)
  console.log(name, form, 'median', times[steps >> 1]?.toFixed(2), 'min', times[0]?.toFixed(2))
  prepared.trainer.close()
}
