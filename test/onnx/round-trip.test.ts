import t from 'tap'
import { replaceNode, makeNode } from '../../lib/graph/rewrite.js'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { decodeModel, encodeModel, errorOf, floatType, rawFloats, smallModel, withoutCarried } from '../helpers/onnx-builder.js'
import type { Message } from '../helpers/onnx-builder.js'

const future = 'kept'
const entry = (key: string, value: string): Message => ({ key, value, future })

/** A value whose type uses everything there is, with unknown fields at each level. */
const richValue = (name: string): Message => ({
  name,
  doc_string: 'doc',
  metadata_props: [entry('m', '1')],
  future,
  type: {
    denotation: 'IMAGE',
    future,
    tensor_type: {
      elem_type: 1,
      future,
      shape: {
        future,
        dim: [{ dim_param: 'N', denotation: 'BATCH', future }, { dim_value: 2 }, { denotation: 'UNKNOWN' }, { dim_value: -1 }]
      }
    }
  }
})

const floats = (name: string): Message => ({
  name,
  data_type: 1,
  dims: [2],
  float_data: [1, 2],
  doc_string: 'doc',
  metadata_props: [entry('k', 'v')],
  future
})

const subgraph = { name: 'sub', future, node: [{ op_type: 'Relu', input: ['x'], output: ['z'], future }], output: [{ name: 'z' }] }

const attributes: Message[] = [
  { name: 'f', type: 1, f: 0.1, doc_string: 'doc', future },
  { name: 'i', type: 2, i: '-9223372036854775808', future },
  { name: 'zero', type: 2 },
  { name: 'untyped', i: 3 },
  { name: 's', type: 3, s: Buffer.from('ä'), future },
  { name: 't', type: 4, t: { ...floats(''), future }, future },
  { name: 'g', type: 5, g: subgraph, future },
  { name: 'floats', type: 6, floats: [0.1, NaN, -0], future },
  { name: 'ints', type: 7, ints: ['1', '9223372036854775807', '9007199254740993'], future },
  { name: 'strings', type: 8, strings: [Buffer.from('a'), Buffer.from('')], future },
  { name: 'tensors', type: 9, tensors: [floats('a')] },
  { name: 'graphs', type: 10, graphs: [subgraph] },
  { name: 'sparse', type: 11, sparse_tensor: { values: floats('v'), dims: [4], future } },
  { name: 'tp', type: 13, tp: floatType(1) },
  { name: 'ref', type: 2, ref_attr_name: 'other' },
  { name: 'bytes', type: 3, s: [0xff, 0] }
]

/** Everything that ONNX can say, each message with an unknown field. */
const richModel: Message = {
  ir_version: 13,
  producer_name: 'maker',
  producer_version: '1.2',
  domain: 'org.example',
  model_version: '77',
  doc_string: 'model doc',
  future,
  opset_import: [
    { version: 17, future },
    { domain: 'custom', version: 2 }
  ],
  metadata_props: [entry('author', 'me')],
  training_info: [{ algorithm: subgraph, future }],
  functions: [{ name: 'fn', domain: 'custom', node: [{ op_type: 'Relu' }], future }],
  graph: {
    name: 'rich',
    doc_string: 'graph doc',
    metadata_props: [entry('g', 'h')],
    future,
    node: [
      {
        op_type: 'X',
        domain: 'custom',
        overload: 'o',
        input: ['x', '', 'b'],
        output: ['s', ''],
        attribute: attributes,
        doc_string: 'doc',
        future,
        metadata_props: [entry('n', 'm')],
        device_configurations: [{ configuration_id: 'd', future }]
      },
      { name: 'same', op_type: 'Relu', input: ['s'], output: ['r'] },
      { name: 'same', op_type: 'Relu', input: ['r'], output: ['y'], domain: 'ai.onnx' }
    ],
    initializer: [
      { name: 'text', data_type: 8, dims: [1], string_data: [Buffer.from('x')], future },
      floats('b'),
      { name: 'raw', data_type: 1, dims: [2], raw_data: rawFloats(1, 2), future },
      { name: 'empty', data_type: 1, dims: [0] },
      { name: 'float8', data_type: 17, dims: [1], raw_data: [1] },
      { name: 'longs', data_type: 7, dims: [2], int64_data: ['-1', '9223372036854775807'] },
      { name: 'doubles', data_type: 11, dims: [1], double_data: [0.1] },
      { name: 'unsigned', data_type: 13, dims: [1], uint64_data: ['18446744073709551615'] },
      { name: 'half', data_type: 10, dims: [1], int32_data: [15360] },
      { name: 'byte', data_type: 3, dims: [1], int32_data: [-5] }
    ],
    sparse_initializer: [{ values: floats('sparse'), dims: [4], future }],
    input: [{ name: 'b', type: floatType(2) }, richValue('x'), { name: 'text' }],
    output: [richValue('y')],
    value_info: [richValue('s'), { name: 'list', type: { sequence_type: { elem_type: floatType(1) }, denotation: 'D' } }],
    quantization_annotation: [{ tensor_name: 's', quant_parameter_tensor_names: [entry('SCALE_TENSOR', 'raw')], future }]
  }
}

t.test('an unchanged model is the same again, byte by byte when it was canonical', async (t) => {
  for (const packed of [true, false]) {
    const bytes = encodeModel(richModel, packed)
    const again = encodeOnnx(decodeOnnx(bytes))
    t.same(decodeModel(again), decodeModel(bytes))
    t.same(encodeOnnx(decodeOnnx(again)), again, 'stable')
  }
  const small = encodeModel(smallModel())
  t.same(Buffer.from(encodeOnnx(decodeOnnx(small))).toString('hex'), Buffer.from(small).toString('hex'))
})

t.test('default values that a file spells out stay spelled out', async (t) => {
  const plain = encodeModel(smallModel())
  const spelled = Uint8Array.of(...plain, 0x32, 0x00, 0x12, 0x00) // doc_string: "", producer_name: ""
  const again = encodeOnnx(decodeOnnx(spelled))
  t.equal(again.length, spelled.length)
  t.same(encodeOnnx({ ...decodeOnnx(spelled), docString: 'd' }).length, spelled.length + 1)
})

t.test('a graph that was cloned to another thread still carries everything', async (t) => {
  const bytes = encodeModel(richModel)
  t.same(decodeModel(encodeOnnx(structuredClone(decodeOnnx(bytes)))), decodeModel(bytes))
})

t.test('what is written without anything carried reads the same', async (t) => {
  const graph = withoutCarried(
    decodeOnnx(encodeModel(smallModel({ value_info: [{ name: 's', type: floatType('N', 2) }] }, { doc_string: 'd' })))
  )
  const bytes = encodeOnnx(graph)
  t.same(withoutCarried(decodeOnnx(bytes)), graph)
  t.match(decodeModel(bytes), { ir_version: '8', producer_name: 'polyadic', opset_import: [{ version: '17' }] })
})

t.test('changed parts are written as they are now, the rest as it was', async (t) => {
  const graph = decodeOnnx(encodeModel(richModel))
  const [first, ...others] = graph.nodes
  if (first === undefined) throw new Error('no node')
  const attributes = new Map(first.attributes).set('i', { kind: 'int', value: 5 }).set('f', { kind: 'string', value: 'now text' })
  const changed = {
    ...graph,
    docString: 'new',
    nodes: [{ ...first, name: 'named', attributes }, ...others],
    inputs: graph.inputs.map((info) => ({ ...info, dims: [1, 2, 3, 4] })),
    initializers: new Map(graph.initializers).set('b', floatTensor(Float32Array.of(5, 6, 7), [3]))
  }
  const model = decodeModel(encodeOnnx(changed)) as {
    graph: { node: { attribute: Message[] }[]; input: Message[]; initializer: Message[] }
  }
  t.match(model, { doc_string: 'new', producer_name: 'maker', future })
  t.match(model.graph.node[0], { name: 'named', overload: 'o', future })
  t.match(model.graph.node[0]?.attribute.slice(0, 2), [
    { name: 'f', type: 3, s: [...Buffer.from('now text')] },
    { name: 'i', type: 2, i: '5', future }
  ])
  t.match(model.graph.input, [
    { name: 'b', type: { tensor_type: { shape: { dim: [{ dim_value: '3' }] } } } },
    {
      name: 'x',
      future,
      type: {
        denotation: 'IMAGE',
        tensor_type: {
          shape: { dim: [{ dim_value: '1', denotation: 'BATCH', future }, { dim_value: '2' }, { dim_value: '3' }, { dim_value: '4' }] }
        }
      }
    },
    { name: 'text' }
  ])
  t.match(model.graph.initializer[1], { name: 'b', dims: ['3'], float_data: [5, 6, 7], future })
})

t.test('before IR version 4, new initializers are listed as inputs and removed ones are not', async (t) => {
  const old = decodeOnnx(
    encodeModel(
      smallModel(
        {
          input: [
            { name: 'b', type: floatType(2) },
            { name: 'x', type: floatType('N', 2) }
          ]
        },
        { ir_version: 3 }
      )
    )
  )
  const node = makeNode({ opType: 'Add', inputs: ['x', 'c'], outputs: ['s'] })
  const changed = replaceNode(old, 'add', [node], { add: new Map([['c', floatTensor(Float32Array.of(1, 1), [2])]]) })
  const model = decodeModel(encodeOnnx(changed)) as { graph: { input: Message[] } }
  t.same(
    model.graph.input.map(({ name }) => name),
    ['x', 'c']
  )
})

t.test('graphs that cannot be written say why', async (t) => {
  const graph = decodeOnnx(encodeModel(smallModel()))
  const put = (dims: number[], data: Float32Array) => ({
    ...graph,
    initializers: new Map([['b', { dtype: 'float32', dims, data } as const]])
  })
  const attribute = (value: number) => ({
    ...graph,
    nodes: graph.nodes.map((node) => ({ ...node, attributes: new Map([['a', { kind: 'int', value } as const]]) }))
  })
  t.match(
    errorOf(() => encodeOnnx(put([3], new Float32Array(2)))),
    { code: 'POLYADIC_GRAPH', message: /initializer "b": dims \[3\] hold 3 elements, got 2/ }
  )
  t.match(
    errorOf(() => encodeOnnx(put([1], new Float64Array(1) as never))),
    { code: 'POLYADIC_GRAPH', message: /cannot be Float64Array/ }
  )
  t.match(
    errorOf(() => encodeOnnx(attribute(0.5))),
    { code: 'POLYADIC_GRAPH', message: /node "add" \(Add\), attribute "a": 0.5 is not an integer/ }
  )
  t.match(
    errorOf(() => encodeOnnx({ ...graph, nodes: [] })),
    { code: 'POLYADIC_GRAPH', message: /output "y" is not produced/ }
  )
  t.match(decodeOnnx(encodeOnnx(attribute(Infinity))).nodes[0]?.attributes.get('a'), { kind: 'int', value: 2 ** 63 })
  t.match(
    errorOf(() => encodeOnnx({ ...graph, inputs: graph.inputs.map((info) => ({ ...info, dims: [1.5] })) })),
    { code: 'POLYADIC_GRAPH', message: /value "x": 1.5 is not a dimension/ }
  )
})
