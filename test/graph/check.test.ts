import t from 'tap'
import { checkGraph, sortNodes } from '../../lib/graph/check.js'
import type { Graph, Node } from '../../lib/graph/graph.js'
import { makeNode } from '../../lib/graph/rewrite.js'
import { floatTensor } from '../../lib/tensor.js'
import { errorOf } from '../helpers/onnx-builder.js'

const relu = (input: string, output: string, name = output): Node => makeNode({ opType: 'Relu', name, inputs: [input], outputs: [output] })

function graphOf(nodes: readonly Node[], more: Partial<Graph> = {}): Graph {
  return {
    name: 'g',
    nodes,
    inputs: [{ name: 'x', dtype: 'float32', dims: [1] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: [1] }],
    initializers: new Map(),
    valueInfo: [],
    opsets: new Map([['', 17]]),
    metadata: new Map(),
    docString: '',
    ...more
  }
}

t.test('a graph in order is given back itself', async (t) => {
  const graph = graphOf([relu('x', 'a'), relu('a', 'y')])
  t.equal(checkGraph(graph), graph)
})

t.test('nodes only move when they must', async (t) => {
  const nodes = [relu('b', 'y'), relu('x', 'z'), relu('a', 'b'), relu('x', 'a')]
  t.same(
    checkGraph(graphOf(nodes)).nodes.map(({ name }) => name),
    ['a', 'b', 'y', 'z']
  )
  t.same(
    sortNodes(graphOf([relu('x', 'a'), relu('x', 'b')])).map(({ name }) => name),
    ['a', 'b']
  )
})

t.test('sub-graphs count as using what they capture', async (t) => {
  const branch = makeNode({
    opType: 'If',
    inputs: ['x'],
    outputs: ['y'],
    attributes: { then_branch: { kind: 'opaque', value: { captures: ['a'] } } }
  })
  t.same(
    checkGraph(graphOf([branch, relu('x', 'a')])).nodes.map(({ name }) => name),
    ['a', 'y']
  )
  t.match(
    errorOf(() => checkGraph(graphOf([branch]))),
    { code: 'POLYADIC_GRAPH', subject: 'y', message: /input "a" does not exist/ }
  )
})

t.test('an output may be an input or an initializer', async (t) => {
  const weights = new Map([['y', floatTensor(new Float32Array(1), [1])]])
  t.ok(checkGraph(graphOf([], { initializers: weights })))
  t.ok(checkGraph(graphOf([], { opaqueInitializers: new Map([['y', {}]]) })))
})

t.test('what is wrong is named', async (t) => {
  const cases: [string, Graph, string, RegExp][] = [
    ['cycle', graphOf([relu('b', 'a'), relu('a', 'b'), relu('b', 'y')]), 'a', /node "a" \(Relu\) is part of a cycle/],
    ['own input', graphOf([relu('y', 'y')]), 'y', /cycle/],
    ['value twice', graphOf([relu('x', 'y', 'n'), relu('x', 'y', 'm')]), 'y', /value "y" is defined more than once/],
    ['overwrites an input', graphOf([relu('x', 'x')]), 'x', /value "x" is defined more than once/],
    ['node twice', graphOf([relu('x', 'y', 'n'), relu('x', 'z', 'n')]), 'n', /more than one node is named "n"/],
    ['no name', graphOf([relu('x', 'y', '')]), 'Relu', /a Relu node has no name/],
    ['missing', graphOf([relu('q', 'y')]), 'y', /node "y" \(Relu\): input "q" does not exist/],
    ['no output', graphOf([]), 'y', /output "y" is not produced/],
    ['no opset', graphOf([relu('x', 'y')], { opsets: new Map([['ai.onnx.ml', 1]]) }), 'y', /does not import an opset/],
    ['odd opset', graphOf([relu('x', 'y')], { opsets: new Map([['', 0]]) }), 'opset', /expected a positive integer, got 0/]
  ]
  for (const [name, graph, subject, message] of cases) {
    t.match(
      errorOf(() => checkGraph(graph)),
      { code: 'POLYADIC_GRAPH', subject, message },
      name
    )
  }
})

t.test('networks deeper than the call stack', async (t) => {
  const length = 50_000
  const nodes = Array.from({ length }, (_, i) => relu(i === 0 ? 'x' : `v${i - 1}`, i === length - 1 ? 'y' : `v${i}`)).reverse()
  t.equal(checkGraph(graphOf(nodes)).nodes[0]?.name, 'v0')
})
