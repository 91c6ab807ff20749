import { PolyadicError, argumentError, checkInteger, show } from '../errors.js'
import { type Tensor, asFloat32 } from '../tensor.js'
import { permutation, type Random, random } from '../random.js'

/** What every example of a batch should lead to: a class index, or the output's values (row-major) for `mean-squared`. */
export type Targets = Int32Array | Uint8Array | Float32Array | readonly number[]

/** Some examples: `input` is N×C×H×W row-major. */
export interface Batch {
  readonly input: Float32Array | Tensor
  /** Left out where a teacher says what is right. */
  readonly target?: Targets
  /** How many examples there are; default: as many as targets, or as the input holds. */
  readonly count?: number
}

/** A whole set in memory, which training shuffles anew every epoch: `images` is count×C×H×W row-major. */
export interface ExampleSet {
  readonly images: Float32Array
  readonly labels?: Targets
  readonly count: number
}

/**
 * Makes an epoch's batches (of any size; they are regrouped). Its buffers are copied, so it may use one again and again. What it tells of
 * itself is checked against the network.
 */
export interface BatchSource {
  (epoch: number): Iterable<Batch> | AsyncIterable<Batch>
  /** Names of the classes that targets count. */
  readonly classes?: readonly string[]
  /** Examples an epoch, which lets the schedule know its length. */
  readonly count?: number
  /** C×H×W of an example. */
  readonly dims?: readonly number[]
}

export type Batches = BatchSource | ExampleSet

/**
 * Changes one example in place before it is trained on. `random` depends on the seed, the epoch and the example's place in it only, so
 * that a resumed run sees the same.
 */
export type Augment = (example: Float32Array, random: Random) => void

/** A batch of exactly the plan's size in buffers of our own; examples past `count` are copies of the first. */
export interface FullBatch {
  readonly input: Float32Array
  /** Class indices or values; empty where there are none. */
  readonly target: Int32Array | Float32Array
  readonly count: number
}

export interface BatchLayout {
  readonly batchSize: number
  /** C·H·W. */
  readonly exampleSize: number
  readonly classes: number
  /** Values an example of a `mean-squared` target; 0: targets are classes. */
  readonly targetSize?: number
  /** What the last, partial batch becomes: dropped in training, padded in evaluation. */
  readonly last: 'drop' | 'pad'
  readonly augment?: (example: Float32Array, place: number) => void
}

/** How many full batches an epoch has, where that is known beforehand. */
export function batchesPerEpoch(batches: Batches, batchSize: number): number | undefined {
  return batches.count === undefined ? undefined : Math.floor(batches.count / batchSize)
}

/** Throws POLYADIC_SHAPE or POLYADIC_ARGUMENT when a source says that its examples or classes are not the network's. */
export function checkSource(name: string, batches: Batches, example: readonly number[], classes?: number): void {
  if (typeof batches !== 'function') return
  if (batches.dims !== undefined && batches.dims.join() !== example.join())
    throw sizeError(name, `examples of ${example.join('×')} as the network's input`, batches.dims)
  if (batches.classes === undefined || classes === undefined || batches.classes.length === classes) return
  throw argumentError(name, `${classes} classes, one an output of the network`, batches.classes)
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
  if (labels !== undefined && labels.length % count !== 0) throw sizeError(`${name}.labels`, `${count} class indices`, labels.length)
  return (epoch) => chunks(batches, exampleSize, chunk, seed === undefined ? undefined : permutation(count, random(seed, epoch)))
}

function* chunks(set: ExampleSet, exampleSize: number, chunk: number, order: Uint32Array | undefined): Generator<Batch> {
  const input = new Float32Array(chunk * exampleSize)
  const { labels } = set
  const width = labels === undefined ? 0 : labels.length / set.count
  const target = labels === undefined ? undefined : new (labels instanceof Float32Array ? Float32Array : Int32Array)(chunk * width)
  for (let start = 0; start < set.count; start += chunk) {
    const count = Math.min(chunk, set.count - start)
    for (let i = 0; i < count; i++) {
      const from = order?.[start + i] ?? start + i
      input.set(set.images.subarray(from * exampleSize, (from + 1) * exampleSize), i * exampleSize)
      for (let k = 0; k < width; k++) (target as Float32Array)[i * width + k] = labels?.[from * width + k] as number
    }
    yield { input, count, ...(target && { target: target.subarray(0, count * width) }) }
  }
}

interface Buffers {
  readonly input: Float32Array
  readonly target: Int32Array | Float32Array
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
  const { batchSize, exampleSize, targetSize = 0, augment } = layout
  const width = targetSize || 1
  const make = (): Buffers => ({
    input: new Float32Array(batchSize * exampleSize),
    target: new (targetSize > 0 ? Float32Array : Int32Array)(batchSize * width)
  })
  const buffers = [make(), make()] as const
  let [turn, filled, place, labelled] = [0 as 0 | 1, 0, 0, true]
  const full = (count: number): FullBatch => ({
    input: buffers[turn].input,
    target: labelled ? buffers[turn].target : new Int32Array(0),
    count
  })
  checkIterable(name, batches)
  for await (const batch of batches) {
    const { input, target, count } = checkBatch(name, batch, layout)
    labelled = target !== undefined
    for (let taken = 0; taken < count; ) {
      const buffer = buffers[turn]
      const some = Math.min(batchSize - filled, count - taken)
      buffer.input.set(input.subarray(taken * exampleSize, (taken + some) * exampleSize), filled * exampleSize)
      for (let i = 0; target !== undefined && i < some * width; i++) buffer.target[filled * width + i] = target[taken * width + i] as number
      for (let i = filled; augment !== undefined && i < filled + some; i++)
        augment(buffer.input.subarray(i * exampleSize, (i + 1) * exampleSize), place++)
      taken += some
      filled += some
      if (filled < batchSize) continue
      yield full(batchSize)
      filled = 0
      turn = turn === 0 ? 1 : 0
    }
  }
  if (filled === 0 || layout.last === 'drop') return
  const { input, target } = buffers[turn]
  for (let i = filled; i < batchSize; i++) {
    input.copyWithin(i * exampleSize, 0, exampleSize)
    target.copyWithin(i * width, 0, width)
  }
  yield full(filled)
}

function checkIterable(name: string, batches: unknown): void {
  if (typeof batches === 'object' && batches !== null && (Symbol.iterator in batches || Symbol.asyncIterator in batches)) return
  throw argumentError(name, 'a function that gives an iterable of batches', batches)
}

function checkBatch(
  name: string,
  batch: Batch,
  layout: BatchLayout
): { readonly input: Float32Array; readonly target: Targets | undefined; readonly count: number } {
  if (typeof batch !== 'object' || batch === null || batch.input === undefined)
    throw argumentError(name, 'batches { input, target }', batch)
  const { input: given, target } = batch
  const { exampleSize, targetSize = 0 } = layout
  const input = given instanceof Float32Array ? given : asFloat32(given, `${name} batch`)
  const held = Math.floor(input.length / exampleSize)
  const count = checkInteger(`${name} batch count`, batch.count ?? (target === undefined ? held : target.length / (targetSize || 1)), 0)
  if (input.length < count * exampleSize)
    throw sizeError(`${name} batch input`, `at least ${count} examples of ${exampleSize} values`, input.length)
  if (!(given instanceof Float32Array) && given.dims[0] !== undefined && given.dims[0] < count)
    throw sizeError(`${name} batch input`, `at least ${count} examples`, given.dims[0])
  if (target !== undefined) checkTargets(name, target, count, layout)
  return { input, target, count }
}

function checkTargets(name: string, target: Targets, count: number, { classes, targetSize = 0 }: BatchLayout): void {
  if (targetSize > 0) {
    if (!(target instanceof Float32Array)) throw argumentError(`${name} batch target`, 'a Float32Array of values', target)
    if (target.length < count * targetSize)
      throw sizeError(`${name} batch target`, `at least ${count} times ${targetSize} values`, target.length)
    return
  }
  if (target.length < count) throw sizeError(`${name} batch target`, `at least ${count} class indices`, target.length)
  for (let i = 0; i < count; i++) checkClass(name, target[i], classes)
}

function checkClass(name: string, value: unknown, classes: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < classes) return
  throw argumentError(`${name} target`, `a class index from 0 to ${classes - 1}`, value)
}

function sizeError(subject: string, expected: string, actual: unknown): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${subject}: expected ${expected}, got ${show(actual)}`, { subject })
}
