import { readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { writeFileAtomically } from '../lib/formats/atomic-write.js'
import {
  encodeNpy,
  encodeNpz,
  encodeOnnx,
  floatTensor,
  imageFolder,
  readDataset,
  readNpy,
  readNpz,
  readOnnx,
  Session,
  writeNpy,
  writeNpz,
  writeOnnx
} from '../lib/index.js'
import { NetworkBuilder } from './helpers/network-builder.js'

// What reads and writes files, or makes a session: an abort rejects with its reason, and leaves nothing half done.

const b = new NetworkBuilder()
const graph = b.graph(b.node('MatMul', [b.input([1, 600], 'x'), b.weight(600, 600)]))
const tensor = floatTensor(new Float32Array(100), [10, 1, 2, 5])
const labels = { dtype: 'int32', dims: [10], data: new Int32Array(10) } as const
const old = 'what was there'

const folder = t.testdir({
  'model.onnx': Buffer.from(encodeOnnx(graph)),
  'a.npy': Buffer.from(encodeNpy(tensor)),
  'a.npz': Buffer.from(encodeNpz({ tensor })),
  data: { 'inputs.npy': Buffer.from(encodeNpy(tensor)), 'labels.npy': Buffer.from(encodeNpy(labels)) },
  images: { cat: { '1.png': '' } },
  out: { file: old }
})
const file = (...names: string[]): string => path.join(folder, ...names)
const out = file('out', 'file')

const calls: Readonly<Record<string, (options: { signal: AbortSignal }) => Promise<unknown>>> = {
  readOnnx: (options) => readOnnx(file('model.onnx'), options),
  writeOnnx: (options) => writeOnnx(graph, out, options),
  'writeOnnx with external data': (options) => writeOnnx(graph, out, { ...options, externalData: 'always' }),
  readNpy: (options) => readNpy(file('a.npy'), options),
  writeNpy: (options) => writeNpy(out, tensor, options),
  readNpz: (options) => readNpz(file('a.npz'), options),
  writeNpz: (options) => writeNpz(out, { tensor }, options),
  readDataset: (options) => readDataset(file('data'), options),
  imageFolder: (options) => imageFolder(file('images'), { ...options, shape: [1, 2, 2], decode: async () => new Uint8Array(4) }),
  'Session.create': (options) => Session.create(graph, options)
}

for (const [name, call] of Object.entries(calls)) {
  t.test(name, async (t) => {
    const reason = { because: name }
    t.equal(await call({ signal: AbortSignal.abort(reason) }).catch((error: unknown) => error), reason, 'aborted before')
    const stop = new AbortController()
    const work = call({ signal: stop.signal })
    stop.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason, 'aborted meanwhile')
    t.equal(await readFile(out, 'utf8'), old, 'the old file is there')
    t.strictSame(await readdir(file('out')), ['file'], 'and no other')
    t.ok(await call({ signal: new AbortController().signal }).then(() => true), 'not aborted')
    for (const other of await readdir(file('out'))) await unlink(file('out', other))
    await writeFile(out, old)
  })
}

t.test('an abort between two pieces of a file, and after the last', async (t) => {
  const target = path.join(t.testdir({ file: old }), 'file')
  for (const pieces of [1, 2]) {
    const stop = new AbortController()
    const chunks = function* (): Generator<Uint8Array> {
      for (let i = 0; i < pieces; i++) yield new Uint8Array(8)
      stop.abort('enough')
      if (pieces === 2) yield new Uint8Array(8)
    }
    t.equal(await writeFileAtomically(target, chunks(), stop.signal).catch((error: unknown) => error), 'enough')
    t.equal(await readFile(target, 'utf8'), old)
    t.strictSame(await readdir(path.dirname(target)), ['file'])
  }
})
