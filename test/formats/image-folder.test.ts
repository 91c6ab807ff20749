import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import sharp from 'sharp'
import t from 'tap'
import type { ErrorCode } from '../../lib/errors.js'
import { type ImageFolderOptions, imageFolder } from '../../lib/formats/image-folder.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { evaluate } from '../../lib/training/evaluate.js'
import type { Batch } from '../../lib/training/batches.js'
import { rejectsError } from '../helpers/expect-error.js'
import { bars, toyNetwork, toySize } from '../training/toy.js'

type Colour = readonly [number, number, number]

/** One image a name (`class/file.png`) of one colour, 6×4. */
async function folderOf(dir: string, images: Readonly<Record<string, Colour>>): Promise<string> {
  for (const [name, [r, g, b]] of Object.entries(images)) {
    const file = path.join(dir, name)
    await mkdir(path.dirname(file), { recursive: true })
    await sharp({ create: { width: 6, height: 4, channels: 3, background: { r, g, b } } })
      .png()
      .toFile(file)
  }
  return dir
}

async function all(source: AsyncIterable<Batch>): Promise<Batch[]> {
  const batches = []
  for await (const batch of source) batches.push(batch)
  return batches
}

const shape = [3, 2, 2] as const
const colours = { 'b/1.png': [255, 0, 51], 'b/2.PNG': [0, 255, 0], 'a/0.png': [51, 102, 204] } as const

t.test('classes are folders in order, values are normalised by channel', async (t) => {
  const dir = await folderOf(t.testdir({ '.hidden': {}, 'notes.txt': '', a: { 'notes.txt': '' } }), colours)
  const folder = await imageFolder(dir, { shape, mean: [0, 0.5, 0.2], std: [1, 0.5, 2], batchSize: 2 })
  t.strictSame([folder.classes, folder.count, folder.dims], [['a', 'b'], 3, [3, 2, 2]])
  const [first, second, ...rest] = await all(folder(1))
  t.equal(rest.length, 0)
  t.strictSame([[...(first?.target ?? [])], [...(second?.target ?? [])]], [[0, 1], [1]])
  // Planes of four pixels: (byte/255 − mean)/std.
  const expected = [0.2, -0.2, 0.3, 1, -1, 0].flatMap((value) => [value, value, value, value])
  const got = [...((first as Batch).input as Float32Array)]
  t.ok(
    got.every((value, i) => Math.abs(value - (expected[i] as number)) < 1e-6),
    JSON.stringify(got)
  )
})

t.test('grey images of another size', async (t) => {
  const dir = t.testdir({ x: {} })
  const pixels = Buffer.from(Array.from({ length: 8 * 8 }, (_, i) => (i % 8 < 4 ? 0 : 255)))
  await sharp(pixels, { raw: { width: 8, height: 8, channels: 1 } })
    .png()
    .toFile(path.join(dir, 'x', 'half.png'))
  const [batch] = await all((await imageFolder(dir, { shape: [1, 8, 8], fit: 'fill' }))(1))
  t.strictSame([...((batch as Batch).input as Float32Array)].slice(0, 8), [0, 0, 0, 0, 1, 1, 1, 1])
})

t.test('a seed shuffles every epoch anew, and the same way again', async (t) => {
  const names = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`c/${i}.png`, [i, i, i] as const]))
  const dir = await folderOf(t.testdir({}), names)
  const order = async (epoch: number): Promise<number[]> => {
    const batches = await all((await imageFolder(dir, { shape: [1, 1, 1], seed: 3, batchSize: 5 }))(epoch))
    return batches.flatMap(({ input }) => [...(input as Float32Array)].map((value) => Math.round(value * 255)))
  }
  const [first, again, second] = [await order(1), await order(1), await order(2)]
  t.strictSame(first, again)
  t.notSame(first, second)
  t.strictSame(
    [...first].sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => i)
  )
})

t.test('batches are decoded ahead, no more images at once than allowed', async (t) => {
  const names = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`c/${i}.png`, [i, i, i] as const]))
  const dir = await folderOf(t.testdir({}), names)
  let [running, most, started] = [0, 0, 0]
  const decode = async (): Promise<Uint8Array> => {
    started++
    most = Math.max(most, ++running)
    await setTimeout(1)
    running--
    return new Uint8Array(1)
  }
  const source = (await imageFolder(dir, { shape: [1, 1, 1], batchSize: 2, ahead: 1, concurrency: 2, decode }))(1)
  const iterator = source[Symbol.asyncIterator]()
  await iterator.next()
  await setTimeout(20)
  // The first batch, one ahead of it, and the one that takes the first's place.
  t.ok(started >= 4 && started <= 6, String(started))
  while ((await iterator.next()).done !== true);
  t.equal(started, 8)
  t.equal(most, 2)
})

t.test('what does not fit is an error that names it', async (t) => {
  const dir = await folderOf(t.testdir({}), colours)
  const refuse = (options: Partial<ImageFolderOptions>, code: ErrorCode, subject: string) =>
    rejectsError(t, imageFolder(dir, { shape, ...options }), code, subject)
  await refuse({ shape: [2, 4, 4] }, 'POLYADIC_ARGUMENT', 'shape')
  await refuse({ mean: [1, 2] }, 'POLYADIC_ARGUMENT', 'mean')
  await refuse({ std: 0 }, 'POLYADIC_ARGUMENT', 'std')
  await rejectsError(t, imageFolder(path.join(dir, 'nowhere'), { shape }), 'POLYADIC_IO')
  await rejectsError(t, imageFolder(path.join(dir, 'a'), { shape }), 'POLYADIC_IO')
  await mkdir(path.join(dir, 'c'))
  await rejectsError(t, imageFolder(dir, { shape }), 'POLYADIC_IO', '"c" holds no images')
  const broken = path.join(dir, 'c', 'broken.png')
  await writeFile(broken, 'no image')
  const folder = await imageFolder(dir, { shape })
  await t.rejects(all(folder(1)), { code: 'POLYADIC_FORMAT', subject: broken })
})

t.test('a network is trained from a folder; its classes and shape are checked against the network', async (t) => {
  const dir = t.testdir({})
  const set = bars(60, 1, 0)
  const area = toySize * toySize
  for (let i = 0; i < set.count; i++) {
    const name = path.join(dir, `class${(set.labels as Int32Array)[i]}`)
    await mkdir(name, { recursive: true })
    const pixels = Buffer.from(set.images.subarray(i * area, (i + 1) * area).map((value) => 255 * value))
    await sharp(pixels, { raw: { width: toySize, height: toySize, channels: 1 } })
      .png()
      .toFile(path.join(name, `${i}.png`))
  }
  const options = { shape: [1, toySize, toySize], batchSize: 20 }
  const graph = toyNetwork(1)
  const train = await imageFolder(dir, { ...options, seed: 1 })
  const validation = await imageFolder(dir, options)
  const result = await fineTune(graph, { train, validation, epochs: 8, batchSize: 10, learningRate: 0.05, threads: 1 })
  t.ok(result.best.loss < 0.7 * (result.initial?.loss ?? 0), `${result.initial?.loss} → ${result.best.loss}`)
  t.equal(result.steps, 8 * 6)
  const judged = await evaluate(result.graph, validation)
  t.ok(Math.abs(judged.loss - result.best.loss) < 1e-4)

  const small = await imageFolder(dir, { ...options, shape: [1, 8, 8] })
  await rejectsError(t, fineTune(graph, { train: small, epochs: 1 }), 'POLYADIC_SHAPE', 'train')
  await rejectsError(t, evaluate(graph, small), 'POLYADIC_SHAPE', 'batches')
  await mkdir(path.join(dir, 'other'))
  await sharp(Buffer.alloc(1), { raw: { width: 1, height: 1, channels: 1 } })
    .png()
    .toFile(path.join(dir, 'other', '1.png'))
  const four = await imageFolder(dir, options)
  await rejectsError(t, fineTune(graph, { train: four, epochs: 1 }), 'POLYADIC_ARGUMENT', 'train')
})
