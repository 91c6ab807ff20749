import path from 'node:path'
import { PolyadicError, show } from '../errors.js'
import {
  type ExampleKind,
  type Examples,
  type ExamplesOrigin,
  exampleSet,
  isFile,
  isFolder,
  kindOf,
  readExamples,
  validationFolder
} from '../formats/dataset.js'
import { fittedExample } from '../formats/fit.js'
import { imageFolder, type ImageFolder } from '../formats/image-folder.js'
import type { Graph } from '../graph/graph.js'
import { elementCount } from '../tensor.js'
import type { Batches } from '../training/batches.js'
import { exampleDims, singleInput } from '../training/network.js'
import { choice, numbers } from './arguments.js'
import { type Arguments, type Command, type Context, UsageError } from './command.js'
import { openInput } from './shapes.js'

/** Examples of a folder, in the form that training takes. */
export interface TrainingData {
  readonly folder: string
  readonly train: Batches
  readonly validation: Batches
  readonly test: Batches | undefined
  readonly kind: ExampleKind
  /** C×H×W of an example, or whatever axes it has, as the network takes it. */
  readonly example: readonly number[]
  /** How many there are of each, and where they are from. */
  readonly split: DataSplit
  /** What was read, where that is arrays. */
  readonly arrays: readonly Examples[]
}

/** As it is in `--json`, too. */
interface DataSplit {
  readonly train: number
  readonly validation: number
  readonly test: number
  readonly validation_from: string
}

/** Where examples come from. */
export const dataOptions: Command['options'] = {
  data: { type: 'string' },
  mean: { type: 'string' },
  std: { type: 'string' },
  fit: { type: 'string' }
}

/** Their part of a help text. */
export const dataHelp = `  --data DIR             inputs.npy (N×C×H×W, or N with other axes; float32, float64 or float16) and labels.npy (N class
                         indices) or targets.npy (N×…, values of the output), in DIR itself or in its folders train, validation
                         (or val, valid) and test; without validation every tenth example is held out. Or images in a folder a
                         class, in DIR/train and DIR/validation (with the package sharp):
                         an example's values are (byte/255 - mean) / std, --mean X,X,X (0), --std X,X,X (1),
                         --fit NAME of other proportions: cover, fill or contain (cover)`

/** How the examples are read beside where they lie. */
export interface Reading {
  /** C×H×W, where the network leaves it open. */
  readonly shape?: readonly number[]
  readonly batchSize?: number
  /** Of shuffling. */
  readonly seed?: number
}

/**
 * Reads `--data`: arrays, whose examples have to be of the shape that the network takes, or images, which are brought to it. Says how many there
 * are and what was changed.
 */
export async function trainingData(
  args: Arguments,
  folder: string,
  graph: Graph,
  reading: Reading,
  { progress, signal }: Context
): Promise<TrainingData> {
  const data = (await holdsImages(folder))
    ? await images(args, folder, graph, reading, signal)
    : await arrays(args, folder, graph, reading, signal)
  for (const note of new Set(data.arrays.flatMap(({ origin }) => origin?.notes ?? []))) progress.done(note)
  progress.done(splitText(folder, data.split))
  return data
}

function splitText(folder: string, { train, validation, test, validation_from }: DataSplit): string {
  const tests = test === 0 ? '' : `, ${test} for the test`
  return `${show(folder)}: ${train} examples to train on, ${validation} for validation (${validation_from})${tests}`
}

async function arrays(args: Arguments, folder: string, graph: Graph, { shape }: Reading, signal: AbortSignal): Promise<TrainingData> {
  const forImages = ['mean', 'std', 'fit'].find((name) => args.values[name] !== undefined)
  if (forImages !== undefined) throw new UsageError(`--${forImages} is for images in a folder a class, and ${show(folder)} holds none`)
  const { train, validation, test, validationFrom } = await readExamples(folder, { signal })
  const file = train.origin?.inputs ?? folder
  const example = fittedExample(file, train.inputs.dims.slice(1), singleInput(graph), shape)
  const count = (part: Examples | undefined): number => part?.inputs.dims[0] ?? 0
  return {
    folder,
    train: exampleSet(train, example),
    validation: exampleSet(validation, example),
    test: test && exampleSet(test, example),
    kind: kindOf(train),
    example,
    split: { train: count(train), validation: count(validation), test: count(test), validation_from: validationFrom },
    arrays: [train, validation, ...(test === undefined ? [] : [test])]
  }
}

/** Throws POLYADIC_SHAPE or POLYADIC_ARGUMENT, naming file and row, unless labels are classes of the network, or targets as large as its output. */
export function checkAnswers(
  { folder, train, arrays }: TrainingData,
  { classes, outputSize }: { readonly classes: number; readonly outputSize: number }
): void {
  const named = typeof train === 'function' ? train.classes : undefined
  if (named !== undefined && named.length !== classes)
    throw new PolyadicError(
      'POLYADIC_ARGUMENT',
      `${show(folder)}: ${named.length} folders of classes (${named.slice(0, 8).join(', ')}${named.length > 8 ? ', …' : ''}), the network has ${classes} classes`,
      { subject: folder }
    )
  for (const { labels, targets, origin } of arrays) {
    if (labels !== undefined && origin !== undefined && classes > 0) checkLabels(labels, origin, classes)
    const values = targets && elementCount(targets.dims.slice(1))
    if (values === undefined || values === outputSize) continue
    const file = origin?.targets ?? 'targets.npy'
    throw new PolyadicError('POLYADIC_SHAPE', `${show(file)}: ${values} values an example, the network's output has ${outputSize}`, {
      subject: file
    })
  }
}

function checkLabels(labels: Int32Array, { labels: file = 'labels.npy', rows }: ExamplesOrigin, classes: number): void {
  const wrong = labels.findIndex((label) => label >= classes)
  if (wrong < 0) return
  // From 1 to as many as there are classes.
  const isOneTooMuch = labels.every((label) => label >= 1 && label <= classes)
  const hint = isOneTooMuch ? '; these begin at 1: save labels - 1' : ''
  throw new PolyadicError(
    'POLYADIC_ARGUMENT',
    `${show(file)}: the label of row ${rows?.[wrong] ?? wrong} is ${labels[wrong]}, the network has ${classes} classes, 0 to ${classes - 1}${hint}`,
    { subject: file }
  )
}

/** Folders of classes below train/, where arrays would have inputs.npy. */
async function holdsImages(folder: string): Promise<boolean> {
  const train = path.join(folder, 'train')
  return (await isFolder(train)) && !(await isFile(path.join(train, 'inputs.npy')))
}

async function images(
  args: Arguments,
  folder: string,
  graph: Graph,
  { shape, batchSize, seed = 0 }: Reading,
  signal: AbortSignal
): Promise<TrainingData> {
  const validationName = (await validationFolder(folder)) ?? 'validation'
  const form = {
    shape: imageDims(graph, shape),
    mean: perChannel(args, 'mean', 0),
    std: perChannel(args, 'std', 1),
    signal,
    fit: choice(args, 'fit', ['cover', 'fill', 'contain'] as const) ?? 'cover',
    ...(batchSize !== undefined && { batchSize })
  }
  const part = (name: string, shuffled = {}): Promise<ImageFolder> => imageFolder(path.join(folder, name), { ...form, ...shuffled })
  const train = await part('train', { seed })
  const validation = await part(validationName)
  const test = (await isFolder(path.join(folder, 'test'))) ? await part('test') : undefined
  for (const [name, other] of Object.entries({ [validationName]: validation, test })) {
    if (other === undefined || other.classes.join('/') === train.classes.join('/')) continue
    throw new PolyadicError(
      'POLYADIC_ARGUMENT',
      `${show(path.join(folder, name))}: expected the classes of the training set (${train.classes.join(', ')}), got ${other.classes.join(', ')}`,
      { subject: folder }
    )
  }
  return {
    folder,
    train,
    validation,
    test,
    kind: 'labels',
    example: form.shape,
    split: {
      train: train.count,
      validation: validation.count,
      test: test?.count ?? 0,
      validation_from: show(path.join(folder, validationName))
    },
    arrays: []
  }
}

/** C×H×W of images: by `--shape`, else by the network. */
function imageDims(graph: Graph, shape: readonly number[] | undefined): readonly number[] {
  const input = singleInput(graph)
  try {
    return exampleDims(input, shape)
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_ARGUMENT')
      throw new PolyadicError('POLYADIC_ARGUMENT', openInput(input), { subject: input.name })
    throw error
  }
}

/** One number for all channels, or one a channel. */
function perChannel(args: Arguments, name: string, otherwise: number): number | readonly number[] {
  const given = numbers(args, name) ?? [otherwise]
  return given.length === 1 ? (given[0] as number) : given
}
