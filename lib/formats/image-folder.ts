import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { checkFunction, checkOptions, filePath, type Names } from '../arguments.js'
import { argumentError, checkChoice, checkInteger, PolyadicError, show } from '../errors.js'
import { permutation, random } from '../random.js'
import { checkDims, elementCount } from '../tensor.js'
import type { Batch, BatchSource } from '../training/batches.js'
import { loadSharp } from './sharp.js'

/** How an image that has other proportions is brought to H×W: its middle, squeezed, or with black bars. */
export type ImageFit = 'cover' | 'fill' | 'contain'

/** Decodes one file to H×W×C bytes, row by row, C values a pixel. */
export type ImageDecoder = (
  file: string,
  form: { readonly channels: 1 | 3; readonly height: number; readonly width: number; readonly fit: ImageFit }
) => Promise<Uint8Array>

export interface ImageFolderOptions {
  /** C×H×W of an example as the network takes it; C is 1 (grey) or 3 (red, green, blue). */
  readonly shape: readonly number[]
  /** What the network was trained with, in units of a full channel: an example's values are (byte/255 − mean) / std. Default 0 and 1. */
  readonly mean?: number | readonly number[]
  readonly std?: number | readonly number[]
  /** Default `cover`. */
  readonly fit?: ImageFit
  /** Shuffles every epoch, each differently; without one the images come class by class. */
  readonly seed?: number
  /** Examples a batch; default 64. */
  readonly batchSize?: number
  /** Batches that are decoded ahead of the one in use; default 2. */
  readonly ahead?: number
  /** Images decoded at once; default 4. */
  readonly concurrency?: number
  /** Default: the package sharp, an optional peer. */
  readonly decode?: ImageDecoder
  /** Of the reading of the folder. Decoding ends with whoever takes the batches: `fineTune` and `evaluate` have a signal of their own. */
  readonly signal?: AbortSignal
}

const optionNames: Names<ImageFolderOptions> = {
  shape: true,
  mean: true,
  std: true,
  fit: true,
  seed: true,
  batchSize: true,
  ahead: true,
  concurrency: true,
  decode: true,
  signal: true
}

/** Batches for `fineTune` and `evaluate`, which check them against the network. */
export interface ImageFolder extends BatchSource {
  (epoch: number): AsyncIterable<Batch>
  /** Names of the class folders, sorted: a target is an index here. */
  readonly classes: readonly string[]
  /** Images. */
  readonly count: number
  /** C×H×W. */
  readonly dims: readonly number[]
}

interface LabelledFile {
  readonly file: string
  readonly label: number
}

interface Form {
  readonly channels: 1 | 3
  readonly height: number
  readonly width: number
  readonly fit: ImageFit
  /** What a byte of a channel becomes: byte·scale + shift. */
  readonly scale: readonly number[]
  readonly shift: readonly number[]
}

const imageNames = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i

/**
 * Images in a folder a class: `folder/cat/1.png`, `folder/dog/2.jpg`. Decoding runs beside the main thread, some batches ahead. Throws
 * POLYADIC_IO for a folder that is not there or holds no images, POLYADIC_ARGUMENT for options that do not fit, POLYADIC_UNSUPPORTED when
 * sharp is not installed; an image that cannot be decoded is a POLYADIC_FORMAT error of the epoch, and names the file. Rejects
 * with `signal.reason` when aborted.
 */
export async function imageFolder(location: string | URL, options: ImageFolderOptions): Promise<ImageFolder> {
  const folder = filePath('folder', location)
  checkOptions(options, optionNames)
  if (options.decode !== undefined) checkFunction('decode', options.decode)
  const form = checkForm(options)
  const batchSize = checkInteger('batchSize', options.batchSize ?? 64, 1)
  const ahead = checkInteger('ahead', options.ahead ?? 2, 0)
  const concurrency = checkInteger('concurrency', options.concurrency ?? 4, 1)
  const seed = options.seed === undefined ? undefined : checkInteger('seed', options.seed, 0, 0xffffffff)
  const { classes, files } = await listImages(folder, options.signal)
  const decode = limited(options.decode ?? (await sharpDecoder()), concurrency)
  const source = (epoch: number): AsyncIterable<Batch> => {
    const order = seed === undefined ? files : Array.from(permutation(files.length, random(seed, epoch)), (i) => files[i] as LabelledFile)
    return decodedAhead(chunksOf(order, batchSize), ahead, (chunk) => decodeBatch(chunk, form, decode))
  }
  return Object.assign(source, { classes, count: files.length, dims: [form.channels, form.height, form.width] })
}

async function* decodedAhead<T, R>(items: Iterable<T>, ahead: number, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const running: Promise<R>[] = []
  const begin = (item: T): void => {
    const result = work(item)
    // Whoever awaits it sees the error; nobody may, when the epoch ends early.
    result.catch(() => {})
    running.push(result)
  }
  for (const item of items) {
    begin(item)
    if (running.length > ahead) yield running.shift() as Promise<R>
  }
  while (running.length > 0) yield running.shift() as Promise<R>
}

function* chunksOf<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

/** The same, at most `most` at a time, first come, first served. */
function limited(decode: ImageDecoder, most: number): ImageDecoder {
  let running = 0
  const waiting: (() => void)[] = []
  return async (...args) => {
    if (running < most) running++
    else
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
      })
    try {
      return await decode(...args)
    } finally {
      // Whoever waits takes the place over.
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}

async function decodeBatch(files: readonly LabelledFile[], form: Form, decode: ImageDecoder): Promise<Batch> {
  const size = form.channels * form.height * form.width
  const input = new Float32Array(files.length * size)
  const one = async ({ file }: LabelledFile, index: number): Promise<void> =>
    spread(await decodeOne(file, form, decode), form, input.subarray(index * size, (index + 1) * size))
  await Promise.all(files.map(one))
  return { input, target: Int32Array.from(files, ({ label }) => label), count: files.length }
}

async function decodeOne(file: string, { channels, height, width, fit }: Form, decode: ImageDecoder): Promise<Uint8Array> {
  let pixels: Uint8Array
  try {
    pixels = await decode(file, { channels, height, width, fit })
  } catch (cause) {
    if (cause instanceof PolyadicError) throw cause
    throw new PolyadicError('POLYADIC_FORMAT', `${show(file)}: not an image that can be decoded`, { subject: file, cause })
  }
  if (pixels.length === channels * height * width) return pixels
  throw new PolyadicError('POLYADIC_FORMAT', `${show(file)}: expected ${height}×${width}×${channels} bytes, got ${pixels.length}`, {
    subject: file
  })
}

// pixels: H×W×C; to: C×H×W.
function spread(pixels: Uint8Array, { channels, height, width, scale, shift }: Form, to: Float32Array): void {
  const area = height * width
  for (let c = 0; c < channels; c++) {
    const [factor, offset] = [scale[c] as number, shift[c] as number]
    for (let i = 0; i < area; i++) to[c * area + i] = (pixels[i * channels + c] as number) * factor + offset
  }
}

function checkForm(options: ImageFolderOptions): Form {
  checkDims('shape', options.shape)
  const [channels, height, width, ...rest] = options.shape
  if ((channels !== 1 && channels !== 3) || height === undefined || width === undefined || rest.length > 0)
    throw argumentError('shape', 'C×H×W with C of 1 or 3', options.shape)
  if (elementCount(options.shape) === 0) throw argumentError('shape', 'positive dims', options.shape)
  const mean = aChannel('mean', options.mean ?? 0, channels)
  const std = aChannel('std', options.std ?? 1, channels)
  if (std.some((value) => value <= 0)) throw argumentError('std', 'positive numbers', options.std)
  const fit = checkChoice('fit', options.fit ?? 'cover', ['cover', 'fill', 'contain'])
  return { channels, height, width, fit, scale: std.map((s) => 1 / (255 * s)), shift: mean.map((m, c) => -m / (std[c] as number)) }
}

function aChannel(name: string, value: number | readonly number[], channels: number): readonly number[] {
  const values = typeof value === 'number' ? new Array<number>(channels).fill(value) : value
  if (Array.isArray(values) && values.length === channels && values.every((v) => Number.isFinite(v))) return values as readonly number[]
  throw argumentError(name, `a finite number, or ${channels}, one a channel`, value)
}

async function listImages(
  folder: string,
  signal: AbortSignal | undefined
): Promise<{ readonly classes: readonly string[]; readonly files: readonly LabelledFile[] }> {
  signal?.throwIfAborted()
  const fail = (what: string, cause?: unknown): never => {
    throw new PolyadicError('POLYADIC_IO', `image folder ${show(folder)}: ${what}`, { subject: folder, cause })
  }
  const entries = await readdir(folder).catch((cause: unknown) => fail('cannot be read', cause))
  const files: LabelledFile[] = []
  const classes: string[] = []
  // By code unit, not by locale: the same classes get the same indices everywhere.
  for (const name of entries.sort()) {
    signal?.throwIfAborted()
    if (name.startsWith('.') || !(await stat(path.join(folder, name))).isDirectory()) continue
    const images = (await readdir(path.join(folder, name))).filter((file) => imageNames.test(file)).sort()
    if (images.length === 0) fail(`class ${show(name)} holds no images`)
    for (const file of images) files.push({ file: path.join(folder, name, file), label: classes.length })
    classes.push(name)
  }
  signal?.throwIfAborted()
  if (classes.length === 0) fail('expected a folder of images for each class in it')
  return { classes, files }
}

async function sharpDecoder(): Promise<ImageDecoder> {
  const sharp = await loadSharp('reading images', 'give options.decode', 'decode')
  return async (file, { channels, height, width, fit }) => {
    const image = sharp(file).flatten({ background: 'black' }).resize(width, height, { fit, background: 'black' })
    const coloured = channels === 1 ? image.toColourspace('b-w') : image.toColourspace('srgb')
    return await coloured.raw().toBuffer()
  }
}
