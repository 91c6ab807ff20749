import t from 'tap'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { compress } from '../../lib/replacement/compress.js'
import { decodeModel, encodeModel, floatType, type Message, rawFloats } from '../helpers/onnx-builder.js'
import { normals } from './helpers.js'

const weights = (name: string, ...dims: number[]): Message => ({
  name,
  data_type: 1,
  dims,
  raw_data: rawFloats(
    ...normals(
      dims.reduce((a, b) => a * b, 1),
      dims.length
    )
  ),
  doc_string: `what ${name} is`,
  future: 'kept'
})

/** An operator of another domain, a Conv with all that a node may carry, another operator that nobody knows, a Gemm. */
const model: Message = {
  ir_version: 11,
  producer_name: 'some exporter',
  producer_version: '1.2',
  domain: 'org.example',
  model_version: 7,
  doc_string: 'a model',
  future: 'kept',
  opset_import: [{ version: 23 }, { domain: 'org.example', version: 3 }],
  metadata_props: [{ key: 'author', value: 'someone' }],
  functions: [{ name: 'f', domain: 'org.example', node: [{ op_type: 'Relu', input: ['a'], output: ['b'] }] }],
  graph: {
    name: 'g',
    doc_string: 'a graph',
    metadata_props: [{ key: 'stage', value: 'final' }],
    future: 'kept',
    node: [
      {
        name: 'pre',
        op_type: 'Normalise',
        domain: 'org.example',
        input: ['x'],
        output: ['p'],
        attribute: [{ name: 'k', type: 2, i: 3 }],
        future: 'kept'
      },
      {
        name: '/features/0/Conv',
        op_type: 'Conv',
        input: ['p', 'w', 'b'],
        output: ['c'],
        doc_string: 'network.py(12)',
        attribute: [{ name: 'pads', type: 7, ints: [1, 1, 1, 1], doc_string: 'of the attribute' }],
        metadata_props: [{ key: 'namespace', value: 'features.0' }]
      },
      {
        name: 'future',
        op_type: 'NotYetInvented',
        input: ['c'],
        output: ['r'],
        doc_string: 'kept as well',
        metadata_props: [{ key: 'a', value: 'b' }]
      },
      { name: 'flat', op_type: 'Flatten', input: ['r'], output: ['f'] },
      { name: 'fc', op_type: 'Gemm', input: ['f', 'g'], output: ['y'], metadata_props: [{ key: 'namespace', value: 'fc' }] }
    ],
    initializer: [weights('w', 4, 3, 3, 3), weights('b', 4), weights('g', 64, 5)],
    input: [{ name: 'x', type: floatType('N', 3, 4, 4), doc_string: 'an image' }],
    output: [{ name: 'y', type: floatType('N', 5), doc_string: 'scores' }],
    value_info: [{ name: 'c', type: floatType('N', 4, 4, 4), doc_string: 'maps' }]
  }
}

interface Written extends Message {
  readonly graph: { readonly node: Message[]; readonly initializer: Message[] } & Message
}

t.test('everything but the layers that are replaced survives compression to the last field', async (t) => {
  const bytes = encodeModel(model)
  const { graph } = await compress(decodeOnnx(bytes), { whenSlower: 'replace', layers: { '/features/0/Conv': 2, fc: 3 } })
  const before = decodeModel(bytes) as Written
  const after = decodeModel(encodeOnnx(graph)) as Written
  const named = (written: Written, name: string): Message | undefined => written.graph.node.find((node) => node.name === name)
  const { graph: graphBefore, ...modelBefore } = before
  const { graph: graphAfter, ...modelAfter } = after
  t.strictSame(modelAfter, modelBefore, 'IR version, producer, opsets, metadata, functions, unknown fields')
  const withoutBody = ({ node: _, initializer: __, ...rest }: Written['graph']): Message => rest
  t.strictSame(withoutBody(graphAfter), withoutBody(graphBefore), 'inputs, outputs, value infos, doc strings')
  for (const name of ['pre', 'future', 'flat']) t.strictSame(named(after, name), named(before, name), name)
  t.strictSame(
    graphAfter.initializer.filter((tensor) => tensor.name === 'b'),
    graphBefore.initializer.filter((tensor) => tensor.name === 'b')
  )

  const chain = ['reduce', 'vertical', 'horizontal', 'expand'].map((role) => named(after, `/features/0/Conv/${role}`))
  for (const node of chain) t.match(node, { op_type: 'Conv', metadata_props: [{ key: 'namespace', value: 'features.0' }] })
  t.strictSame(
    chain.map((node) => node?.doc_string),
    [undefined, undefined, undefined, 'network.py(12)'],
    'the doc string stays with the node that makes the output'
  )
  t.match(chain.at(-1), { output: ['c'], input: [/horizontal/, '/features/0/Conv/expand.weight', 'b'] })
  t.match(named(after, 'fc/expand'), { op_type: 'Gemm', output: ['y'], metadata_props: [{ key: 'namespace', value: 'fc' }] })
})

t.test('a network with unknown operators is compressed and written, a name that is taken gets a number', async (t) => {
  const graph = decodeOnnx(encodeModel(model))
  const once = await compress(graph, { whenSlower: 'replace', layers: { '/features/0/Conv': 2 } })
  // The expand layer is a layer too: compressed once more, its parts are named after it.
  const twice = await compress(once.graph, { whenSlower: 'replace', layers: { '/features/0/Conv/expand': 1 } })
  t.strictSame(twice.layers[0]?.nodes, ['/features/0/Conv/expand/reduce', '/features/0/Conv/expand/expand'])
  t.equal(decodeOnnx(encodeOnnx(twice.graph)).nodes.length, graph.nodes.length + 4)
  t.equal(once.layers[0]?.macsBefore, undefined, 'nobody knows how large the maps are behind an unknown operator')
})
