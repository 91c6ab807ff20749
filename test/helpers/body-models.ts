import { floatType, type Message, rawFloats } from './onnx-builder.js'

/*
 * Models with sub-graphs and functions, as PyTorch's exporters write them, encoded by protobufjs.
 */

type Inputs = readonly string[]

export const node = (op_type: string, input: Inputs, output: Inputs, attribute: readonly Message[] = [], domain = ''): Message => ({
  op_type,
  input,
  output,
  attribute,
  domain
})
/** A value of any shape. */
export const anyShape = (name: string, elem_type = 1): Message => ({ name, type: { tensor_type: { elem_type } } })
export const floats = (name: string, dims: readonly number[], seed = 1): Message => {
  const count = dims.reduce((a, b) => a * b, 1)
  return { name, data_type: 1, dims, raw_data: rawFloats(...Array.from({ length: count }, (_, i) => Math.sin(seed + i * 1.7) / 2)) }
}
export const longs = (name: string, dims: readonly number[], ...numbers: readonly number[]): Message => ({
  name,
  data_type: 7,
  dims,
  int64_data: numbers
})
const ints = (name: string, ...numbers: readonly number[]): Message => ({ name, type: 7, ints: numbers })
const int = (name: string, i: number): Message => ({ name, type: 2, i })
const reference = (name: string, type: number, to = name): Message => ({ name, type, ref_attr_name: to })
export const graphAttribute = (
  name: string,
  nodes: readonly Message[],
  output: string | Message,
  initializer: readonly Message[] = []
): Message => ({
  name,
  type: 5,
  g: { name, node: nodes, output: [typeof output === 'string' ? anyShape(output) : output], initializer }
})

export function modelOf(graph: Message, more: Message = {}): Message {
  return {
    ir_version: 8,
    opset_import: [{ version: 18 }, { domain: 'pkg.nn', version: 1 }, { domain: 'pkg.lib', version: 1 }],
    graph: { name: 'bodies', ...graph },
    ...more
  }
}

/**
 * y is x without its axis 2 where that has one element, and else a convolution of x; both branches call a value `t`. The shape decides, as
 * where torch exports squeeze().
 */
export const branchModel = modelOf({
  node: [
    node('Shape', ['x'], ['shape']),
    node('Gather', ['shape', 'two'], ['h']),
    node('Equal', ['h', 'one'], ['is_one']),
    node(
      'If',
      ['is_one'],
      ['y'],
      [
        graphAttribute('then_branch', [node('Abs', ['x'], ['t']), node('Squeeze', ['t', 'axes'], ['q'])], 'q'),
        graphAttribute('else_branch', [node('Conv', ['x', 'w'], ['t'])], 't', [floats('w', [3, 4, 1, 1])])
      ]
    )
  ],
  initializer: [longs('two', [], 2), longs('one', [], 1), longs('axes', [1], 2)],
  input: [{ name: 'x', type: floatType('N', 4, 'H', 5) }],
  output: [anyShape('y')]
})

/** An If within a branch of an If: y = −x, or x·2x where `flag` is true. */
export const nestedModel = modelOf({
  node: [
    node(
      'If',
      ['flag'],
      ['y'],
      [
        graphAttribute(
          'then_branch',
          [
            node('Add', ['x', 'x'], ['outer']),
            node(
              'If',
              ['no'],
              ['r'],
              [
                graphAttribute('then_branch', [node('Abs', ['x'], ['a'])], 'a'),
                graphAttribute('else_branch', [node('Mul', ['outer', 'x'], ['b'])], 'b')
              ]
            )
          ],
          'r'
        ),
        graphAttribute('else_branch', [node('Neg', ['x'], ['n'])], 'n')
      ]
    )
  ],
  initializer: [{ name: 'no', data_type: 9, dims: [], int32_data: [0] }],
  input: [
    { name: 'x', type: floatType(2, 3) },
    { name: 'flag', type: { tensor_type: { elem_type: 9, shape: {} } } }
  ],
  output: [anyShape('y')]
})

const shaped: Message = {
  name: 'shaped',
  domain: 'pkg.lib',
  input: ['data', 'size'],
  output: ['r'],
  node: [node('Concat', ['size', 'size'], ['s'], [int('axis', 0)]), node('Reshape', ['data', 's'], ['r'])],
  opset_import: [{ version: 18 }]
}

/** A function's target of a Reshape is an input of the network, of which a branch makes a list. */
export const shapeModel = modelOf(
  {
    node: [
      node('Unsqueeze', ['n', 'zero'], ['list']),
      node(
        'If',
        ['yes'],
        ['size'],
        [
          graphAttribute('then_branch', [node('Identity', ['list'], ['t'])], anyShape('t', 7)),
          graphAttribute('else_branch', [node('Neg', ['list'], ['t'])], anyShape('t', 7))
        ]
      ),
      node('shaped', ['x', 'size'], ['y'], [], 'pkg.lib')
    ],
    initializer: [longs('zero', [1], 0), { name: 'yes', data_type: 9, dims: [], int32_data: [1] }],
    input: [
      { name: 'x', type: floatType(4) },
      { name: 'n', type: { tensor_type: { elem_type: 7, shape: {} } } }
    ],
    output: [anyShape('y')]
  },
  { functions: [shaped] }
)

const silu: Message = {
  name: 'silu',
  domain: 'pkg.lib',
  input: ['x'],
  output: ['y'],
  node: [node('Sigmoid', ['x'], ['s']), node('Mul', ['x', 's'], ['y'])],
  opset_import: [{ version: 18 }]
}
/** Its pads are those of the call, its slope has a default. */
const block: Message = {
  name: 'block',
  domain: 'pkg.nn',
  input: ['x', 'weight', 'bias'],
  output: ['z'],
  attribute: ['pads', 'unused'],
  attribute_proto: [{ name: 'slope', type: 1, f: 0.25 }],
  node: [
    { ...node('Conv', ['x', 'weight', 'bias'], ['c'], [reference('pads', 7), reference('group', 2, 'unused')]), name: 'conv' },
    node('silu', ['c'], ['a'], [], 'pkg.lib'),
    node('LeakyRelu', ['a'], ['z'], [reference('alpha', 1, 'slope')])
  ],
  opset_import: [{ version: 18 }, { domain: 'pkg.lib', version: 1 }]
}
/** What torch's dynamo exporter writes for mean(dim): its branches depend on ranks, and refer to attributes of the call. */
const mean: Message = {
  name: 'mean_dim',
  domain: 'pkg.lib',
  input: ['self', 'dim'],
  output: ['result'],
  attribute: ['keepdim'],
  node: [
    node('Shape', ['dim'], ['shape']),
    node('Size', ['shape'], ['rank']),
    node('Constant', [], ['one'], [int('value_int', 1)]),
    node('Less', ['rank', 'one'], ['is_scalar']),
    node(
      'If',
      ['is_scalar'],
      ['axes'],
      [
        graphAttribute(
          'then_branch',
          [node('Constant', [], ['minus'], [ints('value_ints', -1)]), node('Reshape', ['dim', 'minus'], ['d'])],
          anyShape('d', 7)
        ),
        graphAttribute('else_branch', [node('Identity', ['dim'], ['d'])], anyShape('d', 7))
      ]
    ),
    node('ReduceMean', ['self', 'axes'], ['result'], [reference('keepdims', 2, 'keepdim')])
  ],
  opset_import: [{ version: 18 }]
}

/** Three calls of `block`, whose bias may be left out, and the mean of rows and columns. */
export const functionModel = modelOf(
  {
    node: [
      { ...node('block', ['x', 'w1', 'b1'], ['h1'], [ints('pads', 1, 1, 1, 1)], 'pkg.nn'), name: 'block1' },
      { ...node('block', ['h1', 'w2', ''], ['h2'], [{ name: 'slope', type: 1, f: 0.5 }], 'pkg.nn'), name: 'block2' },
      { ...node('block', ['h2', 'w2'], ['h3'], [ints('pads', 0, 1, 1, 0)], 'pkg.nn'), name: 'block3' },
      node('Constant', [], ['dims'], [ints('value_ints', -1, -2)]),
      { ...node('mean_dim', ['h3', 'dims'], ['m'], [int('keepdim', 1)], 'pkg.lib'), name: 'mean' },
      node('Flatten', ['m'], ['y'])
    ],
    initializer: [floats('w1', [4, 3, 3, 3]), floats('b1', [4], 2), floats('w2', [4, 4, 3, 3], 3)],
    input: [{ name: 'x', type: floatType('N', 3, 9, 8) }],
    output: [anyShape('y')]
  },
  { functions: [block, silu, mean] }
)
export const functions = { silu, block, mean }
