// The whole way on CharNet: decompose conv2 and conv3, fine-tune, measure, write charnet.cp.onnx and a report.
//   npm run demo -- [--quick] [--json FILE] [--out DIR]

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type CompressResult, compress, cost, evaluate, fineTune, type Graph, readOnnx, writeOnnx } from '../../lib/index.js'
import { createProgress, type Progress } from '../../lib/report/progress.js'
import { textTable } from '../../lib/report/table.js'
import { type CharacterSet, createCharacters } from './dataset.js'
import { demoFigures, demoHtml, figureColumns, figureRows, type NetworkFigures, summary } from './demo-report.js'
import { closePair, type Latency, measureLatency, openPair, outputDifference } from './latency.js'
import { charnetFile, root } from './paths.js'
import { patch } from './architecture.js'
import { fineTuning } from './hyper-parameters.js'

const rank = 64
const layers = { conv2: rank, conv3: rank }
const batchSize = 64
// onnxruntime sums in another order; with probabilities at most 1 that is some 1e-6.
const tolerance = 1e-4
const sizes = {
  full: { train: 60_000, validation: 4_000, test: 12_000, epochs: fineTuning.epochs, iterations: 200, runs: 25 },
  quick: { train: 6_400, validation: 1_000, test: 3_000, epochs: 1, iterations: 30, runs: 7 }
} as const

type Sizes = (typeof sizes)['full'] | (typeof sizes)['quick']

interface Data {
  readonly train: CharacterSet
  readonly validation: CharacterSet
  readonly test: CharacterSet
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, json: { type: 'string' }, out: { type: 'string', default: path.join(root, 'out', 'charnet') } }
  })
  const started = performance.now()
  const progress = createProgress()
  const size = values.quick ? sizes.quick : sizes.full
  const dense = await readOnnx(charnetFile)
  const data = await createData(size, progress)
  const compressed = await decompose(dense, size, progress)
  const tuned = await tune(compressed.graph, data, size, progress)
  await mkdir(values.out, { recursive: true })
  const modelFile = path.join(values.out, 'charnet.cp.onnx')
  await writeOnnx(tuned.graph, modelFile)

  const graphs = [dense, compressed.graph, tuned.graph]
  // What is measured is the file, not what is in memory.
  const written = await readOnnx(modelFile)
  const { latencies, difference } = await measure([dense, compressed.graph, written], data.test, size, progress)
  const [first, second, third] = await Promise.all(
    graphs.map(async (graph, i) => networkFigures(graph, await accuracy(graph, data.test), latencies[i] as Latency))
  )
  const figures = demoFigures(first as NetworkFigures, second as NetworkFigures, third as NetworkFigures)
  const counts = { train: data.train.count, validation: data.validation.count, test: data.test.count }
  const seconds = (performance.now() - started) / 1000
  const reportFile = path.join(values.out, 'report.html')
  await writeFile(reportFile, demoHtml({ figures, layers: compressed.layers, epochs: tuned.epochs, data: counts, difference, seconds }))
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`)

  console.log(`\n${textTable(figureColumns, figureRows(figures))}\n\n${summary(figures)}`)
  console.log(`Milliseconds an image on one thread; onnxruntime is onnxruntime-node on the same file, in the same run.\n`)
  const agrees = difference.dense <= tolerance && difference.tuned <= tolerance
  console.log(
    `Largest difference from onnxruntime-node over 100 images: ${difference.dense.toExponential(1)} dense, ${difference.tuned.toExponential(1)} CP (allowed ${tolerance})`
  )
  console.log(
    `${path.relative(process.cwd(), modelFile)} and ${path.relative(process.cwd(), reportFile)} written in ${Math.round(seconds)} s`
  )
  return agrees
}

async function createData(size: Sizes, progress: Progress): Promise<Data> {
  const create = (split: 'train' | 'validation' | 'test'): Promise<CharacterSet> =>
    createCharacters({
      split,
      count: size[split],
      onProgress: (done, total) => progress.update(`drawing ${split} characters`, done, total)
    })
  const data = { train: await create('train'), validation: await create('validation'), test: await create('test') }
  progress.done(`drew ${size.train + size.validation + size.test} characters`)
  return data
}

async function decompose(dense: Graph, size: Sizes, progress: Progress): Promise<CompressResult> {
  const result = await compress(dense, {
    layers,
    method: 'nls',
    seed: 1,
    maxIterations: size.iterations,
    onProgress: ({ fraction, layer, error }) => progress.update(`decomposing ${layer}`, fraction, 1, `error ${error.toFixed(4)}`)
  })
  progress.done(
    `decomposed ${result.layers.map(({ name, rank: r, relativeError }) => `${name} at rank ${r} (error ${relativeError.toFixed(4)})`).join(', ')}`
  )
  return result
}

async function tune(graph: Graph, data: Data, size: Sizes, progress: Progress): Promise<{ graph: Graph; epochs: number[] }> {
  const result = await fineTune(graph, {
    ...fineTuning,
    epochs: size.epochs,
    batchSize,
    train: data.train,
    validation: data.validation,
    seed: 1,
    onProgress: ({ epoch, step, steps, loss }) =>
      progress.update('fine-tuning', step, steps ?? step, `epoch ${epoch}, loss ${loss.toFixed(3)}`)
  })
  const epochs = [result.initial, ...result.history.map(({ validation }) => validation)].map(
    (evaluation) => 100 * (evaluation?.accuracy ?? Number.NaN)
  )
  progress.done(`fine-tuned: validation accuracy ${epochs.map((value) => value.toFixed(1)).join(' → ')} %`)
  return { graph: result.graph, epochs }
}

async function measure(
  graphs: readonly Graph[],
  images: CharacterSet,
  size: Sizes,
  progress: Progress
): Promise<{ latencies: Latency[]; difference: { dense: number; tuned: number } }> {
  const pairs = []
  try {
    for (const graph of graphs) pairs.push(await openPair(graph))
    const latencies = await measureLatency(pairs, images, {
      runs: size.runs,
      onProgress: (done, total) => progress.update('measuring', done, total)
    })
    progress.done('measured both runtimes on one thread')
    const differences = []
    for (const pair of pairs) differences.push(await outputDifference(pair, images, 100))
    const [dense = Infinity, , tuned = Infinity] = differences
    return { latencies, difference: { dense, tuned } }
  } finally {
    for (const pair of pairs) await closePair(pair)
  }
}

/** In percent. */
async function accuracy(graph: Graph, test: CharacterSet): Promise<number> {
  const result = await evaluate(graph, test)
  return 100 * result.accuracy
}

function networkFigures(graph: Graph, accuracyPercent: number, latency: Latency): NetworkFigures {
  const { parameters, macs } = cost(graph, { image: [1, 1, patch, patch] })
  return {
    accuracy: accuracyPercent,
    parameters,
    macs,
    batch1_ms: latency.batch1,
    batch64_ms: latency.batch64,
    ort_batch1_ms: latency.ortBatch1,
    ort_batch64_ms: latency.ortBatch64
  }
}

if (!(await main())) {
  console.error('demo: the outputs differ from onnxruntime-node by more than is allowed')
  process.exitCode = 1
}
