import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { exampleSet, readDataset, readExamples } from '../../lib/formats/dataset.js'
import { writeNpy } from '../../lib/formats/npy.js'
import { floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'

const root = await mkdtemp(path.join(tmpdir(), 'polyadic-'))
t.teardown(() => rm(root, { recursive: true }))

const images = (count: number, size = 2): Tensor =>
  floatTensor(
    Float32Array.from({ length: count * size * size }, (_, i) => i),
    [count, 1, size, size]
  )
const labels = (count: number): Tensor => int64Tensor(Array.from({ length: count }, (_, i) => i % 3))

async function folder(name: string, files: Record<string, Tensor>): Promise<string> {
  const dir = path.join(root, name)
  for (const [file, tensor] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(dir, file)), { recursive: true })
    await writeNpy(path.join(dir, file), tensor)
  }
  return dir
}

t.test('a flat folder: every tenth example is held out', async (t) => {
  const data = await readDataset(await folder('flat', { 'inputs.npy': images(20), 'labels.npy': labels(20) }))
  t.strictSame([data.train.labels.length, data.validation.labels.length, data.test], [18, 2, undefined])
  t.strictSame([...data.validation.inputs.data.subarray(0, 4)], [36, 37, 38, 39])
  t.equal(data.validation.labels[0], 9 % 3)
})

t.test('train, validation and test sub-folders are taken as they are', async (t) => {
  const files: Record<string, Tensor> = {}
  for (const [split, count] of [
    ['train', 5],
    ['validation', 3],
    ['test', 2]
  ] as const) {
    files[`${split}/inputs.npy`] = images(count)
    files[`${split}/labels.npy`] = { dtype: 'uint8', dims: [count], data: new Uint8Array(count) }
  }
  const data = await readDataset(await folder('split', files))
  t.strictSame(
    [data.train, data.validation, data.test].map((part) => part?.labels.length),
    [5, 3, 2]
  )
})

t.test('what is missing or does not fit is named', async (t) => {
  await t.rejects(readDataset(path.join(root, 'nowhere')), { code: 'POLYADIC_IO', message: /nowhere.*does not exist/ })
  await t.rejects(readDataset(await folder('half', { 'inputs.npy': images(20) })), { code: 'POLYADIC_IO', message: 'labels.npy' })
  await t.rejects(readDataset(await folder('count', { 'inputs.npy': images(20), 'labels.npy': labels(19) })), {
    code: 'POLYADIC_SHAPE',
    message: /labels.npy.*20 labels/
  })
  await t.rejects(readDataset(await folder('type', { 'inputs.npy': labels(20), 'labels.npy': labels(20) })), {
    code: 'POLYADIC_SHAPE',
    message: /inputs.npy.*float32/
  })
  await t.rejects(readDataset(await folder('negative', { 'inputs.npy': images(20), 'labels.npy': int64Tensor(Array(20).fill(-1)) })), {
    code: 'POLYADIC_SHAPE',
    message: 'negative'
  })
  const mixed = {
    'train/inputs.npy': images(20),
    'train/labels.npy': labels(20),
    'validation/inputs.npy': images(4, 3),
    'validation/labels.npy': labels(4)
  }
  await t.rejects(readDataset(await folder('mixed', mixed)), { code: 'POLYADIC_SHAPE', message: /validation.*\[1, 2, 2\]/ })
})

t.test('what NumPy makes of numbers by default is taken where it says the same', async (t) => {
  const expected = Int32Array.of(0, 1, 2, 1)
  const kinds: Record<string, Tensor> = {
    int16: { dtype: 'int16', dims: [4], data: Int16Array.from(expected) },
    uint32: { dtype: 'uint32', dims: [4], data: Uint32Array.from(expected) },
    uint64: { dtype: 'uint64', dims: [4], data: BigUint64Array.from(expected, BigInt) },
    float64: { dtype: 'float64', dims: [4], data: Float64Array.from(expected) },
    column: { dtype: 'int64', dims: [4, 1], data: BigInt64Array.from(expected, BigInt) }
  }
  for (const [name, tensor] of Object.entries(kinds)) {
    const part = { 'train/inputs.npy': images(4), 'train/labels.npy': tensor }
    const { train } = await readDataset(
      await folder(`labels-${name}`, { ...part, 'validation/inputs.npy': images(4), 'validation/labels.npy': tensor })
    )
    t.strictSame(train.labels, expected, name)
  }
  const bits = { 'inputs.npy': images(10), 'labels.npy': { dtype: 'bool', dims: [10], data: new Uint8Array(10).fill(1) } as Tensor }
  t.strictSame((await readDataset(await folder('labels-bool', bits))).train.labels, new Int32Array(9).fill(1))
  const doubles = { dtype: 'float64', dims: [10, 1, 2, 2], data: Float64Array.from({ length: 40 }, (_, i) => i / 3) } as Tensor
  const rounded = await readDataset(await folder('doubles', { 'inputs.npy': doubles, 'labels.npy': labels(10) }))
  t.equal(rounded.train.inputs.data[1], Math.fround(1 / 3))
  t.match(rounded.train.origin?.notes, [/doubles\/inputs\.npy": float64, rounded to float32/])
})

t.test('labels that are no class indices say what to do', async (t) => {
  const refused = async (name: string, tensor: Tensor, message: RegExp): Promise<void> => {
    await t.rejects(readDataset(await folder(name, { 'inputs.npy': images(20), 'labels.npy': tensor })), {
      code: 'POLYADIC_SHAPE',
      message
    })
  }
  const hot = Float32Array.from({ length: 60 }, (_, i) => (Math.floor(i / 3) % 3 === i % 3 ? 1 : 0))
  await refused('hot', floatTensor(hot, [20, 3]), /labels\.npy": .*one-hot rows 20×3: save labels\.argmax\(1\)/)
  await refused('wide', floatTensor(new Float32Array(60), [20, 3]), /expected one axis.*targets\.npy/)
  await refused('half', floatTensor(new Float32Array(20).fill(0.5), [20]), /label 0 is 0\.5 \(float32\).*targets\.npy/)
  await refused('huge', { dtype: 'int64', dims: [20], data: new BigInt64Array(20).fill(2n ** 40n) }, /label 0 is 1099511627776/)
  await t.rejects(
    readDataset(
      await folder('bytes', { 'inputs.npy': { dtype: 'uint8', dims: [20, 2, 2, 3], data: new Uint8Array(240) }, 'labels.npy': labels(20) })
    ),
    {
      message: /bytes\/inputs\.npy": .*uint8.*transpose\(0, 3, 1, 2\) \/ 255/
    }
  )
})

t.test('examples of any axes; the set keeps their dims', async (t) => {
  for (const dims of [
    [20, 3],
    [20, 2, 7],
    [20, 2, 3, 2, 2]
  ]) {
    const inputs = floatTensor(new Float32Array(dims.reduce((a, b) => a * b)), dims)
    const { train } = await readExamples(await folder(`rank-${dims.length}`, { 'inputs.npy': inputs, 'labels.npy': labels(20) }))
    t.match(exampleSet(train), { count: 18, dims: dims.slice(1) })
  }
  await t.rejects(
    readExamples(await folder('rank-1', { 'inputs.npy': floatTensor(new Float32Array(20), [20]), 'labels.npy': labels(20) })),
    {
      message: /inputs\.npy": expected examples of one axis or more/
    }
  )
})

t.test('targets of doubles; rows of the file that examples were', async (t) => {
  const targets: Tensor = { dtype: 'float64', dims: [20, 2], data: Float64Array.from({ length: 40 }, (_, i) => i / 7) }
  const { train, validation } = await readExamples(await folder('values', { 'inputs.npy': images(20), 'targets.npy': targets }))
  t.equal(validation.targets?.data[0], Math.fround(18 / 7))
  t.strictSame(validation.origin?.rows, [9, 19])
  t.equal(train.origin?.rows?.length, 18)
  targets.data[25] = Number.NaN
  await t.rejects(readExamples(await folder('nan', { 'inputs.npy': images(20), 'targets.npy': targets })), {
    code: 'POLYADIC_NUMERIC',
    message: /targets\.npy": row 12 holds NaN, expected finite numbers/
  })
})

t.test('val and valid are folders for validation, too; two are one too many', async (t) => {
  for (const name of ['val', 'valid']) {
    const files = {
      'train/inputs.npy': images(5),
      'train/labels.npy': labels(5),
      [`${name}/inputs.npy`]: images(3),
      [`${name}/labels.npy`]: labels(3)
    }
    const { train, validation, validationFrom } = await readDataset(await folder(`split-${name}`, files))
    t.strictSame([train.labels.length, validation.labels.length], [5, 3])
    t.match(validationFrom, new RegExp(`split-${name}/${name}"$`))
  }
  const both = { 'train/inputs.npy': images(5), 'train/labels.npy': labels(5) }
  for (const name of ['val', 'validation']) Object.assign(both, { [`${name}/inputs.npy`]: images(3), [`${name}/labels.npy`]: labels(3) })
  await t.rejects(readDataset(await folder('split-both', both)), { message: /holds validation and val/ })
})
