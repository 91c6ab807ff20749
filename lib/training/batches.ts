import { PolyadicError, argumentError, checkInteger, show } from '../errors.js'
import { type Tensor, type TensorData, asFloat32, checkTensor, elementCount, isDataOf } from '../tensor.js'
import { permutation, type Random, random } from '../random.js'

/**
 * What every example of a batch should lead to: a class index (any integers, such as the int64 that NumPy makes by default), or the
 * output's values (row-major, no integers) for `mean-squared`.
 */
export type Targets = TensorData | Uint8ClampedArray | readonly number[]

/** Some examples. */
export interface Batch {
  /** N×C×H×W row-major, float32; the dims of a tensor are checked against the network's input. */
  readonly input: Float32Array | Tensor
  /** Left out where a teacher says what is right. */
  readonly target?: Targets
  /** How many examples there are; default: as many as targets, or as the input holds. */
  readonly count?: number
}

/** A whole set in memory, which training shuffles anew every epoch. */
export interface ExampleSet<Images extends Float32Array | Tensor = Float32Array> {
  /** count×C×H×W row-major, float32; the dims of a tensor are checked against the network's input. */
  readonly images: Images
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

export type Batches = BatchSource | ExampleSet<Float32Array | Tensor>

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
  /** C×H×W. */
  readonly example: readonly number[]
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

/** An ExampleSet of examples of the dims `example`, checked and made a source: shuffled by seed and epoch, or in order without a seed. */
export function sourceOf(name: string, batches: Batches, example: readonly number[], chunk: number, seed?: number): BatchSource {
  if (typeof batches === 'function') return batches
  if (typeof batches !== 'object' || batches === null) throw argumentError(name, expectedSource, batches)
  const { labels, count } = batches
  checkInteger(`${name}.count`, count, 1)
  const set = { images: imagesOf(name, batches, example), count, ...(labels !== undefined && { labels }) }
  if (labels !== undefined) {
    checkTargetArray(`${name}.labels`, labels)
    if (labels.length % count !== 0) throw sizeError(`${name}.labels`, `${count} class indices`, labels.length)
    checkFinite(`${name}.labels`, labels, count, labels.length / count)
  }
  return (epoch) => chunks(set, elementCount(example), chunk, seed === undefined ? undefined : permutation(count, random(seed, epoch)))
}

const expectedSource = 'a function of the epoch that gives batches, or { images: Float32Array or tensor, labels, count }'

/** The values of a set's images, which hold `count` examples. */
function imagesOf(name: string, set: ExampleSet<Float32Array | Tensor>, example: readonly number[]): Float32Array {
  const { images, count } = set
  if (isDataOf('float32', images)) {
    const size = elementCount(example)
    if (images.length === count * size) return images
    throw sizeError(`${name}.images`, `${count} examples of ${size} values`, images.length)
  }
  if (typeof images !== 'object' || images === null) throw argumentError(name, expectedSource, set)
  const values = valuesOf(`${name}.images`, images, example)
  if (images.dims[0] !== count) throw sizeError(`${name}.images`, `as many examples as count says, ${count}`, images.dims)
  return values
}

/** A tensor's values. Throws POLYADIC_SHAPE unless its dims are those of some examples. */
function valuesOf(name: string, tensor: Tensor, example: readonly number[]): Float32Array {
  if (ArrayBuffer.isView(tensor) || Array.isArray(tensor))
    throw argumentError(name, 'a Float32Array or a tensor { dtype, dims, data }', tensor)
  checkTensor(name, tensor)
  const { dims } = tensor
  if (dims.length !== example.length + 1 || example.some((dim, axis) => dim !== dims[axis + 1]))
    throw sizeError(name, `N×${example.join('×')}, examples as the network's input has them`, dims)
  return asFloat32(tensor, name)
}

function* chunks(set: ExampleSet, exampleSize: number, chunk: number, order: Uint32Array | undefined): Generator<Batch> {
  const input = new Float32Array(chunk * exampleSize)
  const { labels } = set
  const width = labels === undefined ? 0 : labels.length / set.count
  const target = labels === undefined ? undefined : likewise(labels, chunk * width)
  for (let start = 0; start < set.count; start += chunk) {
    const count = Math.min(chunk, set.count - start)
    for (let i = 0; i < count; i++) {
      const from = order?.[start + i] ?? start + i
      input.set(set.images.subarray(from * exampleSize, (from + 1) * exampleSize), i * exampleSize)
      for (let k = 0; k < width; k++) (target as number[])[i * width + k] = labels?.[from * width + k] as number
    }
    yield { input, count, ...(target && { target: part(target, count * width) }) }
  }
}

/** An array of the same kind, for some of its elements; not of the same class, which may be a Buffer or of another realm. */
function likewise(targets: Targets, length: number): Targets {
  if (Array.isArray(targets)) return new Array<number>(length).fill(0)
  if (isDataOf('float32', targets)) return new Float32Array(length)
  if (isDataOf('float64', targets)) return new Float64Array(length)
  return new (isDataOf('int64', targets) || isDataOf('uint64', targets) ? BigInt64Array : Int32Array)(length)
}

/** The first of some targets. */
function part(targets: Targets, length: number): Targets {
  return 'subarray' in targets ? targets.subarray(0, length) : targets.slice(0, length)
}

interface Buffers {
  readonly input: Float32Array
  readonly target: Int32Array | Float32Array
}

/**
 * Regroups batches of any size into full ones. Two sets of buffers take turns: a batch stays valid until the next but
 * one is asked for, so one can be filled while native code reads the other.
 * Throws POLYADIC_SHAPE or POLYADIC_ARGUMENT for a batch of the wrong size or a target that is no class, POLYADIC_NUMERIC for one that is not finite.
 */
export async function* fullBatches(
  name: string,
  batches: Iterable<Batch> | AsyncIterable<Batch>,
  layout: BatchLayout
): AsyncGenerator<FullBatch> {
  const { batchSize, example, targetSize = 0, augment } = layout
  const exampleSize = elementCount(example)
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
      for (let i = 0; target !== undefined && i < some * width; i++) buffer.target[filled * width + i] = Number(target[taken * width + i])
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
  const { example, targetSize = 0 } = layout
  const exampleSize = elementCount(example)
  if (target !== undefined) checkTargetArray(`${name} batch target`, target)
  const input = isDataOf('float32', given) ? given : valuesOf(`${name} batch input`, given, example)
  const held = Math.floor(input.length / exampleSize)
  const count = checkInteger(`${name} batch count`, batch.count ?? (target === undefined ? held : target.length / (targetSize || 1)), 0)
  if (input.length < count * exampleSize)
    throw sizeError(`${name} batch input`, `at least ${count} examples of ${exampleSize} values`, input.length)
  if (target !== undefined) checkTargets(name, target, count, layout)
  return { input, target, count }
}

function checkTargetArray(name: string, targets: unknown): asserts targets is Targets {
  if (Array.isArray(targets) || (ArrayBuffer.isView(targets) && 'length' in targets)) return
  throw argumentError(name, 'class indices or values, as a typed array or an array of numbers', targets)
}

function checkTargets(name: string, target: Targets, count: number, { classes, targetSize = 0 }: BatchLayout): void {
  if (targetSize > 0) {
    const isList = Array.isArray(target)
    if (!(isList || isDataOf('float32', target) || isDataOf('float64', target)))
      throw argumentError(`${name} batch target`, 'values, as a Float32Array', target)
    const wrong = isList ? target.slice(0, count * targetSize).findIndex((value) => typeof value !== 'number') : -1
    if (wrong >= 0) throw argumentError(`${name} batch target`, 'numbers', target[wrong])
    if (target.length < count * targetSize)
      throw sizeError(`${name} batch target`, `at least ${count} times ${targetSize} values`, target.length)
    checkFinite(`${name} batch target`, target, count, targetSize)
    return
  }
  if (target.length < count) throw sizeError(`${name} batch target`, `at least ${count} class indices`, target.length)
  for (let i = 0; i < count; i++) checkClass(name, target[i], classes)
}

/** Throws POLYADIC_NUMERIC naming the first of `count` rows that holds what is no finite number in float32: a NaN is not for training to find. */
export function checkFinite(name: string, targets: Targets, count: number, width: number, subject = name): void {
  for (let i = 0; i < count * width; i++) {
    const value = targets[i]
    if (typeof value !== 'number' || Number.isFinite(Math.fround(value))) continue
    const message = `${name}: row ${Math.floor(i / width)} holds ${value}, expected finite numbers`
    throw new PolyadicError('POLYADIC_NUMERIC', message, { subject })
  }
}

function checkClass(name: string, value: unknown, classes: number): void {
  const index = typeof value === 'bigint' ? Number(value) : value
  if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < classes) return
  throw argumentError(`${name} target`, `a class index from 0 to ${classes - 1}`, value)
}

function sizeError(subject: string, expected: string, actual: unknown): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${subject}: expected ${expected}, got ${show(actual)}`, { subject })
}
