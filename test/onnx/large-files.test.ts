import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import t from 'tap'
import { decodeOnnx, readOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx, writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { float, int, NetworkBuilder } from '../helpers/network-builder.js'
import { decodeModel, encodeModel, type Message, rejectionOf, smallModel } from '../helpers/onnx-builder.js'

const bytesOf = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff)

/** Large tensors wherever a file may have them: initializers of several types and alignments, a constant, ones that are only carried. */
function largeModel(): Message {
  const large = (name: string, data_type: number, bytes: number, width: number, seed: number): Message => ({
    name,
    data_type,
    dims: [bytes / width],
    raw_data: bytesOf(bytes, seed)
  })
  return smallModel(
    {
      node: [
        { name: 'constant', op_type: 'Constant', output: ['k'], attribute: [{ name: 'value', type: 4, t: large('', 1, 400_000, 4, 1) }] },
        // A type that says something else than the field: carried as it is.
        {
          name: 'odd',
          op_type: 'Odd',
          domain: 'other',
          output: ['o'],
          attribute: [{ name: 'value', type: 5, t: large('', 1, 80_000, 4, 2) }]
        },
        { name: 'add', op_type: 'Add', input: ['x', 'b'], output: ['s'] },
        { name: 'relu', op_type: 'Relu', input: ['s'], output: ['y'] }
      ],
      initializer: [
        { name: 'b', data_type: 1, dims: [2], raw_data: bytesOf(8, 0) },
        large('an-odd-name', 1, 700_000, 4, 3),
        large('doubles', 11, 160_000, 8, 4),
        large('bytes', 2, 70_001, 1, 5),
        large('float8', 17, 90_000, 1, 6),
        large('small', 1, 4000, 4, 7),
        large('longs', 7, 240_000, 8, 8)
      ]
    },
    { metadata_props: [{ key: 'after', value: 'the graph' }] }
  )
}

t.test('a large file gives what its bytes give, and is written back the same', async (t) => {
  const path = join(t.testdir(), 'm.onnx')
  const bytes = encodeModel(largeModel())
  t.ok(bytes.length > 1.5e6)
  await writeFile(path, bytes)
  const graph = await readOnnx(path)
  const other = decodeOnnx(bytes)
  for (const [name, tensor] of other.initializers) t.strictSame(graph.initializers.get(name), tensor, name)
  t.strictSame(graph.nodes[0]?.attributes.get('value'), other.nodes[0]?.attributes.get('value'))
  t.ok(Buffer.from(encodeOnnx(graph)).equals(Buffer.from(encodeOnnx(other))), 'what is only carried is there too')
  t.strictSame(decodeModel(encodeOnnx(graph)), decodeModel(bytes))
})

t.test('a large file that is cut off or does not fit its dims is an error that names the place', async (t) => {
  const path = join(t.testdir(), 'm.onnx')
  const bytes = encodeModel(largeModel())
  for (const length of [bytes.length - 1, bytes.length - 240_005, 1_100_000, 500_000]) {
    await writeFile(path, bytes.subarray(0, length))
    t.equal((await rejectionOf(readOnnx(path))).code, 'POLYADIC_FORMAT', `${length} bytes`)
  }
  const wrong = encodeModel(
    smallModel({
      initializer: [
        { name: 'b', data_type: 1, dims: [2], raw_data: bytesOf(8, 0) },
        { name: 'w', data_type: 1, dims: [9], raw_data: bytesOf(2_000_000, 1) }
      ]
    })
  )
  await writeFile(path, wrong)
  t.match(await rejectionOf(readOnnx(path)), { code: 'POLYADIC_FORMAT', message: /raw_data: expected 36 bytes .* got 2000000/ })
})

function network(seed = 1): ReturnType<NetworkBuilder['graph']> {
  const builder = new NetworkBuilder(17, seed)
  const x = builder.input(['N', 3, 8, 8])
  const maps = builder.node('LeakyRelu', [builder.conv(x, [16, 3, 3, 3])], { alpha: float(0.1) })
  const flat = builder.node('Flatten', [maps], { axis: int(1) })
  return builder.graph(builder.node('Gemm', [flat, builder.weight(16 * 36, 10), builder.weight(10)]))
}

async function run(model: string | Uint8Array, output: string): Promise<number[]> {
  const options = { intraOpNumThreads: 1 }
  const session =
    typeof model === 'string' ? await ort.InferenceSession.create(model, options) : await ort.InferenceSession.create(model, options)
  const results = await session.run({
    x0: new ort.Tensor(
      'float32',
      Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
      [1, 3, 8, 8]
    )
  })
  await session.release()
  return Array.from(results[output]?.data as Float32Array)
}

t.test('tensor data in a file beside the model: onnxruntime and the reader find it', async (t) => {
  const folder = t.testdir()
  const graph = network()
  const output = graph.outputs[0]?.name as string
  const path = join(folder, 'm.onnx')
  await writeOnnx(graph, path, { externalData: 'always' })
  t.strictSame((await readdir(folder)).sort(), ['m.onnx', 'm.onnx.data'])
  t.ok((await readFile(path)).length < 2000, 'the model itself is small')
  t.strictSame(await run(path, output), await run(encodeOnnx(graph), output))
  const again = await readOnnx(path)
  for (const [name, tensor] of graph.initializers) t.strictSame(again.initializers.get(name), tensor, name)
  const written = decodeModel(await readFile(path)) as { graph: { initializer: Message[] } }
  for (const tensor of written.graph.initializer.filter((one) => one.data_location === 1)) {
    const entries = new Map((tensor.external_data as { key: string; value: string }[]).map(({ key, value }) => [key, value]))
    t.equal(entries.get('location'), 'm.onnx.data')
    t.equal(Number(entries.get('offset')) % 4096, 0, 'offsets are pages')
  }
  // Read and written without saying anything, it is one file again.
  await writeOnnx(again, join(folder, 'one.onnx'))
  t.strictSame((await readdir(folder)).sort(), ['m.onnx', 'm.onnx.data', 'one.onnx'])
  t.strictSame(await run(join(folder, 'one.onnx'), output), await run(path, output))
})

t.test('a model with a data file is replaced as a whole: the old data goes when the new model is there', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'm.onnx')
  for (const [seed, file] of [
    [1, 'm.onnx.data'],
    [2, 'm.onnx.1.data'],
    [3, 'm.onnx.data']
  ] as const) {
    await writeOnnx(network(seed), path, { externalData: 'always' })
    t.strictSame((await readdir(folder)).sort(), [file, 'm.onnx'].sort())
    t.strictSame((await readOnnx(path)).initializers.get('w0'), network(seed).initializers.get('w0'))
  }
  // Nothing can be written where a folder is: what was there stays, and nothing is left behind.
  const blocked = join(folder, 'blocked.onnx')
  await mkdir(join(blocked, 'inside'), { recursive: true })
  t.equal((await rejectionOf(writeOnnx(network(), blocked, { externalData: 'always' }))).code, 'POLYADIC_IO')
  t.strictSame((await readdir(folder)).sort(), ['blocked.onnx', 'm.onnx', 'm.onnx.data'])
  t.match(await rejectionOf(writeOnnx(network(), path, { externalData: 'maybe' as 'auto' })), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'externalData'
  })
})

t.test('more than 2 GiB: refused as bytes and on request', async (t) => {
  // The same 600 MB four times: memory is taken once.
  const data = new Float32Array(150e6)
  const base = network()
  const initializers = new Map([...base.initializers, ...['p', 'q', 'r', 's'].map((name) => [name, floatTensor(data, [150e6])] as const)])
  const graph = { ...base, initializers }
  const path = join(t.testdir(), 'm.onnx')
  t.match(await rejectionOf(writeOnnx(graph, path, { externalData: 'never' })), {
    code: 'POLYADIC_UNSUPPORTED',
    message: /at most 2147483647/
  })
  t.throws(() => encodeOnnx(graph), { code: 'POLYADIC_UNSUPPORTED' })
})
