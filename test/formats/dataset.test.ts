import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { readDataset } from '../../lib/formats/dataset.js'
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
