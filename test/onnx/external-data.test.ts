import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { decodeOnnx, readOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { decodeModel, encodeModel, errorOf, rawFloats, rejectionOf, smallModel } from '../helpers/onnx-builder.js'

const external = (entries: Record<string, string>, name = 'b') => ({
  name,
  data_type: 1,
  dims: [2],
  data_location: 1,
  external_data: Object.entries(entries).map(([key, value]) => ({ key, value }))
})

const model = (...tensors: object[]) => encodeModel(smallModel({ initializer: tensors }))

/** A folder with a model in it, weights beside it, and a secret outside. */
async function makeFolder(t: Test, ...tensors: object[]): Promise<string> {
  const folder = join(t.testdir(), 'model')
  await mkdir(join(folder, 'sub'), { recursive: true })
  await writeFile(join(folder, 'weights.bin'), Buffer.concat([Buffer.alloc(3), rawFloats(1, -2), rawFloats(3, 4)]))
  await writeFile(join(folder, 'sub', 'more.bin'), rawFloats(5, 6))
  await writeFile(join(folder, '..', 'secret.bin'), rawFloats(7, 8))
  await writeFile(join(folder, 'model.onnx'), model(...tensors))
  return folder
}

t.test('data in other files is read, and written into the model', async (t) => {
  const folder = await makeFolder(
    t,
    external({ location: 'weights.bin', offset: '3', length: '8' }),
    external({ location: './weights.bin', offset: '11' }, 'c'),
    external({ location: 'sub/more.bin' }, 'd')
  )
  const graph = await readOnnx(join(folder, 'model.onnx'))
  t.same(
    [...graph.initializers.values()].map(({ data }) => [...data]),
    [
      [1, -2],
      [3, 4],
      [5, 6]
    ]
  )
  const written = decodeModel(encodeOnnx(graph)) as { graph: { initializer: object[] } }
  t.same(written.graph.initializer[0], { name: 'b', data_type: 1, dims: ['2'], raw_data: [...rawFloats(1, -2)] })
})

t.test('attributes may have external data as well', async (t) => {
  const folder = await makeFolder(t)
  const node = [
    { op_type: 'Constant', output: ['y'], attribute: [{ name: 'value', type: 4, t: external({ location: 'sub/more.bin' }, '') }] }
  ]
  await writeFile(join(folder, 'model.onnx'), encodeModel(smallModel({ node })))
  const graph = await readOnnx(join(folder, 'model.onnx'))
  t.match(graph.nodes[0]?.attributes.get('value'), { kind: 'tensor', value: { data: Float32Array.of(5, 6) } })
})

t.test('a tensor whose data is here ignores external entries and keeps them', async (t) => {
  const bytes = model({ name: 'b', data_type: 1, dims: [2], raw_data: rawFloats(1, 2), external_data: [{ key: 'location', value: '/x' }] })
  t.same(decodeModel(encodeOnnx(decodeOnnx(bytes))), decodeModel(bytes))
})

t.test('nothing outside of the folder is read', async (t) => {
  for (const location of [
    '../secret.bin',
    'sub/../../secret.bin',
    '/etc/passwd',
    'C:\\x',
    'c:x',
    '\\\\host\\x',
    '..\\secret.bin',
    '',
    'a\0b'
  ]) {
    const folder = await makeFolder(t, external({ location }))
    const error = await rejectionOf(readOnnx(join(folder, 'model.onnx')))
    t.match(
      error,
      { code: 'POLYADIC_FORMAT', subject: 'b', message: /tensor "b": external data: location .* is not a path inside/ },
      location
    )
  }
})

t.test('a cache of links to files that lie side by side elsewhere, as the Hugging Face hub makes it', async (t) => {
  const root = t.testdir({ blobs: {}, snapshots: { one: { onnx: {} } }, secret: '12345678' })
  const [blobs, snapshot] = [join(root, 'blobs'), join(root, 'snapshots', 'one', 'onnx')]
  await writeFile(join(blobs, 'a1'), model(external({ location: 'model.onnx_data' })))
  await writeFile(join(blobs, 'b2'), rawFloats(3, 4))
  await symlink(join('..', '..', '..', 'blobs', 'a1'), join(snapshot, 'model.onnx'))
  await symlink(join('..', '..', '..', 'blobs', 'b2'), join(snapshot, 'model.onnx_data'))
  t.same((await readOnnx(join(snapshot, 'model.onnx'))).initializers.get('b')?.data, Float32Array.of(3, 4))
  await writeFile(join(blobs, 'a1'), model(external({ location: 'other' })))
  await symlink(join('..', '..', '..', 'secret'), join(snapshot, 'other'))
  t.match(await rejectionOf(readOnnx(join(snapshot, 'model.onnx'))), {
    code: 'POLYADIC_FORMAT',
    message: /leads out.*a copy or a hard link/
  })
})

t.test('symbolic links out of the folder are refused, those within are followed', async (t) => {
  const folder = await makeFolder(t, external({ location: 'link.bin' }))
  await symlink(join('..', 'secret.bin'), join(folder, 'link.bin'))
  t.match(await rejectionOf(readOnnx(join(folder, 'model.onnx'))), { code: 'POLYADIC_FORMAT', message: /leads out of the model's folder/ })
  await symlink('..', join(folder, 'up'))
  await writeFile(join(folder, 'model.onnx'), model(external({ location: 'up/secret.bin' })))
  t.match(await rejectionOf(readOnnx(join(folder, 'model.onnx'))), { code: 'POLYADIC_FORMAT', message: /leads out/ })
  await symlink(join('sub', 'more.bin'), join(folder, 'inner.bin'))
  await writeFile(join(folder, 'model.onnx'), model(external({ location: 'inner.bin' })))
  t.same((await readOnnx(join(folder, 'model.onnx'))).initializers.get('b')?.data, Float32Array.of(5, 6))
})

t.test('wrong numbers and missing files name the tensor', async (t) => {
  const cases: [Record<string, string>, string, RegExp][] = [
    [{ location: 'weights.bin', offset: '12' }, 'POLYADIC_FORMAT', /bytes 12 to 20 are past the end of "weights.bin" \(19 bytes\)/],
    [{ location: 'weights.bin', length: '9' }, 'POLYADIC_FORMAT', /length: expected 8 bytes/],
    [{ location: 'weights.bin', offset: '-1' }, 'POLYADIC_FORMAT', /offset "-1" is not/],
    [{ location: 'weights.bin', offset: '1e3' }, 'POLYADIC_FORMAT', /offset "1e3" is not/],
    [{ location: 'none.bin' }, 'POLYADIC_IO', /cannot read "none.bin"/],
    [{ location: 'sub' }, 'POLYADIC_FORMAT', /"sub" is not a file/]
  ]
  for (const [entries, code, message] of cases) {
    const folder = await makeFolder(t, external(entries))
    t.match(await rejectionOf(readOnnx(join(folder, 'model.onnx'))), { code, subject: 'b', message })
  }
})

t.test('a claim of terabytes is refused before memory is taken', async (t) => {
  const folder = await makeFolder(t, { ...external({ location: 'weights.bin' }), dims: [1e6, 1e6] })
  t.match(await rejectionOf(readOnnx(join(folder, 'model.onnx'))), { code: 'POLYADIC_FORMAT', message: /past the end/ })
})

t.test('bytes alone do not give external data', async (t) => {
  const error = errorOf(() => decodeOnnx(model(external({ location: 'weights.bin' }))))
  t.match(error, { code: 'POLYADIC_UNSUPPORTED', subject: 'b', message: /tensor "b": .*read the model from its path/ })
  t.match(
    errorOf(() => decodeOnnx(model({ ...external({ location: 'w' }), data_type: 17 }))),
    { code: 'POLYADIC_UNSUPPORTED', subject: 'b' }
  )
})
