// All eight convolutions of a deep network decomposed at once: which learning rates its factors bear, plain and corrected, beside the
// dense network's own, as they are and with `scaleRates`; and what they reach in a fixed number of epochs.
//   npm run build:ts && node dist/bench/fine-tuning/deep.js

import path from 'node:path'
import { compress, type CompressOptions, evaluate, fineTune, type Graph, PolyadicError, readOnnx, writeOnnx } from '../../lib/index.js'
import { createDeepCharNet, deepRanks } from '../../examples/charnet/deep.js'
import { cacheFolder, characters, remembered } from './runs.js'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'

const denseTraining = {
  epochs: 5,
  learningRate: 0.05,
  momentum: 0.9,
  weightDecay: 5e-4,
  schedule: 'cosine',
  warmUp: 0.1,
  clipNorm: 10,
  batchSize: 64,
  threads: 1,
  seed: 1
} as const
const counts = { train: 30_000, validation: 2_000, test: 6_000 } as const

const solvers: Readonly<Record<string, Partial<CompressOptions>>> = {
  plain: { ridge: 0 },
  ridge: {},
  corrected: { ridge: 0, correction: 'epc' }
}
// Powers of two: a rate converges when the loss of every step stays finite and does not spike, and training ends better than it began.
export const rates = [0.0003125, 0.000625, 0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32] as const
const trial = {
  steps: 120,
  momentum: 0.9,
  weightDecay: 1e-4,
  schedule: 'constant',
  clipNorm: 0,
  maxRollbacks: 0,
  batchSize: 64,
  threads: 1
} as const
const epochs = 2
// Of those epochs: half, twice and six times what the dense network was trained with.
export const epochRates = [0.025, 0.1, 0.3] as const

export interface DeepTrial {
  readonly rate: number
  readonly converges: boolean
  /** Mean loss of the last epoch part; null where it diverged. */
  readonly loss: number | null
  readonly accuracy: number | null
}

export interface DeepForm {
  readonly name: string
  readonly relativeErrors: readonly number[]
  readonly sensitivity: number
  /** Validation accuracy as it is, before any training. */
  readonly before: number
  readonly trials: readonly DeepTrial[]
  readonly largest: number | undefined
  /** Test accuracy after two epochs at each of the three rates; with the default clipping and going back. */
  readonly after: readonly (number | null)[]
}

export async function deep(): Promise<{ readonly test: number; readonly forms: readonly DeepForm[] }> {
  const dense = await denseNetwork()
  const test = await remembered('deep-dense-test', async () => (await evaluate(dense, await characters('test', counts.test))).accuracy)
  const forms = [await form('dense', async () => ({ graph: dense, errors: [], sensitivity: 0 }))]
  for (const [name, options] of Object.entries(solvers)) {
    forms.push(await form(name, () => decomposed(dense, name, options)))
    forms.push(await form(name, () => decomposed(dense, name, options), true))
  }
  return { test, forms }
}

async function denseNetwork(): Promise<Graph> {
  const file = path.join(cacheFolder, 'deep.onnx')
  if (existsSync(file)) return readOnnx(file)
  await mkdir(cacheFolder, { recursive: true })
  const { graph, best } = await fineTune(createDeepCharNet(), {
    ...denseTraining,
    train: await characters('train', counts.train),
    validation: await characters('validation', counts.validation),
    checkpoint: { path: path.join(cacheFolder, 'deep.checkpoint'), everySteps: 100, resume: true },
    onProgress: ({ epoch, step, loss, accuracy, validation }) => {
      if (step % 100 === 0 || validation)
        console.log(`dense epoch ${epoch} step ${step} loss ${loss.toFixed(3)} ${accuracy.toFixed(4)} ${validation?.accuracy ?? ''}`)
    }
  })
  console.log(`deep: validation accuracy ${best.accuracy}`)
  await writeOnnx(graph, file)
  return graph
}

interface Decomposed {
  readonly graph: Graph
  readonly errors: readonly number[]
  readonly sensitivity: number
}

async function decomposed(dense: Graph, name: string, options: Partial<CompressOptions>): Promise<Decomposed> {
  const file = path.join(cacheFolder, `deep-${name}.onnx`)
  const figures = await remembered(`deep-${name}-factors`, async () => {
    const { graph, layers } = await compress(dense, { layers: deepRanks, seed: 1, maxIterations: 500, ...options })
    await writeOnnx(graph, file)
    return {
      errors: layers.map(({ relativeError }) => relativeError),
      sensitivity: layers.reduce((sum, layer) => sum + layer.sensitivity, 0),
      congruence: Math.max(...layers.map(({ congruence }) => congruence))
    }
  })
  return { graph: await readOnnx(file), ...figures }
}

async function form(factors: string, make: () => Promise<Decomposed>, scaleRates = false): Promise<DeepForm> {
  const name = scaleRates ? `${factors}-scaled` : factors
  const { graph, errors, sensitivity } = await make()
  const validation = await characters('validation', counts.validation)
  const before = await remembered(`deep-${factors}-before`, async () => (await evaluate(graph, validation)).accuracy)
  const trials: DeepTrial[] = []
  for (const rate of rates) trials.push(await remembered(`deep-${name}-rate-${rate}`, () => tryRate(graph, rate, scaleRates)))
  const largest = trials.filter(({ converges }) => converges).at(-1)?.rate
  const after: (number | null)[] = []
  for (const rate of epochRates) after.push(await remembered(`deep-${name}-epochs-${rate}`, () => afterEpochs(graph, rate, scaleRates)))
  return { name, relativeErrors: errors, sensitivity, before, trials, largest, after }
}

async function tryRate(graph: Graph, rate: number, scaleRates: boolean): Promise<DeepTrial> {
  const validation = await characters('validation', counts.validation)
  const before = await evaluate(graph, validation)
  const tuned = await unlessDiverged(
    fineTune(graph, { ...trial, scaleRates, learningRate: rate, train: await characters('train', counts.train) })
  )
  if (tuned === null) return { rate, converges: false, loss: null, accuracy: null }
  const { accuracy, loss } = await evaluate(tuned.graph, validation)
  return { rate, converges: loss < Math.max(before.loss, 1), loss: tuned.history.at(-1)?.loss ?? null, accuracy }
}

async function afterEpochs(graph: Graph, learningRate: number, scaleRates: boolean): Promise<number | null> {
  const data = { train: await characters('train', counts.train), validation: await characters('validation', counts.validation) }
  const tuning = { epochs, momentum: 0.9, weightDecay: 1e-4, schedule: 'one-cycle', batchSize: 64, threads: 1, seed: 1 } as const
  const tuned = await unlessDiverged(fineTune(graph, { ...tuning, learningRate, scaleRates, ...data }))
  return tuned && (await evaluate(tuned.graph, await characters('test', counts.test))).accuracy
}

/** Null where training kept diverging. */
async function unlessDiverged<T>(training: Promise<T>): Promise<T | null> {
  try {
    return await training
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_NUMERIC') return null
    throw error
  }
}

if (process.argv[1]?.endsWith('deep.js')) console.log(JSON.stringify(await deep(), null, 1))
