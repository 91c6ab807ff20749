import t from 'tap'
import {
  consumers,
  float,
  floatAttribute,
  floatsAttribute,
  freshName,
  int,
  intAttribute,
  intsAttribute,
  makeGraph,
  makeNode,
  producers,
  removeUnusedInitializers,
  replaceNode,
  stringAttribute,
  stringsAttribute,
  tensorAttribute,
  valueNames
} from '../../lib/graph/rewrite.js'
import { floatTensor } from '../../lib/tensor.js'
import { errorOf } from '../helpers/onnx-builder.js'

const tensor = floatTensor(new Float32Array(1), [1])

const node = makeNode({
  opType: 'X',
  inputs: ['x'],
  outputs: ['', 'y'],
  attributes: {
    int: int(2),
    float: float(0.5),
    string: 'text',
    ints: [1, 2],
    floats: { kind: 'floats', value: [0.5] },
    strings: { kind: 'strings', value: ['a'] },
    tensor
  }
})

/** x → conv (w, b) → relu → y, and w is used by `other` too. */
const graph = makeGraph({
  inputs: [{ name: 'x', dtype: 'float32', dims: [1] }],
  outputs: [
    { name: 'y', dtype: 'float32', dims: [1] },
    { name: 'z', dtype: 'float32', dims: [1] }
  ],
  nodes: [
    makeNode({ opType: 'Conv', name: 'conv', inputs: ['x', 'w', 'b'], outputs: ['c', 'aux'] }),
    makeNode({ opType: 'Relu', name: 'relu', inputs: ['c'], outputs: ['y'] }),
    makeNode({ opType: 'Mul', name: 'other', inputs: ['w', 'w'], outputs: ['z'] })
  ],
  initializers: new Map([
    ['w', tensor],
    ['b', tensor],
    ['unused', tensor]
  ]),
  valueInfo: [
    { name: 'aux', dtype: 'float32', dims: [1] },
    { name: 'c', dtype: 'float32', dims: [1] }
  ]
})

t.test('attributes are read by kind, with a default', async (t) => {
  t.equal(node.name, 'y')
  t.equal(intAttribute(node, 'int'), 2)
  t.equal(floatAttribute(node, 'float'), 0.5)
  t.equal(floatAttribute(node, 'int'), 2)
  t.equal(stringAttribute(node, 'string'), 'text')
  t.same(intsAttribute(node, 'ints'), [1, 2])
  t.same(floatsAttribute(node, 'floats'), [0.5])
  t.same(stringsAttribute(node, 'strings'), ['a'])
  t.equal(tensorAttribute(node, 'tensor'), tensor)
  t.equal(intAttribute(node, 'none', 7), 7)
  t.same(intsAttribute(node, 'none', [1]), [1])
})

t.test('another kind, or none without a default, names node and attribute', async (t) => {
  t.match(
    errorOf(() => intAttribute(node, 'ints', 3)),
    { code: 'POLYADIC_GRAPH', subject: 'y', message: 'node "y" (X): attribute "ints": expected int, got ints' }
  )
  t.match(
    errorOf(() => stringAttribute(node, 'none')),
    { code: 'POLYADIC_GRAPH', message: /attribute "none": expected string, got none/ }
  )
})

t.test('who makes and who takes a value', async (t) => {
  t.same(
    [...producers(graph)].map(([value, { name }]) => [value, name]),
    [
      ['c', 'conv'],
      ['aux', 'conv'],
      ['y', 'relu'],
      ['z', 'other']
    ]
  )
  t.same(
    consumers(graph)
      .get('w')
      ?.map(({ name }) => name),
    ['conv', 'other']
  )
  t.equal(consumers(graph).get('y'), undefined)
})

t.test('a node is replaced in its place', async (t) => {
  const nodes = [
    makeNode({ opType: 'Conv', name: 'conv/1', inputs: ['x', 'w1'], outputs: ['t'] }),
    makeNode({ opType: 'Conv', name: 'conv/2', inputs: ['t', 'w2'], outputs: ['c'] })
  ]
  const add = new Map([
    ['w1', tensor],
    ['w2', tensor]
  ])
  const result = replaceNode(graph, 'conv', nodes, { add, removeUnused: true })
  t.same(
    result.nodes.map(({ name }) => name),
    ['conv/1', 'conv/2', 'relu', 'other']
  )
  t.same([...result.initializers.keys()], ['w', 'unused', 'w1', 'w2'], 'b goes, w is still used, unused is none of our business')
  t.same(
    result.valueInfo.map(({ name }) => name),
    ['c'],
    'aux is gone'
  )
  t.same(graph.nodes.length, 3, 'the graph given is as it was')
  t.same([...replaceNode(graph, 'conv', nodes, { add, removeUnused: false }).initializers.keys()], ['w', 'b', 'unused', 'w1', 'w2'])
  t.match(
    errorOf(() => replaceNode(graph, 'nothing', [])),
    { code: 'POLYADIC_GRAPH', subject: 'nothing' }
  )
  t.match(
    errorOf(() => replaceNode(graph, 'conv', nodes, { add: new Map([['w', tensor]]) })),
    { code: 'POLYADIC_GRAPH', subject: 'w' }
  )
  t.match(
    errorOf(() => replaceNode(graph, 'conv', [])),
    { code: 'POLYADIC_GRAPH', message: /input "c" does not exist/ }
  )
})

t.test('unused initializers go; what outputs and sub-graphs use stays', async (t) => {
  t.same([...removeUnusedInitializers(graph).initializers.keys()], ['w', 'b'])
  const branch = makeNode({
    opType: 'If',
    inputs: ['x'],
    outputs: ['o'],
    attributes: { g: { kind: 'opaque', value: { captures: ['unused'] } } }
  })
  const captured = { ...graph, nodes: [...graph.nodes, branch] }
  t.equal(removeUnusedInitializers(captured), captured)
  const annotated = { ...graph, carried: { captures: ['unused'] } }
  t.equal(removeUnusedInitializers(annotated), annotated)
})

t.test('fresh names', async (t) => {
  t.equal(freshName(graph, 'new'), 'new')
  t.equal(freshName(graph, 'w'), 'w_1')
  t.equal(freshName(graph, 'conv'), 'conv_1', 'node names are avoided too')
  t.equal(freshName(new Set(['a', 'a_1']), 'a'), 'a_2')
  t.same(valueNames(graph), new Set(['x', 'w', 'b', 'unused', 'c', 'aux', 'y', 'z']))
})

t.test('a graph from scratch has opset 17 unless said otherwise, and is checked', async (t) => {
  t.same([...graph.opsets], [['', 17]])
  t.same(
    [...makeGraph({ inputs: graph.inputs, outputs: [{ name: 'x', dtype: 'float32', dims: [1] }], nodes: [], opset: 13 }).opsets],
    [['', 13]]
  )
  t.equal(errorOf(() => makeGraph({ inputs: [], outputs: [], nodes: [node] })).code, 'POLYADIC_GRAPH')
})
