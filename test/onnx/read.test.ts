import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { decodeOnnx, readOnnx } from '../../lib/onnx/read.js'
import type { DataType, TensorData } from '../../lib/tensor.js'
import { encodeModel, errorOf, floatType, rawFloats, rejectionOf, smallModel } from '../helpers/onnx-builder.js'
import type { Message } from '../helpers/onnx-builder.js'

const decode = (graph: Message = {}, model: Message = {}, packed = true) => decodeOnnx(encodeModel(smallModel(graph, model), packed))
const withTensor = (tensor: Message, packed = true) => decode({ initializer: [{ name: 'b', ...tensor }] }, {}, packed)

t.test('a model becomes plain data', async (t) => {
  const graph = decode({}, { doc_string: 'doc', metadata_props: [{ key: 'k', value: 'v' }] })
  t.equal(graph.name, 'small')
  t.equal(graph.docString, 'doc')
  t.same([...graph.metadata], [['k', 'v']])
  t.same([...graph.opsets], [['', 17]])
  t.match(graph.inputs, [{ name: 'x', dtype: 'float32', dims: ['N', 2] }])
  t.match(graph.outputs, [{ name: 'y', dtype: 'float32', dims: ['N', 2] }])
  t.same(
    graph.nodes.map((node) => [node.name, node.opType, node.inputs, node.outputs]),
    [
      ['add', 'Add', ['x', 'b'], ['s']],
      ['relu', 'Relu', ['s'], ['y']]
    ]
  )
  t.same(graph.initializers.get('b'), { dtype: 'float32', dims: [2], data: Float32Array.of(1, -2) })
})

const halves = Uint16Array.of(0x3c00, 0xc000)
const typed: [DataType, number, Message, TensorData][] = [
  ['float32', 1, { float_data: [1.5, -2.5] }, Float32Array.of(1.5, -2.5)],
  ['float64', 11, { double_data: [1.1, -2.2] }, Float64Array.of(1.1, -2.2)],
  ['int8', 3, { int32_data: [127, -128] }, Int8Array.of(127, -128)],
  ['uint8', 2, { int32_data: [0, 255] }, Uint8Array.of(0, 255)],
  ['int16', 5, { int32_data: [32767, -32768] }, Int16Array.of(32767, -32768)],
  ['uint16', 4, { int32_data: [1, 65535] }, Uint16Array.of(1, 65535)],
  ['int32', 6, { int32_data: [2147483647, -2147483648] }, Int32Array.of(2147483647, -2147483648)],
  ['uint32', 12, { uint64_data: ['1', '4294967295'] }, Uint32Array.of(1, 4294967295)],
  ['int64', 7, { int64_data: ['9223372036854775807', '-9223372036854775808'] }, BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n))],
  ['uint64', 13, { uint64_data: ['1', '18446744073709551615'] }, BigUint64Array.of(1n, 2n ** 64n - 1n)],
  ['bool', 9, { int32_data: [1, 0] }, Uint8Array.of(1, 0)],
  ['float16', 10, { int32_data: [...halves] }, halves],
  ['bfloat16', 16, { int32_data: [...halves] }, halves]
]

t.test('every data type is read, typed (packed or not) and raw', async (t) => {
  for (const [dtype, number, fields, data] of typed) {
    const expected = { dtype, dims: [2], data }
    for (const packed of [true, false]) {
      t.same(withTensor({ data_type: number, dims: [2], ...fields }, packed).initializers.get('b'), expected, `${dtype} ${packed}`)
    }
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    t.same(withTensor({ data_type: number, dims: [2], raw_data: raw }).initializers.get('b'), expected, `${dtype} raw`)
  }
})

t.test('raw data is a view of the bytes when aligned and a copy when not', async (t) => {
  const bytes = encodeModel(smallModel())
  const seen = new Set<boolean>()
  for (let shift = 0; shift < 4; shift++) {
    const shifted = new Uint8Array(bytes.length + shift).subarray(shift)
    shifted.set(bytes)
    const data = decodeOnnx(shifted).initializers.get('b')?.data
    t.same(data, Float32Array.of(1, -2))
    seen.add(data?.buffer === shifted.buffer)
  }
  t.same(seen, new Set([true, false]))
})

t.test('packed floats that end within an element are refused', async (t) => {
  const bytes = Buffer.from(encodeModel(smallModel({ initializer: [{ name: 'b', data_type: 1, dims: [2], float_data: [1, 2] }] })))
  // Of the 8 bytes of float_data (field 4) the last two become an unknown varint field.
  const at = bytes.indexOf(Buffer.from([0x22, 8, 0, 0, 0x80, 0x3f]))
  bytes[at + 1] = 6
  bytes[at + 8] = 0x60
  bytes[at + 9] = 0
  t.match(
    errorOf(() => decodeOnnx(bytes)),
    { code: 'POLYADIC_FORMAT', message: /TensorProto.float_data: 6 bytes are no whole number/ }
  )
})

t.test('scalars and empty tensors', async (t) => {
  t.same(withTensor({ data_type: 1, raw_data: rawFloats(3) }).initializers.get('b'), {
    dtype: 'float32',
    dims: [],
    data: Float32Array.of(3)
  })
  t.equal(withTensor({ data_type: 1, dims: [0, 5] }).initializers.get('b')?.data.length, 0)
})

t.test('dims and data that disagree name the tensor', async (t) => {
  const cases: [string, Message, RegExp][] = [
    ['too little raw data', { data_type: 1, dims: [3], raw_data: rawFloats(1, 2) }, /tensor "b": raw_data: expected 12 bytes .* got 8/],
    ['too little typed data', { data_type: 1, dims: [3], float_data: [1, 2] }, /tensor "b": float_data: expected 3 elements .* got 2/],
    ['too much typed data', { data_type: 1, dims: [1], float_data: [1, 2] }, /expected 1 elements .* got 2/],
    ['no data', { data_type: 1, dims: [1] }, /expected 1 elements .* got 0/],
    ['a claim of very much', { data_type: 1, dims: [1e9, 1000], float_data: [1] }, /expected 1000000000000 elements .* got fewer/],
    ['overflow', { data_type: 1, dims: [1e9, 1e9, 1e9], float_data: [1] }, /too large/],
    ['negative', { data_type: 1, dims: [-2, -1], raw_data: rawFloats(1, 2) }, /not all non-negative/],
    ['the wrong field', { data_type: 1, dims: [1], int32_data: [1] }, /has data in int32_data; float_data was expected/],
    ['both', { data_type: 1, dims: [1], raw_data: rawFloats(1), float_data: [1] }, /has data in float_data; raw_data/],
    ['no type', { dims: [1], raw_data: rawFloats(1) }, /no data type/],
    ['unknown location', { data_type: 1, dims: [1], raw_data: rawFloats(1), data_location: 2 }, /data location 2/]
  ]
  for (const [name, tensor, message] of cases) {
    const error = errorOf(() => withTensor(tensor))
    t.equal(error.code, 'POLYADIC_FORMAT', name)
    t.equal(error.subject, 'b', name)
    t.match(error.message, message, name)
  }
})

t.test('attributes of every kind, with and without a type', async (t) => {
  const attributes = [
    { name: 'f', type: 1, f: 0.5 },
    { name: 'i', type: 2, i: -3 },
    { name: 's', type: 3, s: Buffer.from('text') },
    { name: 't', type: 4, t: { data_type: 1, dims: [1], raw_data: rawFloats(1) } },
    { name: 'floats', type: 6, floats: [1, 2] },
    { name: 'ints', type: 7, ints: ['3', '9223372036854775807'] },
    { name: 'strings', type: 8, strings: [Buffer.from('a'), Buffer.from('b')] }
  ]
  const expected = [
    ['f', { kind: 'float', value: 0.5 }],
    ['i', { kind: 'int', value: -3 }],
    ['s', { kind: 'string', value: 'text' }],
    ['t', { kind: 'tensor', value: { dtype: 'float32', dims: [1], data: Float32Array.of(1) } }],
    ['floats', { kind: 'floats', value: [1, 2] }],
    ['ints', { kind: 'ints', value: [3, 2 ** 63] }],
    ['strings', { kind: 'strings', value: ['a', 'b'] }]
  ]
  const read = (attribute: Message[], packed = true) =>
    decode({ node: [{ op_type: 'X', domain: 'd', input: ['x'], output: ['y'], attribute }] }, {}, packed).nodes[0]?.attributes
  for (const packed of [true, false]) t.same([...(read(attributes, packed) ?? [])], expected)
  t.same([...(read(attributes.map(({ type: _, ...rest }) => rest)) ?? [])], expected)
  t.same(
    read([
      { name: 'zero', type: 2 },
      { name: 'none', type: 7 }
    ]),
    new Map<string, unknown>([
      ['zero', { kind: 'int', value: 0 }],
      ['none', { kind: 'ints', value: [] }]
    ])
  )
  t.match(
    errorOf(() =>
      read([
        { name: 'a', type: 2 },
        { name: 'a', type: 2 }
      ])
    ).message,
    /node 0 .* more than one attribute "a"/
  )
})

t.test('what Attribute cannot express is opaque', async (t) => {
  const attribute = [
    { name: 'binary', type: 3, s: Uint8Array.of(0xff, 0xfe) },
    { name: 'graph', type: 5, g: { name: 'g' } },
    { name: 'reference', type: 2, ref_attr_name: 'other' },
    { name: 'float8', type: 4, t: { data_type: 17, dims: [1], raw_data: [1] } },
    { name: 'future', type: 99, i: 1 }
  ]
  const graph = decode({ node: [{ op_type: 'X', domain: 'd', input: ['x'], output: ['y'], attribute }] })
  t.same(
    [...(graph.nodes[0]?.attributes.values() ?? [])].map(({ kind }) => kind),
    Array<string>(5).fill('opaque')
  )
})

t.test('initializers among the inputs are not inputs', async (t) => {
  const graph = decode(
    {
      input: [
        { name: 'b', type: floatType(2) },
        { name: 'x', type: floatType('N', 2) }
      ]
    },
    { ir_version: 3 }
  )
  t.same(
    graph.inputs.map(({ name }) => name),
    ['x']
  )
})

t.test('nodes get unique names', async (t) => {
  const names = ['', 'n', 'n', 'Relu_0', 'n_1', '']
  const node = names.map((name, i) => ({ name, op_type: 'Relu', input: [i === 0 ? 'x' : `v${i - 1}`], output: [`v${i}`] }))
  const graph = decode({ node, output: [{ name: 'v5' }] })
  t.same(
    graph.nodes.map(({ name }) => name),
    ['Relu_0_1', 'n', 'n_2', 'Relu_0', 'n_1', 'Relu_5']
  )
})

t.test('nodes out of order are sorted, the two names of the ONNX domain are one', async (t) => {
  const graph = decode(
    {
      node: [
        { name: 'relu', op_type: 'Relu', input: ['s'], output: ['y'], domain: 'ai.onnx' },
        { name: 'add', op_type: 'Add', input: ['x', 'b'], output: ['s'] }
      ]
    },
    { opset_import: [{ domain: 'ai.onnx', version: 13 }] }
  )
  t.same(
    graph.nodes.map(({ name, domain }) => [name, domain]),
    [
      ['add', ''],
      ['relu', '']
    ]
  )
  t.same([...graph.opsets], [['', 13]])
})

t.test('values that are no tensors are marked', async (t) => {
  const graph = decode({
    value_info: [
      { name: 'list', type: { sequence_type: { elem_type: floatType() } } },
      { name: 'text', type: { tensor_type: { elem_type: 8 } } },
      { name: 'rankless', type: { tensor_type: { elem_type: 1 } } },
      { name: 'scalar', type: { tensor_type: { elem_type: 7, shape: {} } } },
      { name: 'untyped' },
      { name: 'unknown', type: { tensor_type: { elem_type: 1, shape: { dim: [{}, { dim_value: -1 }, { dim_value: 0 }] } } } }
    ]
  })
  t.same(
    graph.valueInfo.map(({ name, dtype, dims, opaque }) => [name, opaque ?? dtype, dims]),
    [
      ['list', true, undefined],
      ['text', true, undefined],
      ['rankless', 'float32', undefined],
      ['scalar', 'int64', []],
      ['untyped', true, undefined],
      ['unknown', 'float32', [null, null, 0]]
    ]
  )
})

t.test('tensors of other types exist by name', async (t) => {
  const graph = decode({ initializer: [{ name: 'b', data_type: 8, dims: [1], string_data: [Buffer.from('x')] }] })
  t.same([...graph.initializers.keys()], [])
  t.same([...(graph.opaqueInitializers?.keys() ?? [])], ['b'])
})

t.test('inconsistent networks are POLYADIC_GRAPH', async (t) => {
  const node = (name: string, input: string, output: string) => ({ name, op_type: 'Relu', input: [input], output: [output] })
  const cases: [string, Message, Message, RegExp][] = [
    ['cycle', { node: [node('a', 'v', 'y'), node('c', 'y', 'v')] }, {}, /node "(a|c)" \(Relu\) is part of a cycle/],
    ['missing input', { node: [node('a', 'nowhere', 'y')] }, {}, /node "a" \(Relu\): input "nowhere" does not exist/],
    ['missing output', { output: [{ name: 'z' }] }, {}, /output "z" is not produced/],
    ['twice', { node: [node('a', 'x', 'y'), node('c', 'x', 'y')] }, {}, /value "y" is defined more than once/],
    ['no opset', {}, { opset_import: [] }, /does not import an opset/],
    [
      'initializer twice',
      { initializer: [1, 2].map((v) => ({ name: 'b', data_type: 1, raw_data: rawFloats(v) })) },
      {},
      /"b" is defined more than once/
    ]
  ]
  for (const [name, graph, model, message] of cases) {
    const error = errorOf(() => decode(graph, model))
    t.equal(error.code, 'POLYADIC_GRAPH', name)
    t.match(error.message, message, name)
  }
})

t.test('models from before opset imports have opset 1', async (t) => {
  t.same([...decode({}, { ir_version: 2, opset_import: [] }).opsets], [['', 1]])
})

t.test('a node without an operator, an initializer without a name, and no graph are POLYADIC_FORMAT', async (t) => {
  t.match(
    errorOf(() => decode({ node: [{ name: 'n' }] })),
    { code: 'POLYADIC_FORMAT', message: /node "n" has no operator type/ }
  )
  t.match(
    errorOf(() => withTensor({ name: '', data_type: 1, raw_data: rawFloats(1) })),
    { code: 'POLYADIC_FORMAT', message: /initializer 0 has no name/ }
  )
  t.match(
    errorOf(() => decodeOnnx(encodeModel({ ir_version: 8 }))),
    { code: 'POLYADIC_FORMAT', message: /the model has no graph/ }
  )
})

t.test('other files are told apart', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'x.onnx')
  const cases: [string, Uint8Array | string, RegExp][] = [
    ['PNG', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /a PNG image/],
    ['empty', '', /the file is empty/],
    ['JSON', '{"a": 1}', /JSON text/],
    ['HTML', '<!doctype html>', /HTML/],
    ['text', 'hello, this is some text', /ModelProto/],
    ['ZIP', 'PK\x03\x04rest', /ZIP/],
    ['LFS', 'version https://git-lfs and so on\n', /git lfs pull/],
    ['zeros', new Uint8Array(100), /field number 0/],
    ['other protobuf', Uint8Array.of(0x3a + 8 * 5, 0), /neither an IR version nor a graph/]
  ]
  for (const [name, content, message] of cases) {
    await writeFile(path, content)
    const error = await rejectionOf(readOnnx(path))
    t.equal(error.code, 'POLYADIC_FORMAT', name)
    t.ok(error.message.startsWith(`${JSON.stringify(path)}: not an ONNX model (`), error.message)
    t.match(error.message, message, name)
  }
})

t.test('files that cannot be read are POLYADIC_IO, odd arguments POLYADIC_ARGUMENT', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'polyadic-'))
  t.match(await rejectionOf(readOnnx(join(folder, 'none.onnx'))), { code: 'POLYADIC_IO', message: /none\.onnx.*ENOENT/ })
  t.match(await rejectionOf(readOnnx(folder)), { code: 'POLYADIC_IO', message: /not a file/ })
  t.equal((await rejectionOf(readOnnx(''))).code, 'POLYADIC_ARGUMENT')
  t.equal((await rejectionOf(readOnnx(5 as never))).code, 'POLYADIC_ARGUMENT')
  t.equal(errorOf(() => decodeOnnx('x' as never)).code, 'POLYADIC_ARGUMENT')
})

t.test('a Buffer and shared memory do as well as a Uint8Array', async (t) => {
  const bytes = encodeModel(smallModel())
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  for (const source of [Buffer.from(bytes), shared]) {
    t.same((await readOnnx(source)).initializers.get('b')?.data, Float32Array.of(1, -2))
  }
})
