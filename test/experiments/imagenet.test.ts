import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import t from 'tap'
import { GraphBuilder } from '../../bench/graphs.js'
import { compareMethods } from '../../experiments/imagenet/compare.js'
import { decode, imageBatches, type LabelledFile, listImages, type Preprocessing, thinned } from '../../experiments/imagenet/images.js'
import { float, fineTune, type Graph, initialise, int } from '../../lib/index.js'
import { permutation, random } from '../../lib/random.js'

const classes = 6
const shape = [3, 32, 32] as const
const preprocessing: Preprocessing = { resize: 36, shape, mean: [128, 128, 128], deviation: [64, 64, 64], order: 'bgr' }

/** Stands in for ImageNet: stripes whose direction and colour make the class, in folders as there. */
async function makePictures(folder: string, perClass: number, seed: number): Promise<void> {
  for (let label = 0; label < classes; label++) {
    await mkdir(path.join(folder, `n${label}`), { recursive: true })
    for (let n = 0; n < perClass; n++) {
      const source = random(seed, label * 1000 + n)
      const [width, height] = [40 + Math.floor(20 * source.next()), 40 + Math.floor(20 * source.next())]
      const phase = 6 * source.next()
      const pixels = Buffer.alloc(width * height * 3)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const along = label % 2 === 0 ? x : y
          const wave = 128 + 80 * Math.sin(0.9 * along + phase) + 20 * source.normal()
          pixels[(y * width + x) * 3 + (label >> 1)] = Math.min(255, Math.max(0, wave))
        }
      const file = path.join(folder, `n${label}`, `${n}.${n % 2 === 0 ? 'png' : 'jpg'}`)
      await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(file)
    }
  }
}

/** AlexNet's kind: response normalisation and a second layer of two groups. */
function network(): Graph {
  const b = new GraphBuilder('dense')
  const lrn = { size: int(5), alpha: float(1e-4), beta: float(0.75), bias: float(1) }
  let x = b.node('Relu', [b.convolution('conv1', b.input, { inputs: 3, outputs: 8, kernel: 5, stride: 2, pad: 2 })])
  x = b.node('MaxPool', [b.node('LRN', [x], lrn)], { kernel_shape: [2, 2], strides: [2, 2] })
  x = b.node('Relu', [b.convolution('conv2', x, { inputs: 8, outputs: 16, kernel: 5, pad: 2, groups: 2 })])
  x = b.node('Flatten', [b.node('GlobalAveragePool', [x])], { axis: int(1) })
  return initialise(b.graph('stand-in', b.dense('fc', x, 16, classes), shape, [classes]), { seed: 1 })
}

t.test('a folder of classes, or a list of labels', async (t) => {
  const folder = t.testdir({
    n1: { 'a.png': '', 'notes.txt': '' },
    n0: { 'b.JPEG': '' },
    'val.txt': 'n0/b.JPEG 3\n\nn1/a.png 0\n',
    bad: ''
  })
  t.strictSame(await listImages(folder), [
    { file: path.join(folder, 'n0', 'b.JPEG'), label: 0 },
    { file: path.join(folder, 'n1', 'a.png'), label: 1 }
  ])
  const labelled = await listImages(folder, path.join(folder, 'val.txt'))
  t.strictSame(
    labelled.map(({ label }) => label),
    [3, 0]
  )
  await writeFile(path.join(folder, 'bad'), 'no label\n')
  await t.rejects(listImages(folder, path.join(folder, 'bad')), /expected a file name and a class index, got 'no label'/)
  await t.rejects(listImages(path.join(folder, 'n0')), /one folder a class/)
  t.strictSame(thinned([0, 1, 2, 3, 4, 5], 3), [0, 2, 4])
})

t.test('decoding: the centre, the order of channels, mean and deviation', async (t) => {
  const file = path.join(t.testdir(), 'picture.png')
  // Left half red, right half blue, 80×40: of the 32×32 in the middle each is half.
  const pixels = Buffer.alloc(80 * 40 * 3)
  for (let y = 0; y < 40; y++) for (let x = 0; x < 80; x++) pixels[(y * 80 + x) * 3 + (x < 40 ? 0 : 2)] = 255
  await sharp(pixels, { raw: { width: 80, height: 40, channels: 3 } })
    .png()
    .toFile(file)
  const at = (image: Float32Array, c: number, y: number, x: number): number => image[(c * 32 + y) * 32 + x] as number
  const rgb = await decode(file, { ...preprocessing, order: 'rgb', mean: [10, 20, 30], deviation: [5, 5, 5] })
  t.strictSame([at(rgb, 0, 16, 2), at(rgb, 1, 16, 2), at(rgb, 2, 16, 2)], [49, -4, -6])
  t.strictSame([at(rgb, 0, 16, 29), at(rgb, 2, 16, 29)], [-2, 45])
  const bgr = await decode(file, { ...preprocessing, mean: [0], deviation: [1] })
  t.strictSame([at(bgr, 0, 5, 2), at(bgr, 2, 5, 2)], [0, 255])
  const grey = await decode(file, { ...preprocessing, shape: [1, 32, 32], mean: [0], deviation: [1] })
  t.equal(grey.length, 32 * 32)
})

t.test('NLS, ALS and greedy before and after tuning, end to end', async (t) => {
  const folder = t.testdir()
  const [trainFolder, validationFolder] = [path.join(folder, 'train'), path.join(folder, 'val')]
  await makePictures(trainFolder, 24, 1)
  await makePictures(validationFolder, 10, 2)
  const [train, validation] = [await listImages(trainFolder), await listImages(validationFolder)]
  const shuffled = (epoch: number): LabelledFile[] => [...permutation(train.length, random(1, epoch))].map((i) => train[i] as LabelledFile)
  const dense = await fineTune(network(), {
    train: (epoch: number) => imageBatches(shuffled(epoch), 16, preprocessing),
    stepsPerEpoch: 9,
    epochs: 16,
    batchSize: 16,
    learningRate: 0.02,
    clipNorm: 10,
    threads: 1
  })
  const options = { graph: dense.graph, validation, train, preprocessing, epochs: 2, learningRate: 0.005, batchSize: 16, threads: 1 }
  const { dense: before, methods } = await compareMethods({ ...options, layers: { 'conv2.weight': 6 }, methods: ['nls', 'als', 'greedy'] })
  t.equal(before.count, 60)
  t.ok(before.top1 > 0.8, `the dense network has learned it: ${before.top1}`)
  t.strictSame(
    methods.map(({ method }) => method),
    ['nls', 'als', 'greedy']
  )
  for (const { method, before: untuned, after } of methods) {
    t.ok(after !== undefined && after.count === 60)
    t.ok(untuned.top5 >= untuned.top1 && (after?.top5 ?? 0) >= (after?.top1 ?? 1), `${method}: top-5 holds top-1`)
    t.ok((after?.top1 ?? 0) >= untuned.top1 - 0.05, `${method}: ${untuned.top1} → ${after?.top1}`)
  }
  const error = (index: number): number => Object.values(methods[index]?.errors ?? {})[0] ?? Number.NaN
  t.ok(error(0) < error(2), `NLS meets the weights better than greedy: ${error(0)}, ${error(2)}`)

  const exact = await compareMethods({ ...options, train: [], layers: { 'conv2.weight': 100 }, methods: ['nls'] })
  t.strictSame(exact.methods[0]?.before, before, 'at full rank nothing changes')
  t.notOk('after' in (exact.methods[0] ?? {}))
})

t.test('the command prints the table', async (t) => {
  const main = await readFile(new URL('../../experiments/imagenet/main.ts', import.meta.url), 'utf8')
  for (const [, option] of main.matchAll(/^ {6}'?([a-z-]+)'?: \{ type/gm)) if (option !== 'help') t.match(main, `  --${option}`)
})
