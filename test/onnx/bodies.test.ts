import * as ort from 'onnxruntime-node'
import t, { type Test } from 'tap'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { compress } from '../../lib/replacement/compress.js'
import { compressibleLayers } from '../../lib/replacement/layers.js'
import { Session } from '../../lib/runtime/session.js'
import { elementCount, floatTensor, type Tensor } from '../../lib/tensor.js'
import {
  anyShape,
  branchModel,
  functionModel,
  functions,
  graphAttribute,
  modelOf,
  nestedModel,
  node,
  shapeModel
} from '../helpers/body-models.js'
import { encodeModel, floatType, rejectionOf, type Message } from '../helpers/onnx-builder.js'
import { generator } from '../helpers/plan-builder.js'

/*
 * Sub-graphs and functions: they run as onnxruntime runs them, and are written as they were read.
 */

const tolerance = 1e-5

function input(dims: readonly number[]): Tensor {
  return floatTensor(generator(3).normal(elementCount(dims)), dims)
}

async function reference(bytes: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const entries = Object.entries(feeds).map(([name, { dtype, data, dims }]) => [
    name,
    new ort.Tensor(dtype as 'float32', data as Float32Array, dims)
  ])
  const { y } = await session.run(Object.fromEntries(entries) as Record<string, ort.Tensor>)
  await session.release()
  return y as ort.Tensor
}

/** y of our session is onnxruntime's, of `bytes` and of what is written again. */
async function agrees(t: Test, what: string, bytes: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<void> {
  const graph = decodeOnnx(bytes)
  const expected = await reference(bytes, feeds)
  await using session = await Session.create(graph)
  const { y } = await session.run(feeds)
  t.same(y?.dims, expected.dims, `${what}: dims`)
  const difference = Math.max(...Array.from(expected.data as Float32Array, (v, i) => Math.abs(v - (y?.data[i] as number))))
  t.ok(difference < tolerance, `${what}: differs by ${difference}`)
  t.same((await reference(encodeOnnx(graph), feeds)).data, expected.data, `${what}: the same bits when written again`)
}

t.test('the branch that the condition takes', async (t) => {
  const bytes = encodeModel(branchModel)
  await agrees(t, 'one row', bytes, { x: input([2, 4, 1, 5]) })
  await agrees(t, 'three rows', bytes, { x: input([1, 4, 3, 5]) })
  const flag = (value: number): Tensor => ({ dtype: 'bool', dims: [], data: Uint8Array.of(value) })
  await agrees(t, 'by an input', encodeModel(nestedModel), { x: input([2, 3]), flag: flag(1) })
  await agrees(t, 'by an input, not', encodeModel(nestedModel), { x: input([2, 3]), flag: flag(0) })
  t.same(encodeOnnx(decodeOnnx(bytes)), bytes, 'written as it was')
})

t.test('functions', async (t) => {
  const bytes = encodeModel(functionModel)
  await agrees(t, 'calls in calls', bytes, { x: input([2, 3, 9, 8]) })
  t.same(encodeOnnx(decodeOnnx(bytes)), bytes, 'written as it was')
})

t.test('an input that determines a shape in a function, by way of a branch', async (t) => {
  const n: Tensor = { dtype: 'int64', dims: [], data: BigInt64Array.of(2n) }
  await agrees(t, '2×2', encodeModel(shapeModel), { x: input([4]), n })
})

t.test('layers in functions are decomposed', async (t) => {
  const bytes = encodeModel(functionModel)
  const graph = decodeOnnx(bytes)
  const names = compressibleLayers(graph).map(({ name }) => name)
  t.same(names, ['block1/conv', 'block2/conv', 'block3/conv'])
  const full = await compress(graph, { layers: Object.fromEntries(names.map((name) => [name, 'full'])) })
  const written = encodeOnnx(full.graph)
  const x = input([2, 3, 9, 8])
  const [before, after] = [await reference(bytes, { x }), await reference(written, { x })]
  const difference = Math.max(...Array.from(before.data as Float32Array, (v, i) => Math.abs(v - (after.data[i] as number))))
  t.ok(difference < 1e-4, `at full rank: differs by ${difference}`)
  await agrees(t, 'and ours', written, { x })
})

const called = (more: Message): Message => ({
  node: [node('f', ['x'], ['y'], [], 'pkg.lib')],
  input: [{ name: 'x', type: floatType('N', 4) }],
  output: [anyShape('y')],
  ...more
})
const f = (name: string, nodes: readonly Message[], more: Message = {}): Message => ({
  ...functions.silu,
  name,
  node: nodes,
  opset_import: [{ version: 18 }, { domain: 'pkg.lib', version: 1 }],
  ...more
})
const call = (name: string, from: string, to: string): Message => node(name, [from], [to], [], 'pkg.lib')

t.test('what does not fit is an error with a code', async (t) => {
  const refuse = async (what: string, model: Message, code: string, ...parts: readonly string[]): Promise<void> => {
    const run = async (): Promise<unknown> => (await Session.create(decodeOnnx(encodeModel(model)))).run({ x: input([1, 4]) })
    const error = await rejectionOf(run())
    t.equal(error.code, code, `${what}: ${error.message}`)
    for (const part of parts) t.match(error.message, part)
  }
  const branches = [
    graphAttribute('then_branch', [node('Neg', ['x'], ['n'])], 'n'),
    graphAttribute('else_branch', [node('Abs', ['x'], ['n'])], 'n')
  ]
  const condition = [
    node('ReduceMax', ['x'], ['m'], [{ name: 'keepdims', type: 2, i: 0 }]),
    node('Cast', ['m'], ['c'], [{ name: 'to', type: 2, i: 9 }])
  ]
  await refuse(
    'computed condition',
    modelOf(called({ node: [...condition, node('If', ['c'], ['y'], branches)] })),
    'POLYADIC_UNSUPPORTED',
    'If',
    'condition'
  )
  const yes = { initializer: [{ name: 'c', data_type: 9, dims: [], int32_data: [1] }] }
  await refuse('no branch', modelOf(called({ node: [node('If', ['c'], ['y'])], ...yes })), 'POLYADIC_GRAPH', 'then_branch')
  await refuse(
    'too few outputs',
    modelOf(called({ node: [node('If', ['c'], ['z', 'y'], branches)], ...yes })),
    'POLYADIC_GRAPH',
    '2 outputs'
  )
  await refuse('calls itself', modelOf(called({}), { functions: [f('f', [call('f', 'x', 'y')])] }), 'POLYADIC_UNSUPPORTED', 'nested')
  const doubling = Array.from({ length: 40 }, (_, i) =>
    f(i === 0 ? 'f' : `f${i}`, i === 39 ? [node('Neg', ['x'], ['y'])] : [call(`f${i + 1}`, 'x', 'm'), call(`f${i + 1}`, 'm', 'y')])
  )
  await refuse('2⁴⁰ nodes', modelOf(called({}), { functions: doubling }), 'POLYADIC_UNSUPPORTED', '30000')
  await refuse(
    'an unknown value',
    modelOf(called({}), { functions: [f('f', [node('Neg', ['w'], ['y'])])] }),
    'POLYADIC_GRAPH',
    '"w"',
    'in the function'
  )
  await refuse(
    'too many inputs',
    modelOf(called({ node: [node('f', ['x', 'x'], ['y'], [], 'pkg.lib')] }), { functions: [f('f', [node('Neg', ['x'], ['y'])])] }),
    'POLYADIC_GRAPH',
    '2 inputs'
  )
  const twice = [f('f', [node('Neg', ['x'], ['y'])]), f('f', [node('Abs', ['x'], ['y'])])]
  await refuse('two of one name', modelOf(called({}), { functions: twice }), 'POLYADIC_UNSUPPORTED', 'pkg.lib')
  await refuse(
    'defined twice',
    modelOf(called({}), { functions: [f('f', [node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])])] }),
    'POLYADIC_GRAPH',
    'more than once'
  )
})

t.test('functions of another opset run, and stay calls', async (t) => {
  const squeeze = f('f', [node('Unsqueeze', ['x'], ['u'], [{ name: 'axes', type: 7, ints: [0] }]), node('Conv', ['u', 'u'], ['y'])], {
    opset_import: [{ version: 11 }]
  })
  const graph = decodeOnnx(encodeModel(modelOf(called({}), { functions: [squeeze] })))
  t.same(compressibleLayers(graph), [])
  await using session = await Session.create(graph)
  const { y } = await session.run({ x: input([3, 4]) })
  t.same(y?.dims, [1, 1, 1], 'Unsqueeze by attribute, as opset 11 has it')
})
