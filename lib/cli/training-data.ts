import path from 'node:path'
import { PolyadicError, show } from '../errors.js'
import { type ExampleKind, exampleSet, isFile, isFolder, kindOf, readExamples } from '../formats/dataset.js'
import { imageFolder, type ImageFolder } from '../formats/image-folder.js'
import type { Graph } from '../graph/graph.js'
import type { Batches } from '../training/batches.js'
import { exampleDims, singleInput } from '../training/network.js'
import { choice, numbers } from './arguments.js'
import { type Arguments, type Command, UsageError } from './command.js'

/** Examples of a folder, in the form that training takes. */
export interface TrainingData {
  readonly train: Batches
  readonly validation: Batches
  readonly test: Batches | undefined
  readonly kind: ExampleKind
}

/** Where examples come from. */
export const dataOptions: Command['options'] = {
  data: { type: 'string' },
  mean: { type: 'string' },
  std: { type: 'string' },
  fit: { type: 'string' }
}

/** Their part of a help text. */
export const dataHelp = `  --data DIR             inputs.npy (N×C×H×W float32) and labels.npy (N, int32, int64 or uint8), in DIR itself or in
                         its folders train, validation and test; without validation every tenth example is held out.
                         Or images in a folder a class, in DIR/train and DIR/validation (with the package sharp):
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

/** Reads `--data`: arrays, or images of the size that the network takes. */
export async function trainingData(args: Arguments, folder: string, graph: Graph, reading: Reading): Promise<TrainingData> {
  if (await holdsImages(folder)) return images(args, folder, graph, reading)
  const forImages = ['mean', 'std', 'fit'].find((name) => args.values[name] !== undefined)
  if (forImages !== undefined) throw new UsageError(`--${forImages} is for images in a folder a class, and ${show(folder)} holds none`)
  const { train, validation, test } = await readExamples(folder)
  return { train: exampleSet(train), validation: exampleSet(validation), test: test && exampleSet(test), kind: kindOf(train) }
}

/** Folders of classes below train/, where arrays would have inputs.npy. */
async function holdsImages(folder: string): Promise<boolean> {
  const train = path.join(folder, 'train')
  return (await isFolder(train)) && !(await isFile(path.join(train, 'inputs.npy')))
}

async function images(args: Arguments, folder: string, graph: Graph, { shape, batchSize, seed = 0 }: Reading): Promise<TrainingData> {
  const form = {
    shape: exampleDims(singleInput(graph), shape),
    mean: perChannel(args, 'mean', 0),
    std: perChannel(args, 'std', 1),
    fit: choice(args, 'fit', ['cover', 'fill', 'contain'] as const) ?? 'cover',
    ...(batchSize !== undefined && { batchSize })
  }
  const part = (name: string, shuffled = {}): Promise<ImageFolder> => imageFolder(path.join(folder, name), { ...form, ...shuffled })
  const train = await part('train', { seed })
  const validation = await part('validation')
  const test = (await isFolder(path.join(folder, 'test'))) ? await part('test') : undefined
  for (const [name, other] of Object.entries({ validation, test })) {
    if (other === undefined || other.classes.join('/') === train.classes.join('/')) continue
    throw new PolyadicError(
      'POLYADIC_ARGUMENT',
      `${show(path.join(folder, name))}: expected the classes of the training set (${train.classes.join(', ')}), got ${other.classes.join(', ')}`,
      { subject: folder }
    )
  }
  return { train, validation, test, kind: 'labels' }
}

/** One number for all channels, or one a channel. */
function perChannel(args: Arguments, name: string, otherwise: number): number | readonly number[] {
  const given = numbers(args, name) ?? [otherwise]
  return given.length === 1 ? (given[0] as number) : given
}
