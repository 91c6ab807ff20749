import { stat } from 'node:fs/promises'
import path from 'node:path'
import { type AbortOptions, abortOptions } from '../abortable.js'
import { checkOptions, filePath } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import { asNumbers, elementCount, type FloatTensor, floatTensor, type Tensor, toFloat32 } from '../tensor.js'
import { checkFinite, type ExampleSet } from '../training/batches.js'
import { converted } from './convert.js'
import { readNpy } from './npy.js'

/** Inputs, with what each of them should lead to where that is known. */
export interface Examples {
  /** N×…: N×C×H×W for images. */
  readonly inputs: FloatTensor
  /** N class indices. */
  readonly labels?: Int32Array
  /** N×…: the values of the output. */
  readonly targets?: FloatTensor
  /** Where they were read. */
  readonly origin?: ExamplesOrigin
}

/** Files of examples. */
export interface ExamplesOrigin {
  readonly inputs: string
  readonly labels?: string
  readonly targets?: string
  /** The row of the files that each example is, where not all rows are here. */
  readonly rows?: readonly number[]
  /** What was changed in reading, a sentence each. */
  readonly notes: readonly string[]
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
  /** Where the validation set is from: `every tenth example of "data"`, or a folder's name in quotes. */
  readonly validationFrom: string
}

// Without a validation folder every tenth example is held out: enough to see over-fitting, and the same on every run.
const heldOutEvery = 10

/**
 * Reads a data folder: `inputs.npy` (N×C×H×W, or N with any other axes; float32, or float64 and float16, which are rounded) and `labels.npy`
 * (N class indices in any type that holds them), in the folder itself or in `train/`, `validation/` (or `val/`, `valid/`) and `test/` below it.
 * Throws `POLYADIC_IO` naming what is missing, `POLYADIC_SHAPE` naming what is wrong; rejects with `signal.reason` when aborted.
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
  for (const name of ['validation', 'test'] as const) {
    const part = data[name]
    if (part === undefined || kindOf(part) === kindOf(data.train)) continue
    throw shapeError(path.join(folder, name), `expected ${kindOf(data.train)} like the training set, got ${kindOf(part)}`)
  }
  return data
}

async function readSplits<E extends Examples>(folder: string, read: (folder: string) => Promise<E>): Promise<Dataset<E>> {
  await requireFolder(folder)
  const sub = async (split: string | undefined): Promise<E | undefined> =>
    split !== undefined && (await isFolder(path.join(folder, split))) ? read(path.join(folder, split)) : undefined
  const validationName = await validationFolder(folder)
  const train = (await sub('train')) ?? (await read(folder))
  const validation = await sub(validationName)
  const test = await sub('test')
  for (const [name, other] of [
    [validationName, validation],
    ['test', test]
  ] as const)
    if (name !== undefined && other) checkSameShape(train, other, path.join(folder, name))
  if (validation === undefined || validationName === undefined)
    return { ...holdOut(train, folder), test, validationFrom: `every tenth example of ${show(folder)}` }
  return { train, validation, test, validationFrom: show(path.join(folder, validationName)) }
}

/** The sub-folder with the examples that are held out, if there is one. Throws `POLYADIC_IO` when there are two. */
export async function validationFolder(folder: string): Promise<string | undefined> {
  const found: string[] = []
  for (const name of ['validation', 'val', 'valid']) if (await isFolder(path.join(folder, name))) found.push(name)
  if (found.length < 2) return found[0]
  throw new PolyadicError('POLYADIC_IO', `${show(folder)} holds ${found.join(' and ')}: expected one folder for validation`, {
    subject: folder
  })
}

/** Reads `inputs.npy` and `labels.npy` of one folder and checks that they belong together. */
async function readLabelled(folder: string, options: AbortOptions = {}): Promise<LabelledData> {
  await requireFolder(folder)
  const labelsPath = path.join(folder, 'labels.npy')
  const inputs = await readInputs(folder, options)
  const labels = toLabels(await readNpy(labelsPath, options), labelsPath)
  checkCount(inputs.tensor, labels.length, 'labels', labelsPath)
  return { inputs: inputs.tensor, labels, origin: { inputs: inputs.file, labels: labelsPath, notes: inputs.notes } }
}

async function readAny(folder: string, options: AbortOptions): Promise<Examples> {
  const targetsPath = path.join(folder, 'targets.npy')
  const [labelled, valued] = [await isFile(path.join(folder, 'labels.npy')), await isFile(targetsPath)]
  if (labelled && valued) throw shapeError(folder, 'expected labels.npy or targets.npy, got both')
  if (labelled) return readLabelled(folder, options)
  const inputs = await readInputs(folder, options)
  const origin = { inputs: inputs.file, notes: inputs.notes }
  if (!valued) return { inputs: inputs.tensor, origin }
  const read = await readNpy(targetsPath, options)
  checkCount(inputs.tensor, read.dims[0], 'targets', targetsPath)
  const targets = floatTensor(toFloat32(read, targetsPath), read.dims)
  checkFinite(show(targetsPath), targets.data, read.dims[0] as number, elementCount(read.dims.slice(1)), targetsPath)
  const notes = [...origin.notes, ...rounding(read, targetsPath)]
  return { inputs: inputs.tensor, targets, origin: { ...origin, targets: targetsPath, notes } }
}

/** The inputs of a folder, and what was changed in reading them. */
interface Inputs {
  readonly tensor: FloatTensor
  readonly file: string
  readonly notes: readonly string[]
}

async function readInputs(folder: string, options: AbortOptions): Promise<Inputs> {
  const file = path.join(folder, 'inputs.npy')
  const read = await readNpy(file, options)
  const tensor = converted(read, 'float32', file) as FloatTensor
  if (read.dims.length < 2) throw shapeError(file, `expected examples of one axis or more, N×… such as N×C×H×W, got ${show(read.dims)}`)
  if (read.dims[0] === 0) throw shapeError(file, 'there are no examples in it')
  return { tensor, file, notes: rounding(read, file) }
}

function rounding({ dtype }: Tensor, file: string): string[] {
  return dtype === 'float64'
    ? [`${show(file)}: float64, rounded to float32`]
    : dtype === 'float16'
      ? [`${show(file)}: float16, taken as float32`]
      : []
}

function checkCount(inputs: FloatTensor, count: number | undefined, what: string, file: string): void {
  if (count !== inputs.dims[0]) throw shapeError(file, `expected ${inputs.dims[0]} ${what}, one an input, got ${count ?? 'a single value'}`)
}

/** What examples are judged by: classes, the output's values, or nothing but a teacher. */
export type ExampleKind = 'labels' | 'targets' | 'inputs alone'

export function kindOf({ labels, targets }: Examples): ExampleKind {
  return labels !== undefined ? 'labels' : targets !== undefined ? 'targets' : 'inputs alone'
}

/** The form that `fineTune` and `evaluate` take. `dims`: of one example as the network takes it; default: as the file has it. */
export function exampleSet(
  { inputs, labels, targets }: Examples,
  dims: readonly number[] = inputs.dims.slice(1)
): ExampleSet & { readonly dims: readonly number[] } {
  const known = labels ?? targets?.data
  return { images: inputs.data, count: inputs.dims[0] as number, dims, ...(known && { labels: known }) }
}

const mostLabel = 2 ** 31 - 1

/** N class indices, or N×1, in any type. */
function toLabels(tensor: Tensor, file: string): Int32Array {
  const { dims, dtype } = tensor
  const values = asNumbers(tensor)
  if (dims.length === 0 || dims.slice(1).some((dim) => dim !== 1)) throw wrongLabels(values, dims, file)
  const wrong = values.findIndex((label) => !(Number.isInteger(label) && label >= 0 && label <= mostLabel))
  if (wrong < 0) return Int32Array.from(values)
  const label = values[wrong] as number
  if (label < 0) throw shapeError(file, `label ${wrong} is negative (${label})`)
  if (Number.isInteger(label)) throw shapeError(file, `label ${wrong} is ${label}, expected at most ${mostLabel}`)
  throw shapeError(file, `label ${wrong} is ${label} (${dtype}), expected a class index; values belong into targets.npy`)
}

function wrongLabels(values: ArrayLike<number>, dims: readonly number[], file: string): PolyadicError {
  if (isOneHot(values, dims)) return shapeError(file, `expected N class indices, got one-hot rows ${dims.join('×')}: save labels.argmax(1)`)
  return shapeError(file, `expected one axis, N class indices, got ${show(dims)}; values of the output belong into targets.npy`)
}

function isOneHot(values: ArrayLike<number>, dims: readonly number[]): boolean {
  const [rows = 0, classes = 0] = dims
  if (dims.length !== 2) return false
  return Array.from({ length: rows }, (_, row) => row).every((row) => {
    let ones = 0
    for (let k = row * classes; k < (row + 1) * classes; k++) {
      if (values[k] === 1) ones++
      else if (values[k] !== 0) return false
    }
    return ones === 1
  })
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
      `${indices.length} examples are too few to hold some out for validation; add a folder validation`
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
function select<E extends Examples>(data: E, indices: readonly number[]): E {
  const { inputs, labels, targets, origin } = data
  return {
    ...data,
    ...(origin && { origin: { ...origin, rows: indices.map((i) => origin.rows?.[i] ?? i) } }),
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
