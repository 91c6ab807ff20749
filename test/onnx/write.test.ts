import { chmod, lstat, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeFileAtomically } from '../../lib/formats/atomic-write.js'
import { decodeOnnx, readOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx, writeOnnx } from '../../lib/onnx/write.js'
import { encodeModel, rejectionOf, smallModel } from '../helpers/onnx-builder.js'

const graph = decodeOnnx(encodeModel(smallModel()))

t.test('a model is written and read again', async (t) => {
  const path = join(t.testdir(), 'm.onnx')
  await writeOnnx(graph, path)
  t.same(new Uint8Array(await readFile(path)), encodeOnnx(graph))
  t.equal((await readOnnx(path)).name, 'small')
  await writeOnnx({ ...graph, name: 'again' }, path)
  t.equal((await readOnnx(path)).name, 'again')
  t.same(await readdir(join(path, '..')), ['m.onnx'])
})

t.test('a model may replace the file that its tensors are views of', async (t) => {
  const path = join(t.testdir(), 'm.onnx')
  await writeOnnx(graph, path)
  const read = await readOnnx(path)
  await writeOnnx(read, path)
  t.same((await readOnnx(path)).initializers.get('b'), graph.initializers.get('b'))
})

t.test('a graph that cannot be written leaves the old file', async (t) => {
  const path = join(t.testdir({ 'm.onnx': 'old' }), 'm.onnx')
  t.equal((await rejectionOf(writeOnnx({ ...graph, nodes: [] }, path))).code, 'POLYADIC_GRAPH')
  t.equal(await readFile(path, 'utf8'), 'old')
})

t.test('a failure half-way leaves the old file and no other', async (t) => {
  const folder = t.testdir({ file: 'old' })
  const chunks = function* (): Generator<Uint8Array> {
    yield new Uint8Array(100_000)
    throw new Error('disk full')
  }
  const error = await rejectionOf(writeFileAtomically(join(folder, 'file'), chunks()))
  t.match(error, { code: 'POLYADIC_IO', subject: join(folder, 'file'), message: /cannot be written: disk full/ })
  t.equal(await readFile(join(folder, 'file'), 'utf8'), 'old')
  t.same(await readdir(folder), ['file'])
})

t.test('a place that cannot be written to is POLYADIC_IO', async (t) => {
  const folder = t.testdir()
  await mkdir(join(folder, 'taken'))
  t.equal((await rejectionOf(writeOnnx(graph, join(folder, 'none', 'm.onnx')))).code, 'POLYADIC_IO')
  t.equal((await rejectionOf(writeOnnx(graph, join(folder, 'taken')))).code, 'POLYADIC_IO')
  t.same(await readdir(folder), ['taken'])
  t.equal((await rejectionOf(writeOnnx(graph, ''))).code, 'POLYADIC_ARGUMENT')
})

t.test('links stay links and permissions stay', { skip: process.platform === 'win32' }, async (t) => {
  const folder = t.testdir({ 'real.onnx': 'old' })
  await chmod(join(folder, 'real.onnx'), 0o640)
  await symlink('real.onnx', join(folder, 'link.onnx'))
  await writeOnnx(graph, join(folder, 'link.onnx'))
  t.ok((await lstat(join(folder, 'link.onnx'))).isSymbolicLink())
  t.equal((await stat(join(folder, 'real.onnx'))).mode & 0o777, 0o640)
  t.equal((await readOnnx(join(folder, 'real.onnx'))).name, 'small')
})

t.test('many writers at once leave one whole file', async (t) => {
  const path = join(t.testdir(), 'm.onnx')
  await writeFile(path, 'old')
  await Promise.all(Array.from({ length: 8 }, (_, i) => writeOnnx({ ...graph, name: `n${i}` }, path)))
  t.match((await readOnnx(path)).name, /^n\d$/)
  t.same(await readdir(join(path, '..')), ['m.onnx'])
})
