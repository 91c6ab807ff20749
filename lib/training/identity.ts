import { createHash, type Hash } from 'node:crypto'
import type { Graph } from '../graph/graph.js'
import { elementCount } from '../tensor.js'
import type { Batches } from './batches.js'
import { checkDistillation, type Distillation } from './objective.js'
import { type FineTuneOptions, withDefaults } from './options.js'
import type { Training } from './trainer.js'

/**
 * What must be the same for a checkpoint to be continued, part by part: what is trained, on what and towards what. How the loss is minimised (rates,
 * schedule, decay, clipping), and for how long, may differ.
 */
export type Identity = Readonly<Record<string, string>>

/** Examples of a set that are looked at, as reading all of a large one would take longer than it is worth. */
const looked = 64

/** The identity of a training whose trainer has its first weights. */
export function identityOf(graph: Graph, training: Training, options: FineTuneOptions): Identity {
  const { trainer, parameters, rateScale, example } = training
  const all = withDefaults(options)
  const { batchSize, seed, optimiser, averageDecay, loss = 'cross-entropy', labelSmoothing, batchNorm, dropout, sensitivity } = all
  const weights = trainer.getParameters('weights')
  const shapes = parameters.map((parameter, i) => `${parameter?.initializers.join('+') ?? '-'}:${weights[i]?.length}`)
  const parts: Readonly<Record<string, unknown>> = {
    network: [shapes, graph.nodes.map(({ opType }) => opType), options.logits ?? ''],
    'first weights': digest((hash) => weights.forEach((values) => hash.update(bytesOf(values)))),
    frozen: [...rateScale].map(Number).map((scale) => (scale === 0 ? 1 : 0)),
    inputShape: example,
    ...{ batchSize, seed, optimiser, averageDecay, loss, labelSmoothing, batchNorm, dropout, sensitivity },
    augment: options.augment !== undefined,
    distillation: options.distillation && distillationOf(options.distillation),
    train: dataOf(options.train, example),
    validation: options.validation && dataOf(options.validation, example)
  }
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, JSON.stringify(value ?? null)]))
}

/** The parts in which two differ. */
export function differences(a: Identity, b: Identity): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name])
}

function distillationOf(distillation: Distillation): unknown {
  const { teacher, ...options } = checkDistillation(distillation)
  const network = digest((hash) => {
    hash.update(JSON.stringify(teacher.nodes.map(({ opType, inputs, outputs }) => [opType, inputs, outputs])))
    for (const [name, { data }] of teacher.initializers) hash.update(name).update(bytesOf(data))
  })
  return { ...options, logits: distillation.logits ?? '', teacher: network }
}

/** What can be told of data without going through it. */
function dataOf(batches: Batches, example: readonly number[]): unknown {
  if (typeof batches === 'function') return [batches.count ?? null, batches.classes ?? null]
  const { count, labels } = batches
  const images = ('dims' in batches.images ? batches.images.data : batches.images) as Float32Array
  const size = elementCount(example)
  const some = digest((hash) => {
    if (labels !== undefined) addNumbers(hash, labels)
    for (let i = 0; i < Math.min(looked, count); i++) {
      const at = Math.floor((i * count) / Math.min(looked, count))
      hash.update(bytesOf(images.subarray(at * size, (at + 1) * size)))
    }
  })
  return [count, some]
}

/** The same whatever the type of the array; in pieces, as targets may be as large as images. */
function addNumbers(hash: Hash, numbers: ArrayLike<number | bigint>): void {
  const piece = new Float64Array(4096)
  for (let at = 0; at < numbers.length; at += piece.length) {
    const count = Math.min(piece.length, numbers.length - at)
    for (let i = 0; i < count; i++) piece[i] = Number(numbers[at + i])
    hash.update(bytesOf(piece.subarray(0, count)))
  }
}

function digest(feed: (hash: Hash) => void): string {
  const hash = createHash('sha256')
  feed(hash)
  return hash.digest('hex')
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
