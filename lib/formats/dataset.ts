import { stat } from 'node:fs/promises'
import path from 'node:path'
import { type AbortOptions, abortOptions } from '../abortable.js'
import { checkOptions, filePath } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import { elementCount, type FloatTensor, floatTensor, type Tensor } from '../tensor.js'
import type { ExampleSet } from '../training/batches.js'
import { readNpy } from './npy.js'

/** Inputs, with what each of them should lead to where that is known. */
export interface Examples {
  /** N×C×H×W. */
  readonly inputs: FloatTensor
  /** N class indices. */
  readonly labels?: Int32Array
  /** N×…: the values of the output. */
  readonly targets?: FloatTensor
}

/** Inputs with the class of each. */
export interface LabelledData extends Examples {
  readonly labels: Int32Array
}

/** What a data folder holds; `test` is `undefined` when it has no such sub-folder. */
export interface Dataset<E extends Examples = LabelledData> {
  readonly train: E
  readonly validation: E
  readonly test: E | undefined
}

// Without a validation folder every tenth example is held out: enough to see over-fitting, and the same on every run.
const heldOutEvery = 10

/**
 * Reads a data folder: `inputs.npy` (N×C×H×W float32) and `labels.npy` (N, int32, int64 or uint8), in the folder itself or
 * in `train/`, `validation/` and `test/` below it. Throws `POLYADIC_IO` naming what is missing; rejects with `signal.reason` when aborted.
 */
export async function readDataset(location: string | URL, options: AbortOptions = {}): Promise<Dataset> {
  const folder = filePath('folder', location)
  checkOptions(options, abortOptions)
  return readSplits(folder, (part) => readLabelled(part, options))
}

/**
 * The same of a folder that may hold `targets.npy` (N×… float32, the output's values) in the place of `labels.npy`, or neither of them;
 * all of its parts alike.
 */
export async function readExamples(folder: string, options: AbortOptions = {}): Promise<Dataset<Examples>> {
  const data = await readSplits(folder, (part) => readAny(part, options))
  for (const [name, part] of Object.entries(data) as [string, Examples | undefined][]) {
    if (part === undefined || kindOf(part) === kindOf(data.train)) continue
    throw shapeError(path.join(folder, name), `expected ${kindOf(data.train)} like the training set, got ${kindOf(part)}`)
  }
  return data
}

async function readSplits<E extends Examples>(folder: string, read: (folder: string) => Promise<E>): Promise<Dataset<E>> {
  await requireFolder(folder)
  const sub = async (split: string): Promise<E | undefined> =>
    (await isFolder(path.join(folder, split))) ? read(path.join(folder, split)) : undefined
  const train = (await sub('train')) ?? (await read(folder))
  const validation = await sub('validation')
  const test = await sub('test')
  for (const [name, other] of [
    ['validation', validation],
    ['test', test]
  ] as const)
    if (other) checkSameShape(train, other, path.join(folder, name))
  return validation ? { train, validation, test } : { ...holdOut(train, folder), test }
}

/** Reads `inputs.npy` and `labels.npy` of one folder and checks that they belong together. */
export async function readLabelled(folder: string, options: AbortOptions = {}): Promise<LabelledData> {
  await requireFolder(folder)
  const labelsPath = path.join(folder, 'labels.npy')
  const inputs = await readInputs(folder, options)
  const labels = toLabels(await readNpy(labelsPath, options), labelsPath)
  checkCount(inputs, labels.length, 'labels', labelsPath)
  return { inputs, labels }
}

async function readAny(folder: string, options: AbortOptions): Promise<Examples> {
  const targetsPath = path.join(folder, 'targets.npy')
  const [labelled, valued] = [await isFile(path.join(folder, 'labels.npy')), await isFile(targetsPath)]
  if (labelled && valued) throw shapeError(folder, 'expected labels.npy or targets.npy, got both')
  if (labelled) return readLabelled(folder, options)
  const inputs = await readInputs(folder, options)
  if (!valued) return { inputs }
  const targets = await readNpy(targetsPath, options)
  if (targets.dtype !== 'float32') throw shapeError(targetsPath, `expected float32, got ${targets.dtype}`)
  checkCount(inputs, targets.dims[0], 'targets', targetsPath)
  return { inputs, targets: targets as FloatTensor }
}

async function readInputs(folder: string, options: AbortOptions): Promise<FloatTensor> {
  const file = path.join(folder, 'inputs.npy')
  const inputs = await readNpy(file, options)
  if (inputs.dtype !== 'float32') throw shapeError(file, `expected float32, got ${inputs.dtype}`)
  if (inputs.dims.length !== 4) throw shapeError(file, `expected 4 axes N×C×H×W, got ${show(inputs.dims)}`)
  if (inputs.dims[0] === 0) throw shapeError(file, 'there are no examples in it')
  return inputs as FloatTensor
}

function checkCount(inputs: FloatTensor, count: number | undefined, what: string, file: string): void {
  if (count !== inputs.dims[0]) throw shapeError(file, `expected ${inputs.dims[0]} ${what}, one an input, got ${count ?? 'a single value'}`)
}

/** What examples are judged by: classes, the output's values, or nothing but a teacher. */
export type ExampleKind = 'labels' | 'targets' | 'inputs alone'

export function kindOf({ labels, targets }: Examples): ExampleKind {
  return labels !== undefined ? 'labels' : targets !== undefined ? 'targets' : 'inputs alone'
}

/** The form that `fineTune` and `evaluate` take. */
export function exampleSet({ inputs, labels, targets }: Examples): ExampleSet {
  const known = labels ?? targets?.data
  return { images: inputs.data, count: inputs.dims[0] as number, ...(known && { labels: known }) }
}

function toLabels(tensor: Tensor, file: string): Int32Array {
  if (!['int32', 'int64', 'uint8'].includes(tensor.dtype)) throw shapeError(file, `expected int32, int64 or uint8, got ${tensor.dtype}`)
  if (tensor.dims.length !== 1) throw shapeError(file, `expected one axis, got ${show(tensor.dims)}`)
  const labels = Int32Array.from(tensor.data as Iterable<number | bigint>, Number)
  const wrong = labels.findIndex((label) => label < 0)
  if (wrong >= 0) throw shapeError(file, `label ${wrong} is negative (${labels[wrong]})`)
  return labels
}

async function requireFolder(folder: string): Promise<void> {
  if (!(await isFolder(folder))) throw new PolyadicError('POLYADIC_IO', `data folder ${show(folder)} does not exist`, { subject: folder })
}

export async function isFolder(folder: string): Promise<boolean> {
  return (await stat(folder).catch(() => undefined))?.isDirectory() ?? false
}

export async function isFile(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isFile() ?? false
}

function checkSameShape(train: Examples, other: Examples, folder: string): void {
  const [expected, got] = [train.inputs.dims.slice(1), other.inputs.dims.slice(1)]
  if (expected.join() !== got.join())
    throw shapeError(path.join(folder, 'inputs.npy'), `expected examples of ${show(expected)} like the training set, got ${show(got)}`)
}

function holdOut<E extends Examples>(data: E, folder: string): { train: E; validation: E } {
  const indices = Array.from({ length: data.inputs.dims[0] as number }, (_, i) => i)
  if (indices.length < heldOutEvery)
    throw shapeError(
      path.join(folder, 'inputs.npy'),
      `${indices.length} examples are too few to hold some out for validation; add a validation folder`
    )
  return {
    train: select(
      data,
      indices.filter((i) => i % heldOutEvery !== heldOutEvery - 1)
    ),
    validation: select(
      data,
      indices.filter((i) => i % heldOutEvery === heldOutEvery - 1)
    )
  }
}

/** The examples at `indices`, copied. */
export function select<E extends Examples>(data: E, indices: readonly number[]): E {
  const { inputs, labels, targets } = data
  return {
    ...data,
    inputs: rows(inputs, indices),
    ...(labels && { labels: Int32Array.from(indices, (i) => labels[i] ?? 0) }),
    ...(targets && { targets: rows(targets, indices) })
  }
}

function rows({ data, dims }: FloatTensor, indices: readonly number[]): FloatTensor {
  const shape = dims.slice(1)
  const size = elementCount(shape)
  const values = new Float32Array(indices.length * size)
  indices.forEach((from, to) => {
    values.set(data.subarray(from * size, (from + 1) * size), to * size)
  })
  return floatTensor(values, [indices.length, ...shape])
}

function shapeError(file: string, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${show(file)}: ${what}`, { subject: file })
}
