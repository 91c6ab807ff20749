import { compress, type Graph, readOnnx } from '../lib/index.js'
import { runJob } from '../lib/native/jobs.js'
import { weightDecays } from '../lib/training/parameters.js'
import { prepareTraining } from '../lib/training/trainer.js'
import { type CharacterSet, createCharacters } from '../examples/charnet/dataset.js'
import { charnetFile } from '../examples/charnet/paths.js'
import type { BenchCase, SuiteContext } from './format.js'
import { checkCase } from './format.js'
import { findPyTorch, PyTorchPeer } from './pytorch/peer.js'

const target = 0.885
const [batch, stepsBetween, counts] = [64, 25, { train: 9_600, validation: 3_000 }] as const
const classes = 36
const dims = [1, 24, 24] as const
const size = 576
const optimiser = { kind: 'sgd', learningRate: 0.001, momentum: 0.9, nesterov: true, weightDecay: 1e-4 } as const
const clipNorm = 1
// The same steps in two orders of summation end at accuracies that differ by some examples.
const tolerance = 0.01

/** Takes steps on so many of the examples, from `first` on, and answers the seconds they took; and the accuracy afterwards. */
interface Learner {
  train(first: number): Promise<number>
  accuracy(): Promise<number>
  close(): void | Promise<void>
}

/**
 * CharNet with conv2 and conv3 at rank 64, as decomposed, is tuned until it reads `target` of the validation characters, measured every 25
 * steps. Seconds of training alone.
 */
export async function* timeToAccuracy(context: SuiteContext): AsyncGenerator<BenchCase> {
  const { graph } = await compress(await readOnnx(charnetFile), { layers: { conv2: 64, conv3: 64 }, seed: 1 })
  const [train, validation] = [
    await createCharacters({ split: 'train', count: counts.train }),
    await createCharacters({ split: 'validation', count: counts.validation })
  ]
  const mine = await reach(ours(graph, train, validation, context.threads))
  const python = findPyTorch()
  const common = {
    suite: 'training',
    name: `CharNet, tuned to ${100 * target} % of the validation set`,
    form: 'cp',
    threads: context.threads,
    isa: context.isa,
    precision: 'float32',
    ours_ms: mine.ms
  } as const
  if (python === undefined) return yield checkCase(common)
  const peer = await PyTorchPeer.start(python, graph, { threads: context.threads })
  const other = await reach(pytorch(peer, train, validation))
  const difference = Math.max(...mine.curve.map((value, i) => Math.abs(value - (other.curve[i] ?? value))))
  if (!(difference <= tolerance)) throw new Error(`${common.name}: the accuracies differ by ${difference}`)
  yield checkCase({ ...common, peer: peer.name, peer_ms: other.ms, ratio: other.ms / mine.ms, max_abs_diff: difference })
}

async function reach(learner: Learner): Promise<{ readonly ms: number; readonly curve: readonly number[] }> {
  const curve: number[] = []
  try {
    let ms = 0
    for (let first = 0; first < 4 * counts.train; first += batch * stepsBetween) {
      ms += await learner.train(first % counts.train)
      curve.push(await learner.accuracy())
      if ((curve.at(-1) as number) >= target) return { ms, curve }
    }
    throw new Error(`an accuracy of ${target} was not reached: ${curve.join(', ')}`)
  } finally {
    await learner.close()
  }
}

function ours(graph: Graph, train: CharacterSet, validation: CharacterSet, threads: number): Learner {
  const { trainer, parameters, rateScale } = prepareTraining(graph, { batchSize: batch, threads, inputShape: dims })
  const options = { ...optimiser, clipNorm, rateScale, weightDecay: weightDecays(parameters, optimiser.weightDecay, false) }
  const losses = (labels: Int32Array) => [{ kind: 'cross_entropy', output: 0, target: labels }] as const
  return {
    async train(first) {
      const started = performance.now()
      for (let at = first; at < first + batch * stepsBetween; at += batch) {
        const [images, labels] = [train.images.subarray(at * size, (at + batch) * size), train.labels.subarray(at, at + batch)]
        await runJob(() => trainer.step([images], losses(labels), options))
      }
      return performance.now() - started
    },
    async accuracy() {
      let right = 0
      for (let at = 0; at < validation.count; at += batch) {
        const count = Math.min(batch, validation.count - at)
        const images = new Float32Array(batch * size)
        images.set(validation.images.subarray(at * size, (at + count) * size))
        const labels = new Int32Array(batch)
        labels.set(validation.labels.subarray(at, at + count))
        right += (await runJob(() => trainer.evaluate([images], losses(labels), count))).correct
      }
      return right / validation.count
    },
    close: () => trainer.close()
  }
}

function pytorch(peer: PyTorchPeer, train: CharacterSet, validation: CharacterSet): Learner {
  let begun = false
  return {
    async train(first) {
      const last = first + batch * stepsBetween
      const data = { inputs: train.images.subarray(first * size, last * size), targets: train.labels.subarray(first, last), dims }
      const { ms } = await peer.step(stepsBetween, { data, batchSize: batch, clipNorm, ...(!begun && { optimiser }) })
      begun = true
      return ms
    },
    async accuracy() {
      const { output } = await peer.infer(1, { values: validation.images, dims: [validation.count, ...dims] })
      let right = 0
      validation.labels.forEach((label, i) => {
        const row = output.subarray(i * classes, (i + 1) * classes)
        if (row.indexOf(Math.max(...row)) === label) right++
      })
      return right / validation.count
    },
    close: () => peer.close()
  }
}
