import t from 'tap'
import { createPeer } from '../../bench/onnxruntime.js'
import { gaussian, maxAbsDiff } from '../../bench/harness.js'
import { fixed, kernelDims, matrix, namedFactors } from '../../experiments/spatially-varying/layer.js'
import { deployed, factored, kernelIn, layerParameters, shape, untrained } from '../../experiments/spatially-varying/network.js'
import { decodeOnnx, encodeOnnx, fineTune, floatTensor, type Graph, reconstruct, Session } from '../../lib/index.js'

const count = 3
const input = gaussian(count * 24 * 24, 5)

async function outputOf(graph: Graph): Promise<Float32Array> {
  await using session = await Session.create(graph, { threads: 1 })
  const { [graph.outputs[0]?.name as string]: output } = await session.run({ image: floatTensor(input, [count, 1, 24, 24]) })
  return output?.data as Float32Array
}

async function inOnnxruntime(graph: Graph): Promise<Float32Array> {
  const peer = await createPeer(encodeOnnx(graph), 1)
  const output = await peer.run(input, [count, 1, 24, 24])
  await peer.close()
  return output
}

/** y(t, p) from its definition. */
function direct(x: Float32Array, kernel: Float32Array): Float32Array {
  const { inputs, outputs, kernel: d, side } = shape
  const from = side + d - 1
  const y = new Float32Array(outputs * side * side)
  for (let p = 0; p < side * side; p++)
    for (let out = 0; out < outputs; out++) {
      let sum = 0
      for (let s = 0; s < inputs; s++)
        for (let i = 0; i < d; i++)
          for (let j = 0; j < d; j++)
            sum +=
              (kernel[(((p * outputs + out) * inputs + s) * d + i) * d + j] as number) *
              (x[(s * from + Math.floor(p / side) + i) * from + (p % side) + j] as number)
      y[out * side * side + p] = sum
    }
  return y
}

t.test('what is handed on computes what was trained, here and in onnxruntime', async (t) => {
  for (const kind of ['local', 'factored', 'shared'] as const) {
    const trained = untrained(kind, 3, 5)
    const expected = await outputOf(trained)
    const final = deployed(kind, trained)
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    // Sums of some thousand float32 products in another order.
    t.ok(maxAbsDiff(await outputOf(final), expected) < 1e-5 * scale, kind)
    t.ok(maxAbsDiff(await inOnnxruntime(final), expected) < 1e-5 * scale, `${kind} in onnxruntime`)
  }
})

t.test('the layer is what it says', async (t) => {
  const trained = untrained('local', 4)
  const graph = deployed('local', trained)
  const call = graph.nodes.find(({ opType }) => opType === 'LocallyConnected')
  t.equal(call?.domain, 'polyadic.experiments')
  const within = (name: string): Graph => ({ ...graph, outputs: [{ name, dtype: 'float32', dims: undefined }] })
  const [x, y] = [await outputOf(within(call?.inputs[0] as string)), await outputOf(within(call?.outputs[0] as string))]
  const expected = direct(x, kernelIn(trained).data as Float32Array)
  t.ok(maxAbsDiff(y.subarray(0, expected.length), expected) < 1e-4)
  t.strictSame(decodeOnnx(encodeOnnx(graph)).functions?.size, 1, 'the function is written again')
})

t.test('factors take the place of the kernels they are', async (t) => {
  const rank = 3
  const factors = kernelDims(shape).map((size, n) => matrix(gaussian(size * rank, n + 1), size))
  const local = untrained('local', 2)
  const kernel = reconstruct(factors).data as Float32Array
  const whole: Graph = {
    ...local,
    initializers: new Map(local.initializers).set(
      'local.weight',
      floatTensor(Float32Array.from(kernel), local.initializers.get('local.weight')?.dims ?? [])
    )
  }
  const expected = await outputOf(whole)
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  t.ok(maxAbsDiff(await outputOf(factored(whole, namedFactors(factors))), expected) < 1e-5 * scale)
})

t.test('all six factors are trained, places and ones stay', async (t) => {
  const before = untrained('factored', 1, 4)
  const labels = Int32Array.from({ length: 64 }, (_, i) => i % 36)
  const { graph } = await fineTune(before, {
    train: { images: gaussian(64 * 24 * 24, 9), labels, count: 64 },
    steps: 2,
    batchSize: 32,
    learningRate: 0.01,
    frozen: [fixed],
    threads: 1
  })
  for (const [name, tensor] of before.initializers) {
    const change = maxAbsDiff(graph.initializers.get(name)?.data as Float32Array, tensor.data as Float32Array)
    if (fixed.test(name)) t.equal(change, 0, name)
    else t.ok(change > 0, name)
  }
  t.equal(layerParameters('factored', 4), 4 * (8 + 8 + 32 + 16 + 3 + 3))
  t.equal(layerParameters('local'), 64 * 32 * 16 * 9)
})
