import { PolyadicError, argumentError, checkInteger, show } from '../errors.js'
import { type Tensor, asFloat32 } from '../tensor.js'
import { permutation, random } from './random.js'

/** Some labelled examples: `input` is N×C×H×W row-major, `target` one class index an example. */
export interface Batch {
  readonly input: Float32Array | Tensor
  readonly target: Int32Array | Uint8Array | readonly number[]
  /** How many examples there are; default: as many as targets. */
  readonly count?: number
}

/** A whole set in memory, which training shuffles anew every epoch: `images` is count×C×H×W row-major. */
export interface ExampleSet {
  readonly images: Float32Array
  readonly labels: Int32Array | Uint8Array | readonly number[]
  readonly count: number
}

/** Makes an epoch's batches (of any size; they are regrouped). Its buffers are copied, so it may use one again and again. */
export type BatchSource = (epoch: number) => Iterable<Batch> | AsyncIterable<Batch>

export type Batches = BatchSource | ExampleSet

/** A batch of exactly the plan's size in buffers of our own; examples past `count` are copies of the first. */
export interface FullBatch {
  readonly input: Float32Array
  readonly target: Int32Array
  readonly count: number
}

export interface BatchLayout {
  readonly batchSize: number
  /** C·H·W. */
  readonly exampleSize: number
  readonly classes: number
  /** What the last, partial batch becomes: dropped in training, padded in evaluation. */
  readonly last: 'drop' | 'pad'
}

/** How many full batches an epoch has, where that is known beforehand. */
export function batchesPerEpoch(batches: Batches, batchSize: number): number | undefined {
  return typeof batches === 'function' ? undefined : Math.floor(batches.count / batchSize)
}

/** An ExampleSet, checked and made a source: shuffled by seed and epoch, or in order without a seed. */
export function sourceOf(name: string, batches: Batches, exampleSize: number, chunk: number, seed?: number): BatchSource {
  if (typeof batches === 'function') return batches
  if (typeof batches !== 'object' || batches === null || !(batches.images instanceof Float32Array)) {
    throw argumentError(name, 'a function of the epoch that gives batches, or { images: Float32Array, labels, count }', batches)
  }
  const { images, labels, count } = batches
  checkInteger(`${name}.count`, count, 1)
  if (images.length !== count * exampleSize) throw sizeError(`${name}.images`, `${count} examples of ${exampleSize} values`, images.length)
  if (labels.length !== count) throw sizeError(`${name}.labels`, `${count} class indices`, labels.length)
  return (epoch) => chunks(batches, exampleSize, chunk, seed === undefined ? undefined : permutation(count, random(seed, epoch)))
}

function* chunks(set: ExampleSet, exampleSize: number, chunk: number, order: Uint32Array | undefined): Generator<Batch> {
  const input = new Float32Array(chunk * exampleSize)
  const target = new Int32Array(chunk)
  for (let start = 0; start < set.count; start += chunk) {
    const count = Math.min(chunk, set.count - start)
    for (let i = 0; i < count; i++) {
      const from = order?.[start + i] ?? start + i
      input.set(set.images.subarray(from * exampleSize, (from + 1) * exampleSize), i * exampleSize)
      target[i] = set.labels[from] as number
    }
    yield { input, target, count }
  }
}

/**
 * Regroups batches of any size into full ones. Two sets of buffers take turns: a batch stays valid until the next but
 * one is asked for, so one can be filled while native code reads the other.
 * Throws POLYADIC_SHAPE or POLYADIC_ARGUMENT for a batch of the wrong size or a target that is no class.
 */
export async function* fullBatches(
  name: string,
  batches: Iterable<Batch> | AsyncIterable<Batch>,
  layout: BatchLayout
): AsyncGenerator<FullBatch> {
  const { batchSize, exampleSize } = layout
  const buffers = [0, 1].map(() => ({ input: new Float32Array(batchSize * exampleSize), target: new Int32Array(batchSize) }))
  let turn = 0
  let filled = 0
  for await (const batch of batches) {
    const { input, target, count } = checkBatch(name, batch, layout)
    for (let taken = 0; taken < count; ) {
      const buffer = buffers[turn] as (typeof buffers)[number]
      const some = Math.min(batchSize - filled, count - taken)
      buffer.input.set(input.subarray(taken * exampleSize, (taken + some) * exampleSize), filled * exampleSize)
      for (let i = 0; i < some; i++) buffer.target[filled + i] = target[taken + i] as number
      taken += some
      filled += some
      if (filled < batchSize) continue
      filled = 0
      turn = 1 - turn
      yield { ...buffer, count: batchSize }
    }
  }
  if (filled > 0 && layout.last === 'pad') yield padded(buffers[turn] as (typeof buffers)[number], filled, exampleSize)
}

function padded(buffer: { readonly input: Float32Array; readonly target: Int32Array }, count: number, exampleSize: number): FullBatch {
  for (let i = count; i < buffer.target.length; i++) {
    buffer.input.copyWithin(i * exampleSize, 0, exampleSize)
    buffer.target[i] = buffer.target[0] as number
  }
  return { ...buffer, count }
}

function checkBatch(name: string, batch: Batch, layout: BatchLayout): { input: Float32Array; target: Batch['target']; count: number } {
  if (typeof batch !== 'object' || batch === null || batch.input === undefined || batch.target === undefined) {
    throw argumentError(name, 'batches { input, target }', batch)
  }
  const { input: given, target } = batch
  const input = given instanceof Float32Array ? given : asFloat32(given, `${name} batch`)
  const count = checkInteger(`${name} batch count`, batch.count ?? target.length, 0)
  if (input.length < count * layout.exampleSize)
    throw sizeError(`${name} batch input`, `at least ${count} examples of ${layout.exampleSize} values`, input.length)
  if (!(given instanceof Float32Array) && given.dims[0] !== undefined && given.dims[0] < count)
    throw sizeError(`${name} batch input`, `at least ${count} examples`, given.dims[0])
  if (target.length < count) throw sizeError(`${name} batch target`, `at least ${count} class indices`, target.length)
  for (let i = 0; i < count; i++) checkClass(name, target[i], layout.classes)
  return { input, target, count }
}

function checkClass(name: string, value: unknown, classes: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < classes) return
  throw argumentError(`${name} target`, `a class index from 0 to ${classes - 1}`, value)
}

function sizeError(subject: string, expected: string, actual: number): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${subject}: expected ${expected}, got ${show(actual)}`, { subject })
}
