import * as ort from 'onnxruntime-node'
import t from 'tap'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { compress } from '../../lib/replacement/compress.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor } from '../../lib/tensor.js'
import { decodeModel, encodeModel, errorOf, floatType, type Message, rawFloats } from '../helpers/onnx-builder.js'

const sparse = (dims: readonly number[], indices: readonly number[], columns = 1, dtype = 7): Message => ({
  values: {
    name: 'w',
    data_type: 1,
    dims: [indices.length / columns],
    raw_data: rawFloats(...indices.slice(0, indices.length / columns).map((_, i) => i + 1))
  },
  indices: { data_type: dtype, dims: columns === 1 ? [indices.length] : [indices.length / columns, columns], int64_data: indices },
  dims
})

const model = (tensor: Message): Uint8Array =>
  encodeModel({
    ir_version: 8,
    opset_import: [{ version: 17 }],
    graph: {
      name: 'g',
      node: [{ name: 'fc', op_type: 'MatMul', input: ['x', 'w'], output: ['y'] }],
      sparse_initializer: [tensor],
      input: [{ name: 'x', type: floatType('N', 3) }],
      output: [{ name: 'y', type: floatType('N', 4) }]
    }
  })

const dense = Float32Array.of(0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 3)

t.test('sparse initializers are dense in the graph, by places or by coordinates, and sparse again in the file', async (t) => {
  for (const tensor of [sparse([3, 4], [1, 8, 11]), sparse([3, 4], [0, 1, 2, 0, 2, 3], 2)]) {
    const bytes = model(tensor)
    const graph = decodeOnnx(bytes)
    t.strictSame(graph.initializers.get('w'), { dtype: 'float32', dims: [3, 4], data: dense })
    t.strictSame(decodeModel(encodeOnnx(graph)), decodeModel(bytes))
    t.strictSame(decodeModel(encodeOnnx(structuredClone(graph))), decodeModel(bytes), 'also when copied')
    const replaced = {
      ...graph,
      initializers: new Map([
        [
          'w',
          floatTensor(
            dense.map((value) => 2 * value),
            [3, 4]
          )
        ]
      ])
    }
    const written = decodeModel(encodeOnnx(replaced)) as { graph: { initializer: Message[]; sparse_initializer?: Message[] } }
    t.equal(written.graph.initializer.length, 1)
    t.equal(written.graph.sparse_initializer, undefined, 'new values are written densely')
  }
})

t.test('a layer with sparse weights is compressed; onnxruntime computes the same', async (t) => {
  const bytes = model(sparse([3, 4], [1, 8, 11]))
  const { graph } = await compress(decodeOnnx(bytes), { layers: { fc: 'full' } })
  const run = async (model: Uint8Array): Promise<number[]> => {
    const session = await ort.InferenceSession.create(model)
    const { y } = await session.run({ x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) })
    await session.release()
    return Array.from(y?.data as Float32Array)
  }
  t.strictSame(await run(bytes), [6, 1, 0, 9])
  const values = await run(encodeOnnx(graph))
  t.ok(
    [6, 1, 0, 9].every((value, i) => Math.abs(value - (values[i] as number)) < 1e-5),
    String(values)
  )
})

t.test('parts that do not fit each other are errors that name the tensor', async (t) => {
  const wrong: readonly [Message, RegExp][] = [
    [sparse([3, 4], [1, 8, 12]), /index \[12\] is outside of shape \[3, 4\]/],
    [sparse([3, 4], [1, -8, 11]), /index \[-8\] is outside/],
    [sparse([3, 4], [0, 1, 2, 4], 2), /index \[2, 4\] is outside/],
    [sparse([3, 4], [0, 1, 2, 0, 2, 3], 3), /indices of int64 \[2, 3\] do not fit 2 values/],
    [sparse([3, -4], [1]), /not all non-negative/]
  ]
  for (const [tensor, message] of wrong)
    t.match(
      errorOf(() => decodeOnnx(model(tensor))),
      { code: 'POLYADIC_FORMAT', subject: 'w', message }
    )
})

t.test('a sparse tensor that claims more memory than its file justifies is only carried', async (t) => {
  const bytes = model(sparse([1e6, 1e6], [1, 8, 11]))
  const graph = decodeOnnx(bytes)
  t.notOk(graph.initializers.has('w'))
  t.ok(graph.opaqueInitializers?.has('w'))
  t.strictSame(decodeModel(encodeOnnx(graph)), decodeModel(bytes))
})

t.test('a sparse tensor in a Constant node is what it means to those who run and compress, and sparse in the file', async (t) => {
  const constant = (tensor: Message): Uint8Array => {
    const attribute = [{ name: 'sparse_value', type: 11, sparse_tensor: tensor }]
    const bytes = decodeModel(model(tensor)) as { graph: { node: Message[]; sparse_initializer?: Message[] } }
    bytes.graph.node.unshift({ name: 'weights', op_type: 'Constant', output: ['w'], attribute })
    delete bytes.graph.sparse_initializer
    return encodeModel(bytes)
  }
  const bytes = constant(sparse([3, 4], [1, 8, 11]))
  const graph = decodeOnnx(bytes)
  t.strictSame(decodeModel(encodeOnnx(graph)), decodeModel(bytes))
  await using session = await Session.create(graph)
  const { y } = await session.run({ x: floatTensor(Float32Array.of(1, 2, 3), [1, 3]) })
  t.strictSame(Array.from(y?.data as Float32Array), [6, 1, 0, 9])
  const { graph: full } = await compress(graph, { layers: { fc: 'full' } })
  t.equal(
    full.nodes.some(({ opType }) => opType === 'Constant'),
    false
  )
  t.equal(errorOf(() => decodeOnnx(constant(sparse([3, 4], [1, 8, 12])))).code, 'POLYADIC_FORMAT')
  const huge = decodeOnnx(constant(sparse([1e6, 1e6], [1, 8, 11])))
  await t.rejects(Session.create(huge), { code: 'POLYADIC_UNSUPPORTED' })
})
