import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Session } from '../../lib/runtime/session.js'
import type { ErrorCode } from '../../lib/errors.js'
import { floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { charNet } from '../helpers/charnet.js'
import { rejectsError, throwsError } from '../helpers/expect-error.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { generator } from '../helpers/plan-builder.js'

/** y = relu(x), z = x + x for x: batch×2×2. */
function small(): Session | Promise<Session> {
  const b = new NetworkBuilder()
  const x = b.input(['batch', 2, 2], 'x')
  return Session.create(b.graph(b.node('Relu', [x]), b.node('Add', [x, x])))
}

const tensor = (values: readonly number[]): Tensor => floatTensor(Float32Array.from(values), [values.length / 4, 2, 2])

void t.test('runs by name or alone, at once or not', async (t) => {
  await using session = await small()
  const x = tensor([1, -2, 3, -4])
  const expected = { relu0: tensor([1, 0, 3, 0]), add1: tensor([2, -4, 6, -8]) }
  t.same(await session.run(x), expected)
  t.same(await session.run({ x }), expected)
  t.same(session.runSync({ x }), expected)
  t.same((await session.run(tensor([1, 2, 3, 4, -1, 2, 3, 4]))).relu0, tensor([1, 2, 3, 4, 0, 2, 3, 4]), 'another batch')
  const all = await Promise.all([1, 2, 3, 1, 2, 3].map((n) => session.run(tensor(new Array<number>(4 * n).fill(n)))))
  t.same(
    all.map(({ relu0 }) => [relu0?.dims[0], relu0?.data[0]]),
    [
      [1, 1],
      [2, 2],
      [3, 3],
      [1, 1],
      [2, 2],
      [3, 3]
    ],
    'several at a time'
  )
})

void t.test('an output that the graph lists twice', async (t) => {
  const b = new NetworkBuilder()
  const graph = b.graph(b.node('Relu', [b.input(['batch', 2, 2], 'x')]))
  await using session = await Session.create({ ...graph, outputs: [...graph.outputs, ...graph.outputs] })
  const outputs = { relu0: tensor([0, 0, 0, 0]) }
  t.same(await session.run(tensor([1, -2, 3, -4])), { relu0: tensor([1, 0, 3, 0]) })
  t.equal((await session.run(tensor([1, -2, 3, -4]), { outputs })).relu0, outputs.relu0)
  t.same(outputs, { relu0: tensor([1, 0, 3, 0]) })
})

void t.test('refuses what does not fit', async (t) => {
  await using session = await small()
  const data = new Float32Array(4)
  const run = (feeds: unknown): Promise<unknown> => session.run(feeds as Tensor)
  await rejectsError(
    t,
    run({ x: { dtype: 'float32', dims: [1, 2, 3], data: new Float32Array(6) } }),
    'POLYADIC_SHAPE',
    '"x"',
    'batch×2×2',
    '1×2×3'
  )
  await rejectsError(
    t,
    run({ x: { dtype: 'float32', dims: [1, 2, 2], data: new Float32Array(5) } }),
    'POLYADIC_SHAPE',
    '"x"',
    '4 elements',
    '5'
  )
  await rejectsError(
    t,
    run({ x: { dtype: 'float64', dims: [1, 2, 2], data: new Float64Array(4) } }),
    'POLYADIC_SHAPE',
    '"x"',
    'float32',
    'float64'
  )
  await rejectsError(
    t,
    run({ x: { dtype: 'float32', dims: [1, 2, 2], data: new Float64Array(4) } }),
    'POLYADIC_ARGUMENT',
    '"x"',
    'Float32Array'
  )
  await rejectsError(t, run({ x: { dtype: 'float32', dims: [1, 2, 2], data: [1, 2, 3, 4] } }), 'POLYADIC_ARGUMENT', '"x"')
  await rejectsError(t, run({ x: { dtype: 'float32', dims: [-1, 2, 2], data } }), 'POLYADIC_ARGUMENT', 'dims')
  await rejectsError(t, run({ y: floatTensor(data, [1, 2, 2]) }), 'POLYADIC_SHAPE', '"y"', '"x"')
  await rejectsError(t, run({}), 'POLYADIC_SHAPE', '"x"', 'nothing')
  await rejectsError(t, run(null), 'POLYADIC_ARGUMENT', 'feeds')
  await rejectsError(t, run({ x: data }), 'POLYADIC_ARGUMENT', '"x"')
  structuredClone(data.buffer, { transfer: [data.buffer] })
  await rejectsError(t, run({ x: { dtype: 'float32', dims: [1, 2, 2], data } }), 'POLYADIC_SHAPE', 'transferred')
  await rejectsError(t, Session.create({} as never), 'POLYADIC_ARGUMENT', 'model')
  await rejectsError(t, Session.create(charNet(), { threads: 1.5 }), 'POLYADIC_ARGUMENT', 'threads')
})

void t.test('takes memory that native code may not keep as a copy', async (t) => {
  await using session = await small()
  const values = [1, -2, 3, -4]
  const run = async (data: Float32Array): Promise<unknown> =>
    Array.from(((await session.run({ x: { dtype: 'float32', dims: [1, 2, 2], data } })).relu0?.data ?? []) as Float32Array)
  const shared = new Float32Array(new SharedArrayBuffer(16))
  shared.set(values)
  const resizable = new Float32Array(Reflect.construct(ArrayBuffer, [16, { maxByteLength: 64 }]) as ArrayBuffer)
  resizable.set(values)
  const within = new Float32Array([9, 9, ...values, 9]).subarray(2, 6)
  const foreign = runInNewContext('new Float32Array([1, -2, 3, -4])') as Float32Array
  const sub = new (class extends Float32Array {})(values)
  for (const data of [shared, resizable, within, foreign, sub]) t.same(await run(data), [1, 0, 3, 0])
})

void t.test('writes results to memory that the caller gives', async (t) => {
  await using session = await small()
  const x = tensor([1, -2, 3, -4])
  const given = tensor([9, 9, 9, 9])
  const results = await session.run(x, { outputs: { relu0: given } })
  t.equal(results.relu0, given, 'the tensor itself is the result')
  t.same(results, { relu0: tensor([1, 0, 3, 0]), add1: tensor([2, -4, 6, -8]) })
  t.same(session.runSync(tensor([-1, 2, 3, 4]), { outputs: results }).add1, tensor([-2, 4, 6, 8]))
  t.same(given, tensor([0, 2, 3, 4]), 'again and again')
  const shared = { dtype: 'float32', dims: [1, 2, 2], data: new Float32Array(new SharedArrayBuffer(16)) } as const
  session.runSync(x, { outputs: { relu0: shared } })
  t.same(Array.from(shared.data), [1, 0, 3, 0], 'shared memory takes a copy')

  const b = new NetworkBuilder()
  const y = b.input([1, 4], 'y')
  const cast = b.node('Cast', [y], { to: int(7) })
  await using integers = await Session.create(b.graph(cast, b.node('Shape', [y])))
  const outputs = { cast0: int64Tensor([0, 0, 0, 0], [1, 4]), shape1: int64Tensor([0, 0]) }
  t.equal(integers.runSync(floatTensor(Float32Array.of(1, 2, -3, 4), [1, 4]), { outputs }).cast0, outputs.cast0)
  t.same(outputs, { cast0: int64Tensor([1, 2, -3, 4], [1, 4]), shape1: int64Tensor([1, 4]) }, 'of other types, and constants')

  const refuse = (given: unknown, code: ErrorCode, ...parts: readonly string[]): void =>
    throwsError(t, () => session.runSync(x, { outputs: given as Record<string, Tensor> }), code, ...parts)
  refuse(5, 'POLYADIC_ARGUMENT', 'outputs')
  refuse({ y: x }, 'POLYADIC_ARGUMENT', 'relu0', 'add1', '"y"')
  refuse({ relu0: null }, 'POLYADIC_ARGUMENT', '"relu0"')
  refuse({ relu0: floatTensor(new Float32Array(4), [1, 4, 1]) }, 'POLYADIC_SHAPE', '"relu0"', '1×2×2')
  refuse({ relu0: int64Tensor([0, 0, 0, 0], [1, 2, 2]) }, 'POLYADIC_SHAPE', 'float32', 'int64')
  refuse({ relu0: { ...given, data: new Float64Array(4) } }, 'POLYADIC_ARGUMENT', 'Float32Array')
  refuse({ relu0: { ...given, data: new Float32Array(3) } }, 'POLYADIC_SHAPE', '4 elements', '3')
  refuse({ relu0: x }, 'POLYADIC_ARGUMENT', '"relu0"', 'an input')
  const both = new Float32Array(6)
  const parts = [both.subarray(0, 4), both.subarray(2, 6)].map((data) => floatTensor(data, [1, 2, 2]))
  refuse({ relu0: parts[0], add1: parts[1] }, 'POLYADIC_ARGUMENT', '"add1"', 'output "relu0"')
})

void t.test('aborts with the reason of the signal', async (t) => {
  await using session = await Session.create(charNet())
  const batch = floatTensor(generator(1).normal(512 * 576), [512, 1, 24, 24])
  const reason = new Error('enough')
  await t.rejects(session.run(batch, { signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  const run = session.run(batch, { signal: controller.signal })
  setTimeout(() => controller.abort(reason), 5)
  await t.rejects(run, reason)
  const [output] = Object.values(await session.run(floatTensor(batch.data.subarray(0, 576), [1, 1, 24, 24])))
  t.equal(output?.data.length, 36, 'and runs again')
})

void t.test('is closed once and for all', async (t) => {
  const session = await small()
  const running = session.run(tensor([1, 2, 3, 4]))
  session.close()
  t.equal((await running).relu0?.data[3], 4, 'what is under way finishes')
  await rejectsError(t, session.run(tensor([1, 2, 3, 4])), 'POLYADIC_ARGUMENT', 'closed')
  throwsError(t, () => session.runSync(tensor([1, 2, 3, 4])), 'POLYADIC_ARGUMENT', 'closed')
  throwsError(t, () => session.describe(), 'POLYADIC_ARGUMENT', 'closed')
  session.close()
})

void t.test('keeps few plans, and describes them', async (t) => {
  const b = new NetworkBuilder()
  await using session = await Session.create(b.graph(b.node('Relu', [b.conv(b.input(['n', 3, 8, 8], 'x'), [16, 3, 3, 3])])), {
    maxPlans: 2,
    threads: 2
  })
  for (const n of [1, 2, 3, 1, 4, 1])
    t.same((await session.run(floatTensor(new Float32Array(n * 192), [n, 3, 8, 8]))).relu1?.dims, [n, 16, 6, 6])
  const description = session.describe({ x: [5, 3, 8, 8] })
  t.match(description, {
    threads: 2,
    inputs: [{ name: 'x', dims: [5, 3, 8, 8] }],
    outputs: [{ name: 'relu1', dims: [5, 16, 6, 6] }],
    steps: [{ op: 'convolution' }]
  })
  t.ok(description.arenaBytes > 0 && description.weightBytes > 0)
  t.same(
    session.inputs.map((input) => input.dims),
    [['n', 3, 8, 8]]
  )
})

void t.test('what cannot run is refused when the session is made', async (t) => {
  const b = new NetworkBuilder()
  await rejectsError(t, Session.create(b.graph(b.node('NonZero', [b.input(['n', 3, 8, 8])]))), 'POLYADIC_UNSUPPORTED', 'NonZero')
})

void t.test('a network that computes nothing', async (t) => {
  const b = new NetworkBuilder()
  const x = b.input([1, 3, 2, 2], 'x')
  await using session = await Session.create(b.graph(b.node('Reshape', [x, b.ints(1, 12)]), x))
  const data = generator(5).normal(12)
  const result = await session.run(floatTensor(data, [1, 3, 2, 2]))
  t.same(result.reshape0, { dtype: 'float32', dims: [1, 12], data })
  t.same(result.x, { dtype: 'float32', dims: [1, 3, 2, 2], data })
})
