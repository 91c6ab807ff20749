import t from 'tap'
import { createPeer } from '../../bench/onnxruntime.js'
import { decodeBfloat16, decodeFloat16 } from '../../lib/float16.js'
import {
  compress,
  compressibleLayers,
  decodeOnnx,
  encodeOnnx,
  fineTune,
  halfWeights,
  initialise,
  readOnnx,
  Session
} from '../../lib/index.js'
import { fullWeights } from '../../lib/replacement/half-weights.js'
import { floatTensor } from '../../lib/tensor.js'
import { charNet } from '../helpers/charnet.js'
import { rejectsError, throwsError } from '../helpers/expect-error.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { generator } from '../helpers/plan-builder.js'
import { bars, bits, toyNetwork } from '../training/toy.js'

const decoders = { bfloat16: decodeBfloat16, float16: decodeFloat16 }
const input = floatTensor(generator(1).normal(2 * 576), [2, 1, 24, 24])

for (const type of ['bfloat16', 'float16'] as const) {
  t.test(`${type} weights: half the file, the same network in any runtime`, async (t) => {
    const graph = charNet()
    const half = halfWeights(graph, type)
    const bytes = encodeOnnx(half)
    t.ok(bytes.length < 0.51 * encodeOnnx(graph).length, `${bytes.length} bytes`)
    const read = await readOnnx(bytes)
    const stored = [...read.initializers.values()].filter(({ dtype }) => dtype === type)
    t.equal(stored.length, 4)
    // As if the weights had been rounded in float32.
    const rounded = new Map(graph.initializers)
    for (const [name, tensor] of read.initializers)
      if (tensor.dtype === type)
        rounded.set(
          name.slice(0, -type.length - 1),
          floatTensor(Float32Array.from(tensor.data as Uint16Array, decoders[type]), tensor.dims)
        )
    await using expected = await Session.create({ ...graph, initializers: rounded })
    await using session = await Session.create(read)
    const [want, got] = [Object.values(await expected.run(input))[0], Object.values(await session.run(input))[0]]
    t.same(got, want)
    const peer = await createPeer(bytes, 1)
    const theirs = await peer.run(input.data as Float32Array, input.dims)
    await peer.close()
    const worst = theirs.reduce((largest, v, i) => Math.max(largest, Math.abs(v - Number(want?.data[i]))), 0)
    t.ok(worst < 1e-5, `onnxruntime: ${worst}`)
    const [, layer] = compressibleLayers(read)
    const small = await compress(read, { layers: { [layer?.name as string]: 8 }, maxIterations: 2, whenSlower: 'replace' })
    t.equal(small.layers[0]?.rank, 8, 'a layer behind a Cast can be decomposed')
  })
}

t.test('a session in bf16 is the same with bfloat16 weights, and the graph it was made of is not changed', async (t) => {
  const graph = charNet()
  const before = encodeOnnx(graph)
  await using plain = await Session.create(graph, { precision: 'bf16' })
  const expected = await plain.run(input)
  t.ok(Buffer.from(encodeOnnx(graph)).equals(before))
  if (plain.describe().precision === 'bf16') {
    await using stored = await Session.create(halfWeights(graph, 'bfloat16'), { precision: 'bf16' })
    t.same(await stored.run(input), expected)
  }
})

t.test('names that are taken, shared weights, outputs and what is no weight', async (t) => {
  const b = new NetworkBuilder()
  const weight = b.constant(floatTensor(Float32Array.of(1, 2, 3, 4), [2, 2]), 'w')
  b.constant(floatTensor(Float32Array.of(1), [1]), 'w.bfloat16')
  const shown = b.constant(floatTensor(Float32Array.of(1, 2, 3, 4), [2, 2]), 'shown')
  const x = b.node('MatMul', [b.node('MatMul', [b.node('MatMul', [b.input([3, 2]), weight]), weight]), shown])
  const half = halfWeights(b.graph(b.node('Add', [x, 'w.bfloat16']), shown), 'bfloat16')
  t.same(new Set(half.initializers.keys()), new Set(['w.bfloat16', 'shown', 'w.bfloat162']))
  t.equal(half.nodes.filter(({ opType }) => opType === 'Cast').length, 1)
})

t.test('what cannot be', async (t) => {
  const b = new NetworkBuilder(12)
  const graph = b.graph(b.node('MatMul', [b.input([3, 2]), b.constant(floatTensor(Float32Array.of(1, 1e5), [2, 1]), 'big')]))
  throwsError(t, () => halfWeights(graph, 'bfloat16'), 'POLYADIC_UNSUPPORTED', 'opset 13', '12')
  throwsError(t, () => halfWeights(graph, 'float16'), 'POLYADIC_UNSUPPORTED', '"big"', '100000')
  throwsError(t, () => halfWeights(graph, 'float8' as 'float16'), 'POLYADIC_ARGUMENT', 'type', 'float8')
})

t.test('a network with half weights is tuned as the one with the same weights in float32', async (t) => {
  const rate = { train: bars(120, 1), validation: bars(60, 2), epochs: 2, batchSize: 20, learningRate: 0.02, threads: 1 }
  for (const type of ['bfloat16', 'float16'] as const) {
    const half = halfWeights(toyNetwork(1), type)
    const read = await readOnnx(encodeOnnx(half))
    const rounded = new Map(toyNetwork(1).initializers)
    for (const [name, { dims, data, dtype }] of half.initializers)
      if (dtype === type)
        rounded.set(name.slice(0, -type.length - 1), floatTensor(Float32Array.from(data as Uint16Array, decoders[type]), dims))
    const expected = await fineTune({ ...toyNetwork(1), initializers: rounded }, rate)
    const tuned = await fineTune(read, rate)
    t.equal(tuned.best.loss, expected.best.loss)
    t.strictSame(new Set(tuned.graph.initializers.keys()), new Set(rounded.keys()), 'there is no half weight left')
    for (const name of rounded.keys()) t.equal(bits(tuned.graph, name), bits(expected.graph, name), name)
    t.notOk(tuned.graph.nodes.some(({ opType }) => opType === 'Cast'))
    t.ok(decodeOnnx(encodeOnnx(tuned.graph)))
    t.ok(
      read.nodes.some(({ opType }) => opType === 'Cast'),
      'the graph given is as it was'
    )
    const fresh = initialise(read, { seed: 3 })
    for (const name of rounded.keys()) t.equal(bits(fresh, name), bits(initialise(toyNetwork(1), { seed: 3 }), name), name)
  }
})

t.test('a half weight that something else reads stays beside its float32 copy', async (t) => {
  const b = new NetworkBuilder()
  const stored = b.constant({ dtype: 'float16', dims: [2, 2], data: Uint16Array.of(0x3c00, 0, 0, 0x3c00) }, 'w16')
  const cast = (): string => b.node('Cast', [stored], { to: int(1) })
  const product = b.node('MatMul', [b.input([3, 2]), cast()])
  const full = fullWeights(b.graph(product, b.node('Identity', [stored])))
  t.same(new Set(full.initializers.keys()), new Set(['w16', full.nodes.find(({ opType }) => opType === 'MatMul')?.inputs[1]]))
  const plain = toyNetwork(1)
  t.equal(fullWeights(plain), plain)
})

t.test('a network without any float32 weights says so', async (t) => {
  const b = new NetworkBuilder()
  const weight = b.constant({ dtype: 'float64', dims: [2, 2], data: Float64Array.of(1, 0, 0, 1) })
  const graph = b.graph(b.node('MatMul', [b.input(['n', 2]), b.node('Cast', [weight], { to: int(1) })]))
  const train = { images: new Float32Array(8), labels: new Int32Array(4), count: 4 }
  await rejectsError(t, fineTune(graph, { train, epochs: 1, batchSize: 2 }), 'POLYADIC_UNSUPPORTED', 'no float32 weights')
})
