import t from 'tap'
import { createPeer } from '../../bench/onnxruntime.js'
import { decodeBfloat16, decodeFloat16 } from '../../lib/float16.js'
import { compress, compressibleLayers, encodeOnnx, halfWeights, readOnnx, Session } from '../../lib/index.js'
import { floatTensor } from '../../lib/tensor.js'
import { charNet } from '../helpers/charnet.js'
import { throwsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'
import { generator } from '../helpers/plan-builder.js'

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
