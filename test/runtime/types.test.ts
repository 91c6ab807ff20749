import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { compile } from '../../lib/runtime/compile.js'
import { Session } from '../../lib/runtime/session.js'
import { type DataType, floatTensor, fromFloat32, int64Tensor, type Tensor, toFloat32 } from '../../lib/tensor.js'
import { rejectsError, throwsError } from '../helpers/expect-error.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'

/** A graph whose inputs have the types given. */
function typed(types: readonly DataType[], build: (b: NetworkBuilder, inputs: readonly string[]) => string | string[], opset = 17): Graph {
  const b = new NetworkBuilder(opset)
  const names = types.map(() => b.input(['n']))
  const graph = b.graph(...[build(b, names)].flat())
  return { ...graph, inputs: graph.inputs.map((info, i) => ({ ...info, dtype: types[i] as DataType })) }
}

async function run(graph: Graph, ...tensors: readonly Tensor[]): Promise<Tensor> {
  await using session = await Session.create(graph)
  const results = await session.run(Object.fromEntries(graph.inputs.map(({ name }, i) => [name, tensors[i] as Tensor])))
  return Object.values(results)[0] as Tensor
}

void t.test('integers', async (t) => {
  const quotient = typed(['int64', 'int64'], (b, [x = '', y = '']) => b.node('Div', [x, y]))
  t.same(await run(quotient, int64Tensor([7, -7, 9]), int64Tensor([2, 2, -4])), int64Tensor([3, -3, -2]), 'division truncates')
  const bytes: Tensor = { dtype: 'uint8', dims: [3], data: Uint8Array.of(250, 3, 255) }
  const sum = typed(['uint8', 'uint8'], (b, [x = '', y = '']) => b.node('Add', [x, y]))
  t.same((await run(sum, bytes, { ...bytes, data: Uint8Array.of(10, 1, 255) })).data, Uint8Array.of(4, 4, 254), '8 bits wrap around')
  const product = typed(['int32', 'int32'], (b, [x = '', y = '']) => b.node('Mul', [x, y]))
  const large: Tensor = { dtype: 'int32', dims: [2], data: Int32Array.of(5000, 4097) }
  t.same((await run(product, large, { ...large, data: Int32Array.of(2, 4096) })).data, Int32Array.of(10000, 4097 * 4096))
  await rejectsError(t, run(product, large, large), 'POLYADIC_NUMERIC', 'multiply of integers', '24 bits')
  await rejectsError(t, run(quotient, int64Tensor([1]), int64Tensor([0])), 'POLYADIC_NUMERIC', 'division by zero')
  await rejectsError(
    t,
    run(quotient, int64Tensor([16777217]), int64Tensor([1])),
    'POLYADIC_UNSUPPORTED',
    '16777217',
    'not exact in float32'
  )
})

void t.test('booleans and comparisons', async (t) => {
  const graph = typed(['float32', 'bool'], (b, [x = '', y = '']) =>
    b.node('And', [b.node('Greater', [x, b.scalar(0)]), b.node('Not', [y])])
  )
  const result = await run(graph, floatTensor(Float32Array.of(1, -1, 2, NaN), [4]), {
    dtype: 'bool',
    dims: [4],
    data: Uint8Array.of(0, 0, 1, 0)
  })
  t.same(result, { dtype: 'bool', dims: [4], data: Uint8Array.of(1, 0, 0, 0) })
  const where = typed(['bool', 'int32', 'int32'], (b, [c = '', x = '', y = '']) => b.node('Where', [c, x, y]))
  const numbers = (...values: number[]): Tensor => ({ dtype: 'int32', dims: [values.length], data: Int32Array.from(values) })
  t.same(await run(where, { dtype: 'bool', dims: [2], data: Uint8Array.of(1, 0) }, numbers(1, 2), numbers(3, 4)), numbers(1, 4))
})

void t.test('16-bit floats at the borders', async (t) => {
  for (const dtype of ['float16', 'bfloat16'] as const) {
    const graph = typed([dtype], (b, [x = '']) => b.node('Relu', [x]))
    const data = fromFloat32(Float32Array.of(-1, 0.5, 3, Infinity), [4], dtype)
    t.same(await run(graph, data), { ...data, data: fromFloat32(Float32Array.of(0, 0.5, 3, Infinity), [4], dtype).data })
  }
  const weights = fromFloat32(
    Float32Array.from({ length: 12 }, (_, i) => i / 8),
    [3, 4, 1, 1],
    'float16'
  )
  const b = new NetworkBuilder()
  const x = b.input([1, 4, 1, 1])
  const graph = b.graph(b.node('Conv', [x, b.constant(weights)]))
  t.same((await run(graph, floatTensor(Float32Array.of(1, 0, 0, 2), [1, 4, 1, 1]))).data, Float32Array.of(0.75, 2.25, 3.75), 'weights')
})

void t.test('every float16 is itself', (t) => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const floats = toFloat32({ dtype: 'float16', dims: [65536], data: all }, 'all')
  const again = fromFloat32(floats, [65536], 'float16').data
  t.same(
    all.filter((half, i) => again[i] !== half && !Number.isNaN(floats[i])),
    []
  )
  t.equal(all.filter((_, i) => Number.isNaN(floats[i])).length, 2 * 1023)
  const halves = fromFloat32(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, 2 ** -25, 1.5 * 2 ** -25), [6], 'float16')
  t.same(toFloat32(halves, ''), Float32Array.of(1, 1 + 2 ** -9, 65504, Infinity, 0, 2 ** -24), 'to the nearest, ties to even')
  t.end()
})

void t.test('inputs that determine shapes', async (t) => {
  const b = new NetworkBuilder()
  const [x, shape] = [b.input(['n', 4]), b.input(['k'], 'shape')]
  const plain = b.graph(b.node('Relu', [b.node('Reshape', [x, b.node('Concat', [shape, b.ints(-1)], { axis: int(0) })])]))
  const graph = { ...plain, inputs: plain.inputs.map((info) => (info.name === 'shape' ? { ...info, dtype: 'int64' as const } : info)) }
  await using session = await Session.create(graph)
  const data = floatTensor(
    Float32Array.from({ length: 8 }, (_, i) => i),
    [2, 4]
  )
  for (const [given, dims] of [
    [[4], [4, 2]],
    [
      [2, 2],
      [2, 2, 2]
    ],
    [[4], [4, 2]]
  ] as const) {
    t.same(Object.values(await session.run({ [x]: data, shape: int64Tensor(given) })), [{ ...data, dims }])
  }
  await rejectsError(t, session.run({ [x]: data, shape: int64Tensor([3]) }), 'POLYADIC_SHAPE', 'cannot become')
  throwsError(t, () => compile(graph, { inputShapes: { [x]: [2, 4], shape: [1] } }), 'POLYADIC_ARGUMENT', '"shape"', 'inputValues')
})

void t.test('tensors without elements', async (t) => {
  const b = new NetworkBuilder(18)
  const x = b.input([0, 3])
  const plain = b.graph(b.node('ReduceSum', [x, b.ints(0)]), b.node('Relu', [x]))
  const graph = { ...plain, inputs: plain.inputs.map((info) => ({ ...info, dims: [0, 3] })) }
  await using session = await Session.create(graph)
  const results = await session.run({ [x]: floatTensor(new Float32Array(0), [0, 3]) })
  t.same(Object.values(results), [floatTensor(new Float32Array(3), [1, 3]), floatTensor(new Float32Array(0), [0, 3])])
})

void t.test("outputs that are known are the caller's own", async (t) => {
  const b = new NetworkBuilder()
  const graph = b.graph(b.node('Shape', [b.input(['n', 4])]))
  await using session = await Session.create(graph)
  const x = floatTensor(new Float32Array(8), [2, 4])
  const first = (await session.run(x)).shape0 as Tensor
  ;(first.data as BigInt64Array)[0] = 9n
  t.same((await session.run(x)).shape0, int64Tensor([2, 4]))
})
