// Top-1 and top-5 accuracy of a network with layers decomposed by NLS, ALS and greedy, before and after tuning, on pictures of one's own.

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type CpdMethod, defaultThreads, readOnnx } from '../../lib/index.js'
import { formatPercent } from '../../lib/report/format.js'
import { createProgress } from '../../lib/report/progress.js'
import { textTable } from '../../lib/report/table.js'
import { compareMethods, type TopAccuracy } from './compare.js'
import { listImages, type Preprocessing, thinned } from './images.js'

const usage = `npm run imagenet -- MODEL.onnx VALIDATION --rank LAYER=RANK… [OPTION…]
VALIDATION is a folder with one folder of pictures a class, in the order of the classes, or a folder of pictures with --labels.
  --rank LAYER=RANK      components a group of a layer; again for other layers
  --labels FILE          lines of file name and class index
  --train FOLDER         pictures to tune on, one folder a class; without it nothing is tuned
  --methods LIST         default nls,als,greedy
  --limit N              pictures to judge by, taken evenly (default: all)
  --train-limit N        pictures to tune on, taken evenly (default 20000)
  --epochs N             default 1
  --learning-rate X      default 0.001
  --batch N              default 32
  --iterations N         of the solver, at most
  --shape C,H,W          of an input, where the model leaves it open
  --resize N             the shorter side before the centre is cut out (default 256)
  --mean LIST            by channel, of values from 0 to 255 (default 123.675,116.28,103.53)
  --deviation LIST       (default 58.395,57.12,57.375)
  --order rgb|bgr        of channels (default rgb); Caffe's models: --order bgr --mean 104,117,124 --deviation 1
  --threads N            default: all
  --json FILE            the figures`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rank: { type: 'string', multiple: true, default: [] },
      labels: { type: 'string' },
      train: { type: 'string' },
      methods: { type: 'string', default: 'nls,als,greedy' },
      limit: { type: 'string', default: 'Infinity' },
      'train-limit': { type: 'string', default: '20000' },
      epochs: { type: 'string', default: '1' },
      'learning-rate': { type: 'string', default: '0.001' },
      batch: { type: 'string', default: '32' },
      iterations: { type: 'string' },
      shape: { type: 'string' },
      resize: { type: 'string', default: '256' },
      mean: { type: 'string', default: '123.675,116.28,103.53' },
      deviation: { type: 'string', default: '58.395,57.12,57.375' },
      order: { type: 'string', default: 'rgb' },
      threads: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  const [model, folder] = positionals
  if (values.help || model === undefined || folder === undefined || values.rank.length === 0) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  const graph = await readOnnx(model)
  const preprocessing = preprocessingOf(values, graph.inputs[0]?.dims)
  const progress = createProgress()
  const comparison = await compareMethods({
    graph,
    layers: Object.fromEntries(values.rank.map(layerRank)),
    methods: values.methods.split(',') as CpdMethod[],
    validation: thinned(await listImages(folder, values.labels), Number(values.limit)),
    train: values.train === undefined ? [] : thinned(await listImages(values.train), Number(values['train-limit'])),
    preprocessing,
    epochs: Number(values.epochs),
    learningRate: Number(values['learning-rate']),
    batchSize: Number(values.batch),
    ...(values.iterations !== undefined && { maxIterations: Number(values.iterations) }),
    threads: values.threads === undefined ? defaultThreads() : Number(values.threads),
    onProgress: (what, done, total) => progress.update(what, done, total)
  })
  progress.clear()
  const { dense, methods } = comparison
  const rows = methods.map(({ method, errors, before, after }) => [
    method,
    Object.values(errors)
      .map((error) => error.toFixed(3))
      .join(', '),
    ...shown(before),
    ...(after === undefined ? ['', ''] : shown(after))
  ])
  const titles = ['error of weights', 'top-1 before', 'top-5 before', 'top-1 after', 'top-5 after']
  const columns = [{ title: 'network' }, ...titles.map((title) => ({ title, align: 'right' as const }))]
  console.log(`${textTable(columns, [['dense', '', ...shown(dense)], ...rows])}\n${dense.count} pictures`)
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(comparison, null, 1)}\n`)
  return 0
}

function shown({ top1, top5 }: TopAccuracy): string[] {
  return [formatPercent(100 * top1), formatPercent(100 * top5)]
}

function layerRank(text: string): [string, number] {
  const at = text.lastIndexOf('=')
  if (at < 1) throw new Error(`--rank: expected LAYER=RANK, got '${text}'`)
  return [text.slice(0, at), Number(text.slice(at + 1))]
}

function preprocessingOf(
  values: { shape?: string | undefined; resize: string; mean: string; deviation: string; order: string },
  dims: readonly (number | string | null)[] | undefined
): Preprocessing {
  const shape = values.shape === undefined ? dims?.slice(1) : numbers(values.shape)
  if (shape?.length !== 3 || !shape.every((dim) => typeof dim === 'number') || (shape[0] !== 1 && shape[0] !== 3))
    throw new Error(`--shape: expected C,H,W with C 1 or 3, the model's input is ${dims?.join('×') ?? 'open'}`)
  if (values.order !== 'rgb' && values.order !== 'bgr') throw new Error(`--order: expected rgb or bgr, got '${values.order}'`)
  return {
    resize: Number(values.resize),
    shape: shape as [number, number, number],
    mean: numbers(values.mean),
    deviation: numbers(values.deviation),
    order: values.order
  }
}

function numbers(list: string): number[] {
  return list.split(',').map(Number)
}

process.exitCode = await main()
