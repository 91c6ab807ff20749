import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import type { Batch } from '../../lib/index.js'

/** A labelled picture on the disk. */
export interface LabelledFile {
  readonly file: string
  readonly label: number
}

/** How a picture becomes an input, as the network was trained: shorter side to `resize`, centre cut, (value − mean) / deviation by channel. */
export interface Preprocessing {
  readonly resize: number
  /** C×H×W; C is 1 or 3. */
  readonly shape: readonly [number, number, number]
  /** Of values from 0 to 255, in the network's order of channels. */
  readonly mean: readonly number[]
  readonly deviation: readonly number[]
  readonly order: 'rgb' | 'bgr'
}

const isPicture = (name: string): boolean => /\.(jpe?g|png|webp)$/i.test(name)

/**
 * Pictures of a folder. With a file of labels (a name and a class index a line), those that it names; else the folder has one folder a class,
 * numbered in the order of their names.
 */
export async function listImages(folder: string, labels?: string): Promise<LabelledFile[]> {
  if (labels !== undefined) {
    const lines = (await readFile(labels, 'utf8')).split(/\r?\n/).filter((line) => line.trim() !== '')
    return lines.map((line) => {
      const match = /^(\S+)\s+(\d+)$/.exec(line.trim())
      if (match === null) throw new Error(`${labels}: expected a file name and a class index, got '${line}'`)
      return { file: path.join(folder, match[1] as string), label: Number(match[2]) }
    })
  }
  const entries = await readdir(folder, { withFileTypes: true })
  const classes = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
  if (classes.length === 0) throw new Error(`${folder}: expected one folder a class, or a file of labels (--labels)`)
  const perClass = await Promise.all(
    classes.map(async (name, label) => {
      const files = (await readdir(path.join(folder, name))).filter(isPicture).sort()
      return files.map((file) => ({ file: path.join(folder, name, file), label }))
    })
  )
  return perClass.flat()
}

/** Every `n`-th, so that `count` of them cover all classes of a list that is sorted by class. */
export function thinned<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list]
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T)
}

/** Decodes a list in batches, the next ones while one is worked on: sharp has threads of its own. */
export async function* imageBatches(list: readonly LabelledFile[], batchSize: number, how: Preprocessing): AsyncGenerator<Batch> {
  const [channels, height, width] = how.shape
  const size = channels * height * width
  for (let start = 0; start < list.length; start += batchSize) {
    const chosen = list.slice(start, start + batchSize)
    const input = new Float32Array(chosen.length * size)
    await Promise.all(chosen.map(async ({ file }, i) => input.set(await decode(file, how), i * size)))
    yield { input, target: Int32Array.from(chosen, ({ label }) => label), count: chosen.length }
  }
}

/** One picture as C×H×W. */
export async function decode(
  file: string,
  { resize, shape: [channels, height, width], mean, deviation, order }: Preprocessing
): Promise<Float32Array> {
  const picture = sharp(file)
    .removeAlpha()
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
  const side = Math.max(resize, height, width)
  // Whatever the proportions: the shorter side becomes `side`.
  const { data, info } = await picture.resize({ width: side, height: side, fit: 'outside' }).raw().toBuffer({ resolveWithObject: true })
  if (info.channels < channels) throw new Error(`${file}: expected ${channels} channels, got ${info.channels}`)
  const [top, left] = [(info.height - height) >> 1, (info.width - width) >> 1]
  const result = new Float32Array(channels * height * width)
  for (let c = 0; c < channels; c++) {
    const from = order === 'bgr' ? channels - 1 - c : c
    const [offset, scale] = [mean[c % mean.length] as number, 1 / (deviation[c % deviation.length] as number)]
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const value = data[((top + y) * info.width + left + x) * info.channels + from] as number
        result[(c * height + y) * width + x] = (value - offset) * scale
      }
  }
  return result
}
