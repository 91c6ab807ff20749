import t from 'tap'
import { replaceNode, makeNode } from '../../lib/graph/rewrite.js'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { decodeModel, encodeModel, errorOf, floatType, smallModel, withoutCarried } from '../helpers/onnx-builder.js'
import type { Message } from '../helpers/onnx-builder.js'
import { future, richModel } from '../helpers/rich-model.js'

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
