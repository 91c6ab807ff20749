import { floatType, type Message, rawFloats } from './onnx-builder.js'

/** The content of every unknown field. */
export const future = 'kept'
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
export const richModel: Message = {
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
      { name: 'float8', data_type: 17, dims: [80], raw_data: Uint8Array.from({ length: 80 }, (_, i) => i + 1) },
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
