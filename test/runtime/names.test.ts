import t from 'tap'
import { makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { compile } from '../../lib/runtime/compile.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor } from '../../lib/tensor.js'

const x = { name: 'x', dtype: 'float32', dims: [2, 3] } as const
const y = { name: 'y', dtype: 'float32', dims: undefined } as const

void t.test('an input that is called as a property of every object has no value unless it is given one', (t) => {
  const graph = makeGraph({
    inputs: [x, { name: 'constructor', dtype: 'int64', dims: [2] }],
    outputs: [y],
    nodes: [makeNode({ opType: 'Reshape', inputs: ['x', 'constructor'], outputs: ['y'] })]
  })
  t.throws(() => compile(graph), { code: 'POLYADIC_ARGUMENT', subject: 'constructor' })
  t.end()
})

void t.test('nor is memory given for such an output', async (t) => {
  const data = floatTensor(new Float32Array([1, 2]), [2])
  const graph = makeGraph({
    inputs: [x],
    outputs: [y, { ...y, name: 'toString' }],
    nodes: [
      makeNode({ opType: 'Relu', inputs: ['x'], outputs: ['y'] }),
      makeNode({ opType: 'Constant', inputs: [], outputs: ['toString'], attributes: { value: data } })
    ]
  })
  await using session = await Session.create(graph)
  const results = await session.run({ x: floatTensor(new Float32Array(6), [2, 3]) }, { outputs: {} })
  t.same(results.toString, data)
})
