import { cost } from '../lib/index.js'
import { runJob } from '../lib/native/jobs.js'
import { prepareTraining } from '../lib/training/trainer.js'
import type { BenchCase, Suite, SuiteContext } from './format.js'
import { compare, gaussian } from './harness.js'
import { findPyTorch, PyTorchPeer } from './pytorch/peer.js'
import { type TrainingNetwork, trainingNetworks } from './training-networks.js'

// Losses of the same steps from the same weights; float32 in another order.
const tolerance = 1e-3
const sgd = { learningRate: 1e-3, momentum: 0.9, nesterov: true }

/** One step of training (forward, backward, update) of whole networks, dense and in CP form, beside PyTorch's. */
export const training: Suite = {
  name: 'training',
  async *run(context) {
    const wanted = new RegExp(process.env.POLYADIC_BENCH_NETWORK ?? '', 'i')
    for (const { name, form, make } of trainingNetworks) if (wanted.test(`${name} ${form}`)) yield* measure(make(), context)
  }
}

async function* measure(network: TrainingNetwork, context: SuiteContext): AsyncGenerator<BenchCase> {
  const { graph, dims, batch, classes, form } = network
  const name = `${network.name} ${form}, batch ${batch}`
  const size = dims[0] * dims[1] * dims[2]
  const inputs = gaussian(batch * size)
  const targets = Int32Array.from({ length: batch }, (_, i) => (i * 7) % classes)
  const prepared = prepareTraining(graph, {
    batchSize: batch,
    threads: context.threads,
    logits: undefined,
    inputShape: dims,
    frozen: undefined
  })
  const { trainer } = prepared
  const options = { kind: 'sgd', ...sgd, weightDecay: new Float32Array(prepared.parameters.length), rateScale: prepared.rateScale } as const
  const step = () => runJob(() => trainer.step([inputs], [{ kind: 'cross_entropy', output: 0, target: targets }], options))
  const python = findPyTorch()
  const peers: PyTorchPeer[] = []
  try {
    if (python !== undefined) {
      for (const channelsLast of [false, true])
        peers.push(await PyTorchPeer.start(python, graph, { threads: context.threads, channelsLast }))
    }
    const difference = await compareLosses(step, peers, { inputs, targets, dims })
    if (!(difference <= tolerance)) throw new Error(`${name}: the losses differ by ${difference}`)
    const macs = 3 * cost(graph, { image: [batch, ...dims] }).macs
    yield* await compare(
      {
        suite: 'training',
        name,
        form,
        ours: { name: 'polyadic', run: step },
        peers: peers.map((peer, i) => ({ name: `PyTorch ${peer.version}${i === 1 ? ' NHWC' : ''}`, run: () => peer.step(1) })),
        macs,
        maxAbsDiff: peers.map(() => difference)
      },
      context
    )
  } finally {
    trainer.close()
    for (const peer of peers) await peer.close()
  }
}

async function compareLosses(
  step: () => Promise<{ readonly loss: number }>,
  peers: readonly PyTorchPeer[],
  data: { inputs: Float32Array; targets: Int32Array; dims: readonly number[] }
): Promise<number> {
  const ours: number[] = []
  for (let i = 0; i < 3; i++) ours.push((await step()).loss)
  let largest = 0
  for (const peer of peers) {
    const { losses } = await peer.step(3, { data, optimiser: { kind: 'sgd', ...sgd } })
    losses.forEach((loss, i) => {
      largest = Math.max(largest, Math.abs(loss - (ours[i] as number)) / Math.max(1, loss))
    })
  }
  return largest
}
