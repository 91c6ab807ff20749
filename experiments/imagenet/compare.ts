import { type Batch, type CpdMethod, compress, fineTune, floatTensor, type Graph, Session } from '../../lib/index.js'
import { random, permutation } from '../../lib/random.js'
import { imageBatches, type LabelledFile, type Preprocessing } from './images.js'

export interface CompareOptions {
  readonly graph: Graph
  /** Ranks by layer, a group. */
  readonly layers: Readonly<Record<string, number>>
  readonly methods: readonly CpdMethod[]
  readonly validation: readonly LabelledFile[]
  /** Pictures to tune on; none: only the accuracy before tuning is measured. */
  readonly train: readonly LabelledFile[]
  readonly preprocessing: Preprocessing
  readonly epochs: number
  readonly learningRate: number
  readonly batchSize: number
  readonly maxIterations?: number
  readonly threads: number
  readonly onProgress?: (what: string, done: number, total: number) => void
}

/** Parts of the pictures whose class is the first, or among the first five, of the network's answers. */
export interface TopAccuracy {
  readonly top1: number
  readonly top5: number
  readonly count: number
}

export interface MethodResult {
  readonly method: CpdMethod
  /** Relative error of each layer's weights. */
  readonly errors: Readonly<Record<string, number>>
  readonly before: TopAccuracy
  readonly after?: TopAccuracy
}

export interface Comparison {
  readonly dense: TopAccuracy
  readonly methods: readonly MethodResult[]
}

/** Decomposes layers by each method, and judges the network before and after tuning. */
export async function compareMethods(options: CompareOptions): Promise<Comparison> {
  const { graph, layers, methods, train, threads, maxIterations } = options
  const dense = await topAccuracy(graph, 'dense', options)
  const results: MethodResult[] = []
  for (const method of methods) {
    const found = await compress(graph, {
      whenSlower: 'replace',
      layers,
      method,
      seed: 1,
      threads,
      ...(maxIterations !== undefined && { maxIterations }),
      onProgress: ({ fraction }) => options.onProgress?.(`${method}: decomposing`, fraction, 1)
    })
    const errors = Object.fromEntries(found.layers.map(({ name, relativeError }) => [name, relativeError]))
    const before = await topAccuracy(found.graph, `${method}, before tuning`, options)
    const after =
      train.length === 0 ? undefined : await topAccuracy(await tuned(found.graph, method, options), `${method}, after tuning`, options)
    results.push({ method, errors, before, ...(after && { after }) })
  }
  return { dense, methods: results }
}

async function tuned(
  graph: Graph,
  method: string,
  { train, preprocessing, epochs, learningRate, batchSize, threads, onProgress }: CompareOptions
): Promise<Graph> {
  const shuffled = (epoch: number): LabelledFile[] => [...permutation(train.length, random(1, epoch))].map((i) => train[i] as LabelledFile)
  const result = await fineTune(graph, {
    train: (epoch: number): AsyncIterable<Batch> => imageBatches(shuffled(epoch), batchSize, preprocessing),
    stepsPerEpoch: Math.floor(train.length / batchSize),
    epochs,
    learningRate,
    batchSize,
    inputShape: preprocessing.shape,
    threads,
    onProgress: ({ step, steps }) => onProgress?.(`${method}: tuning`, step, steps ?? step)
  })
  return result.graph
}

/** Top-1 and top-5 accuracy; ties count against the network. */
export async function topAccuracy(graph: Graph, name: string, options: CompareOptions): Promise<TopAccuracy> {
  const { validation, preprocessing, batchSize, threads, onProgress } = options
  await using session = await Session.create(graph, { threads })
  const [inputName, outputName] = [graph.inputs[0]?.name ?? '', graph.outputs[0]?.name ?? '']
  let [first, five, count] = [0, 0, 0]
  for await (const { input, target } of imageBatches(validation, batchSize, preprocessing)) {
    const labels = target as Int32Array
    const outputs = await session.run({ [inputName]: floatTensor(input as Float32Array, [labels.length, ...preprocessing.shape]) })
    const scores = outputs[outputName]?.data as Float32Array
    const classes = scores.length / labels.length
    labels.forEach((label, n) => {
      const row = scores.subarray(n * classes, (n + 1) * classes)
      const own = row[label]
      if (own === undefined) throw new Error(`class ${label} of a picture: the network has ${classes} classes`)
      const better = row.reduce((sum, score, i) => sum + (i !== label && score >= own ? 1 : 0), 0)
      if (better < 1) first++
      if (better < 5) five++
    })
    count += labels.length
    onProgress?.(`${name}: judging`, count, validation.length)
  }
  return { top1: first / count, top5: five / count, count }
}
