import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { compress } from '../../lib/replacement/compress.js'
import { type Tensor, elementCount, floatTensor, int64Tensor } from '../../lib/tensor.js'
import { evaluate } from '../../lib/training/evaluate.js'
import { type FineTuneOptions, type FineTuneResult, fineTune } from '../../lib/training/fine-tune.js'
import { initialise } from '../../lib/training/initialise.js'
import { withLogits } from '../../lib/training/network.js'
import { rejectsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'
import { generator } from '../helpers/plan-builder.js'
import { bars, bits, toyClasses, toyNetwork, toySize } from './toy.js'

const train = bars(600, 1)
const validation = bars(205, 2)

async function tune(graph: Graph, options: Partial<FineTuneOptions> = {}): Promise<FineTuneResult> {
  return fineTune(graph, { train, validation, epochs: 12, batchSize: 32, learningRate: 0.1, threads: 1, ...options })
}

t.test('evaluate on the inference plan agrees with validation on the training plan', async (t) => {
  const { graph, best } = await tune(toyNetwork(3), { epochs: 4 })
  const measured = await evaluate(graph, validation)
  t.equal(measured.count, 205)
  t.equal(measured.accuracy, best.accuracy)
  // Two plans with different fusion, float32: the mean loss agrees to 1e-4.
  t.ok(Math.abs(measured.loss - best.loss) < 1e-4, `${measured.loss}, ${best.loss}`)
  const small = await evaluate(
    graph,
    (): Iterable<{ input: Float32Array; target: Int32Array; count: number }> => [
      { input: validation.images, target: validation.labels as Int32Array, count: 205 }
    ],
    { batchSize: 7 }
  )
  t.equal(small.accuracy, measured.accuracy)
  await t.rejects(evaluate(graph, { ...validation, labels: new Int32Array(205).fill(3) }), {
    code: 'POLYADIC_ARGUMENT',
    message: /0 to 2, got 3/
  })
  await t.rejects(
    evaluate(graph, () => []),
    { code: 'POLYADIC_ARGUMENT', message: /at least one example/ }
  )
  await t.rejects(evaluate(graph, validation, { logits: 'nope' }), { code: 'POLYADIC_ARGUMENT', subject: 'logits' })
  const reason = new Error('enough')
  await t.rejects(evaluate(graph, validation, { signal: AbortSignal.abort(reason) }), reason)
})

t.test('compressed layers are fine-tuned back at the dense learning rate', async (t) => {
  const dense = await tune(toyNetwork(3))
  const { graph: small, layers } = await compress(dense.graph, { whenSlower: 'replace', layers: { conv1: 3, conv2: 6 }, seed: 1 })
  t.strictSame(
    layers.map((layer) => layer.form),
    ['first-layer', 'cp4']
  )
  t.ok(layers.every((layer) => layer.macsBefore !== undefined && layer.macsAfter !== undefined))
  t.equal(layers[1]?.macsBefore, 12 * 8 * 9 * 64)
  const tuned = await tune(small, { epochs: 6 })
  t.ok(
    tuned.best.accuracy >= dense.best.accuracy - 0.02,
    `dense ${dense.best.accuracy}, compressed ${tuned.initial?.accuracy}, tuned ${tuned.best.accuracy}`
  )
  t.not(bits(tuned.graph, 'conv2/vertical.weight'), bits(small, 'conv2/vertical.weight'))
  // The toy net's kernels are far larger than real ones for their size: the rate that is right for them is too high at first.
  t.ok(tuned.rollbacks.length <= 2, `${tuned.rollbacks.length} rollbacks`)
})

t.test('a fixed batch, a value inside as logits, frozen by pattern', async (t) => {
  const base = toyNetwork(3)
  const fixed: Graph = { ...base, inputs: [{ name: 'image', dtype: 'float32', dims: [1, 1, toySize, toySize] }] }
  const result = await tune(fixed, { epochs: 2, logits: 'logits', frozen: [/^conv2$/] })
  t.ok(result.steps > 0)
  t.equal(bits(result.graph, 'conv2.weight'), bits(base, 'conv2.weight'))
  t.strictSame(result.graph.inputs, fixed.inputs)
  t.strictSame(result.graph.outputs, fixed.outputs)
  t.equal((await evaluate(result.graph, validation)).accuracy, result.best.accuracy)
})

t.test('the logits of a graph', async (t) => {
  const name = (graph: Graph, logits?: string): string | undefined => withLogits(graph, logits).outputs[0]?.name
  t.equal(name(toyNetwork()), 'logits')
  t.equal(name(toyNetwork(), 'probabilities'), 'logits')
  t.equal(name(toyNetwork(), 'f'), 'f')
  t.throws(() => withLogits(toyNetwork(), 'image'), { code: 'POLYADIC_ARGUMENT' })
})

t.test('open input shapes must be given', async (t) => {
  const open: Graph = { ...toyNetwork(3), inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 1, 'H', null] }] }
  await t.rejects(tune(open), { code: 'POLYADIC_ARGUMENT', subject: 'inputShape' })
  t.ok((await tune(open, { epochs: 1, inputShape: [1, toySize, toySize] })).steps > 0)
  t.equal((await evaluate(open, validation, { inputShape: [1, toySize, toySize] })).count, 205)
  await t.rejects(tune({ ...open, inputs: [...open.inputs, { name: 'other', dtype: 'float32', dims: ['N', 1] }] }), {
    code: 'POLYADIC_UNSUPPORTED',
    message: /image, other/
  })
})

t.test('a network of maxouts, with a matrix product that is stored transposed', async (t) => {
  const zeros = (...dims: number[]): Tensor => floatTensor(new Float32Array(elementCount(dims)), dims)
  const graph = initialise(
    makeGraph({
      inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 1, toySize, toySize] }],
      outputs: [{ name: 'y', dtype: 'float32', dims: ['N', toyClasses] }],
      initializers: new Map<string, Tensor>([
        ['w1', zeros(16, 1, 3, 3)],
        ['b1', zeros(16)],
        ['split', int64Tensor([-1, 8, 2, 8, 8])],
        ['w2', zeros(24, 8, 3, 3)],
        ['b2', zeros(24)],
        ['w3', zeros(12 * 36, toyClasses)],
        ['split2', int64Tensor([-1, 2, 12, 6, 6])]
      ]),
      nodes: [
        makeNode({ name: 'conv1', opType: 'Conv', inputs: ['x', 'w1', 'b1'], outputs: ['c1'] }),
        makeNode({ opType: 'Reshape', inputs: ['c1', 'split'], outputs: ['s1'] }),
        makeNode({ opType: 'ReduceMax', inputs: ['s1'], outputs: ['m1'], attributes: { axes: [2], keepdims: int(0) } }),
        makeNode({ name: 'conv2', opType: 'Conv', inputs: ['m1', 'w2', 'b2'], outputs: ['c2'] }),
        makeNode({ opType: 'Reshape', inputs: ['c2', 'split2'], outputs: ['s2'] }),
        makeNode({ opType: 'ReduceMax', inputs: ['s2'], outputs: ['m2'], attributes: { axes: [1], keepdims: int(0) } }),
        makeNode({ opType: 'Flatten', inputs: ['m2'], outputs: ['f'], attributes: { axis: int(1) } }),
        makeNode({ name: 'fc', opType: 'MatMul', inputs: ['f', 'w3'], outputs: ['y'] })
      ]
    }),
    { seed: 1 }
  )
  const result = await tune(graph, { learningRate: 0.02, epochs: 8 })
  t.ok(result.best.accuracy > 0.95, `accuracy ${result.best.accuracy}`)
  t.equal((await evaluate(result.graph, validation)).accuracy, result.best.accuracy)
})

t.test('weights that are not trained are listed: of another type, or behind nodes that compute from them', async (t) => {
  const b = new NetworkBuilder()
  const random = generator(1)
  const values = (...dims: number[]) => floatTensor(random.normal(elementCount(dims)), dims)
  const doubles = (...dims: number[]): Tensor => ({ ...values(...dims), dtype: 'float64', data: Float64Array.from(values(...dims).data) })
  const x = b.input(['N', 6], 'x')
  const float32 = (name: string) => b.node('Cast', [name], { to: int(1) })
  let y = b.node('MatMul', [x, b.constant(values(6, 5), 'trained')])
  y = b.node('MatMul', [y, float32(b.constant(doubles(5, 5), 'doubles'))])
  y = float32(b.node('MatMul', [b.node('Cast', [y], { to: int(11) }), b.constant(doubles(5, 5), 'wide')]))
  const quantised = b.constant({ dtype: 'int8', dims: [5, 4], data: Int8Array.from({ length: 20 }, (_, i) => i - 9) }, 'quantised')
  y = b.node('MatMul', [y, b.node('DequantizeLinear', [quantised, b.constant(floatTensor(Float32Array.of(0.1), []), 'scale')])])
  y = b.node('MatMul', [y, b.node('Transpose', [b.node('Mul', [b.constant(values(3, 4), 'v'), b.constant(values(3, 1), 'g')])])])
  const graph = b.graph(y)
  const train = { images: random.normal(8 * 6), labels: Int32Array.from({ length: 8 }, (_, i) => i % 3), count: 8 }
  const { untrained, graph: tuned } = await fineTune(graph, { train, epochs: 1, batchSize: 4, threads: 1 })
  t.same(new Set(untrained), new Set(['doubles', 'wide', 'quantised', 'v', 'g']))
  for (const name of graph.initializers.keys()) t.equal(bits(tuned, name) === bits(graph, name), name !== 'trained', name)
})

t.test('a network of another type says which weights are of what type', async (t) => {
  const toy = toyNetwork(1)
  const float64 = <V extends { readonly dtype: Tensor['dtype'] | undefined }>(value: V) => ({ ...value, dtype: 'float64' as const })
  const initializers = new Map(
    [...toy.initializers].map(([name, tensor]) => [name, float64({ ...tensor, data: Float64Array.from(tensor.data as Float32Array) })])
  )
  const graph = { ...toy, initializers, inputs: toy.inputs.map(float64), outputs: toy.outputs.map(float64), valueInfo: [] }
  const run = fineTune(graph, { train: bars(20, 1), epochs: 1, batchSize: 10, threads: 1 })
  await rejectsError(t, run, 'POLYADIC_UNSUPPORTED', '"conv1.weight", ', 'are float64', 'training is in float32')
})
