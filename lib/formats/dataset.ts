import { stat } from 'node:fs/promises'
import path from 'node:path'
import { PolyadicError, show } from '../errors.js'
import { elementCount, type FloatTensor, floatTensor, type Tensor } from '../tensor.js'
import { readNpy } from './npy.js'

/** Inputs with the class of each. */
export interface LabelledData {
  /** N×C×H×W. */
  readonly inputs: FloatTensor
  /** N class indices. */
  readonly labels: Int32Array
}

/** What a data folder holds; `test` is `undefined` when it has no such sub-folder. */
export interface Dataset {
  readonly train: LabelledData
  readonly validation: LabelledData
  readonly test: LabelledData | undefined
}

// Without a validation folder every tenth example is held out: enough to see over-fitting, and the same on every run.
const heldOutEvery = 10

/**
 * Reads a data folder: `inputs.npy` (N×C×H×W float32) and `labels.npy` (N, int32, int64 or uint8), in the folder itself or
 * in `train/`, `validation/` and `test/` below it. Throws `POLYADIC_IO` naming what is missing.
 */
export async function readDataset(folder: string): Promise<Dataset> {
  await requireFolder(folder)
  const sub = (split: string): Promise<LabelledData | undefined> => readSplit(path.join(folder, split))
  const train = (await sub('train')) ?? (await readLabelled(folder))
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
export async function readLabelled(folder: string): Promise<LabelledData> {
  await requireFolder(folder)
  const inputsPath = path.join(folder, 'inputs.npy')
  const labelsPath = path.join(folder, 'labels.npy')
  const inputs = await readNpy(inputsPath)
  if (inputs.dtype !== 'float32') throw shapeError(inputsPath, `expected float32, got ${inputs.dtype}`)
  if (inputs.dims.length !== 4) throw shapeError(inputsPath, `expected 4 axes N×C×H×W, got ${show(inputs.dims)}`)
  const labels = toLabels(await readNpy(labelsPath), labelsPath)
  if (labels.length !== inputs.dims[0])
    throw shapeError(labelsPath, `expected ${inputs.dims[0]} labels, one an input, got ${labels.length}`)
  if (labels.length === 0) throw shapeError(inputsPath, 'there are no examples in it')
  return { inputs: inputs as FloatTensor, labels }
}

/** The form that `fineTune` and `evaluate` take. */
export function exampleSet({ inputs, labels }: LabelledData): { images: Float32Array; labels: Int32Array; count: number } {
  return { images: inputs.data, labels, count: labels.length }
}

function toLabels(tensor: Tensor, file: string): Int32Array {
  if (!['int32', 'int64', 'uint8'].includes(tensor.dtype)) throw shapeError(file, `expected int32, int64 or uint8, got ${tensor.dtype}`)
  if (tensor.dims.length !== 1) throw shapeError(file, `expected one axis, got ${show(tensor.dims)}`)
  const labels = Int32Array.from(tensor.data as Iterable<number | bigint>, Number)
  const wrong = labels.findIndex((label) => label < 0)
  if (wrong >= 0) throw shapeError(file, `label ${wrong} is negative (${labels[wrong]})`)
  return labels
}

async function readSplit(folder: string): Promise<LabelledData | undefined> {
  return (await isFolder(folder)) ? readLabelled(folder) : undefined
}

async function requireFolder(folder: string): Promise<void> {
  if (!(await isFolder(folder))) throw new PolyadicError('POLYADIC_IO', `data folder ${show(folder)} does not exist`, { subject: folder })
}

async function isFolder(folder: string): Promise<boolean> {
  return (await stat(folder).catch(() => undefined))?.isDirectory() ?? false
}

function checkSameShape(train: LabelledData, other: LabelledData, folder: string): void {
  const [expected, got] = [train.inputs.dims.slice(1), other.inputs.dims.slice(1)]
  if (expected.join() !== got.join())
    throw shapeError(path.join(folder, 'inputs.npy'), `expected examples of ${show(expected)} like the training set, got ${show(got)}`)
}

function holdOut(data: LabelledData, folder: string): { train: LabelledData; validation: LabelledData } {
  const indices = Array.from(data.labels.keys())
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
export function select(data: LabelledData, indices: readonly number[]): LabelledData {
  const shape = data.inputs.dims.slice(1)
  const size = elementCount(shape)
  const values = new Float32Array(indices.length * size)
  indices.forEach((from, to) => {
    values.set(data.inputs.data.subarray(from * size, (from + 1) * size), to * size)
  })
  return { inputs: floatTensor(values, [indices.length, ...shape]), labels: Int32Array.from(indices, (i) => data.labels[i] ?? 0) }
}

function shapeError(file: string, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_SHAPE', `${show(file)}: ${what}`, { subject: file })
}
