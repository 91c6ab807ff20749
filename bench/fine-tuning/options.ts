// What the options of fineTune() do to CharNet with conv2 and conv3 at rank 64: labels or the dense network as a teacher, the sensitivity in
// the loss, balancing, and where gradients are clipped; and clipping from scratch.
//   npm run build:ts && node dist/bench/fine-tuning/options.js

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { compress, evaluate, fineTune, type FineTuneOptions, type Graph, readOnnx, writeOnnx } from '../../lib/index.js'
import { sensitivityOf } from '../../lib/training/sensitivity.js'
import { createCharNet } from '../../examples/charnet/architecture.js'
import { fineTuning } from '../../examples/charnet/hyper-parameters.js'
import { charnetFile } from '../../examples/charnet/paths.js'
import { cacheFolder, characters, remembered } from './runs.js'

const counts = { train: 20_000, validation: 6_000, test: 12_000 } as const

type Options = Partial<FineTuneOptions>

/** Test accuracy, and the sensitivity of the decomposed layers together, after training. */
export interface Outcome {
  readonly accuracy: number
  readonly sensitivity: number
  readonly rollbacks: number
}

function variants(teacher: Graph): Readonly<Record<string, Options>> {
  return {
    labels: {},
    'teacher, no labels': { distillation: { teacher, temperature: 2 } },
    'sensitivity 1e-6': { sensitivity: 1e-6 },
    'sensitivity 1e-4': { sensitivity: 1e-4 },
    'not balanced': { balance: false }
  }
}

const clips = [1, 10, 0] as const
const rates = [0.005, 0.02] as const

async function main(): Promise<void> {
  const dense = await readOnnx(charnetFile)
  const factored = await decomposed(dense)
  await remembered('options-before', async () => ({ dense: await judged(dense), factored: await judged(factored) }))
  await vary(dense, factored, [1])
  await clipped(factored, 'tuned', {})
  await clipped(createCharNet(1), 'scratch', { epochs: 1, weightDecay: 5e-4 })
  await vary(dense, factored, [2, 3])
}

async function vary(dense: Graph, factored: Graph, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds)
    for (const [name, options] of Object.entries(variants(dense))) await run(`options-${name}-${seed}`, factored, { ...options, seed })
}

async function clipped(graph: Graph, name: string, options: Options): Promise<void> {
  for (const learningRate of rates)
    for (const clipNorm of clips)
      await run(`${name}-rate-${learningRate}-clip-${clipNorm}`, graph, { ...options, learningRate, clipNorm, seed: 1 })
}

/** A killed run goes on from its checkpoint. */
const run = (name: string, graph: Graph, options: Options) => remembered(name, () => tuned(graph, name, options))

async function decomposed(dense: Graph): Promise<Graph> {
  const file = path.join(cacheFolder, 'options-factored.onnx')
  if (!existsSync(file)) {
    await mkdir(cacheFolder, { recursive: true })
    await writeOnnx((await compress(dense, { layers: { conv2: 64, conv3: 64 }, seed: 1 })).graph, file)
  }
  return readOnnx(file)
}

async function tuned(graph: Graph, name: string, options: Options): Promise<Outcome> {
  const [train, validation] = [await characters('train', counts.train), await characters('validation', counts.validation)]
  // Without labels neither set has any: the best epoch is the one that agrees most with the teacher.
  const unlabelled = options.distillation !== undefined && options.distillation.labels === undefined
  const known = ({ images, labels, count }: typeof train) => (unlabelled ? { images, count } : { images, labels, count })
  const result = await fineTune(graph, {
    ...fineTuning,
    threads: 1,
    train: known(train),
    validation: known(validation),
    checkpoint: { path: path.join(cacheFolder, `${name}.checkpoint`), everySteps: 100, resume: true },
    ...options
  })
  return { ...(await judged(result.graph)), rollbacks: result.rollbacks.length }
}

async function judged(graph: Graph): Promise<Omit<Outcome, 'rollbacks'>> {
  const { accuracy } = await evaluate(graph, await characters('test', counts.test), { threads: 1 })
  return { accuracy, sensitivity: sensitivityOf(graph) }
}

if (process.argv[1]?.endsWith('options.js')) await main()
