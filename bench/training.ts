import { cost, type Graph } from '../lib/index.js'
import type { BenchCase, Suite, SuiteContext } from './format.js'
import { checkCase } from './format.js'
import { compare } from './harness.js'
import { findPyTorch, type PeerData, PyTorchPeer } from './pytorch/peer.js'
import { timeToAccuracy } from './training-accuracy.js'
import { trainingMemory } from './training-memory.js'
import { type TrainingNetwork, trainingNetworks } from './training-networks.js'
import { sgd, steps } from './training-steps.js'

// Losses of the same steps from the same weights; float32 in another order.
const tolerance = 1e-3

/**
 * One step of training (forward, backward, update) of whole networks, dense and in CP form, beside PyTorch's, and by how much memory grows;
 * then the time until an accuracy is reached.
 */
export const training: Suite = {
  name: 'training',
  async *run(context) {
    const wanted = new RegExp(process.env.POLYADIC_BENCH_NETWORK ?? '', 'i')
    for (const { name, form, make } of trainingNetworks) if (wanted.test(`${name} ${form}`)) yield* measure(make(), context)
    if (wanted.test('accuracy')) yield* timeToAccuracy(context)
  }
}

async function* measure(network: TrainingNetwork, context: SuiteContext): AsyncGenerator<BenchCase> {
  const { graph, dims, batch, form } = network
  const name = `${network.name} ${form}, batch ${batch}`
  const { data, step, close } = steps(network, context.threads)
  const python = findPyTorch()
  const peers: PyTorchPeer[] = []
  try {
    if (python !== undefined) {
      for (const channelsLast of [false, true])
        peers.push(await PyTorchPeer.start(python, graph, { threads: context.threads, channelsLast }))
    }
    const difference = await compareLosses(step, peers, data)
    if (!(difference <= tolerance)) throw new Error(`${name}: the losses differ by ${difference}`)
    const cases = await compare(
      {
        suite: 'training',
        name,
        form,
        ours: { name: 'polyadic', run: step },
        peers: peers.map((peer, i) => ({ name: `${peer.name}${i === 1 ? ' NHWC' : ''}`, run: () => peer.step(1) })),
        macs: macsOfStep(graph, [batch, ...dims]),
        maxAbsDiff: peers.map(() => difference)
      },
      context
    )
    if (peers.length === 0 || process.platform !== 'linux') return yield* cases
    const { ours, peer } = await trainingMemory(network, data, context.threads)
    for (const [i, one] of cases.entries()) yield checkCase({ ...one, ours_peak_bytes: ours, ...(i === 0 && { peer_peak_bytes: peer }) })
  } finally {
    close()
    for (const peer of peers) await peer.close()
  }
}

/** Forward, gradient of the weights and of the data, which a layer on the network's input needs none of. */
function macsOfStep(graph: Graph, dims: readonly number[]): number {
  const [input] = graph.inputs
  const first = new Set(graph.nodes.filter(({ inputs }) => inputs.includes(input?.name ?? '')).map(({ name }) => name))
  return cost(graph, { [input?.name ?? '']: dims }).nodes.reduce((sum, { name, macs }) => sum + macs * (first.has(name) ? 2 : 3), 0)
}

async function compareLosses(
  step: () => Promise<{ readonly loss: number }>,
  peers: readonly PyTorchPeer[],
  data: PeerData
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
