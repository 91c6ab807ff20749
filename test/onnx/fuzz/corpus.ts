import { compress } from '../../../lib/replacement/compress.js'
import { encodeOnnx } from '../../../lib/onnx/write.js'
import { floatTensor } from '../../../lib/tensor.js'
import { branchModel, functionModel } from '../../helpers/body-models.js'
import { float, int, NetworkBuilder } from '../../helpers/network-builder.js'
import { encodeModel, floatType, type Message, rawFloats, smallModel } from '../../helpers/onnx-builder.js'
import { richModel } from '../../helpers/rich-model.js'

/** Conv → BatchNormalization → Relu → pool → Reshape by computed shape → Gemm → Softmax, and quantised, constant and filled weights. */
function network(): NetworkBuilder {
  const builder = new NetworkBuilder(13)
  const x = builder.input(['N', 2, 6, 6])
  const maps = builder.node('Relu', [builder.norm(builder.conv(x, [3, 2, 3, 3], { pads: [1, 1, 1, 1] }), 3)])
  const pooled = builder.node('MaxPool', [maps], { kernel_shape: [2, 2], strides: [2, 2] })
  const quantised = builder.node('DequantizeLinear', [
    builder.constant({ dtype: 'int8', dims: [3, 1, 3, 3], data: Int8Array.from({ length: 27 }, (_, i) => i - 13) }),
    builder.scalar(0.1)
  ])
  const depthwise = builder.node('Conv', [pooled, quantised], { group: int(3), auto_pad: 'SAME_UPPER' })
  const batch = builder.node('Gather', [builder.node('Shape', [depthwise]), builder.ints(0)], { axis: int(0) })
  const shape = builder.node('Concat', [batch, builder.ints(-1)], { axis: int(0) })
  const flat = builder.node('Reshape', [depthwise, shape])
  const matrix = builder.node('Constant', [], { value: floatTensor(new Float32Array(27 * 4).fill(0.1), [27, 4]) })
  const filled = builder.node('ConstantOfShape', [builder.ints(4)], { value: floatTensor(Float32Array.of(0.5), [1]) })
  builder.node('Softmax', [builder.node('Gemm', [flat, matrix, filled], { alpha: float(0.5) })], { axis: int(1) })
  return builder
}

const external = (name: string, location: string, entries: Record<string, string> = {}): Message => ({
  name,
  data_type: 1,
  dims: [2],
  data_location: 1,
  external_data: Object.entries({ location, ...entries }).map(([key, value]) => ({ key, value }))
})

const subgraph = (input: string): Message => ({
  name: 'body',
  node: [{ op_type: 'Relu', input: [input], output: ['q'] }],
  output: [{ name: 'q', type: floatType('N', 2) }]
})

/** Small models that between them use all that the reader understands. `weights.bin` has to be beside some of them. */
export async function fuzzCorpus(): Promise<readonly Uint8Array[]> {
  const builder = network()
  const graph = builder.graph(builder.nodes.at(-1)?.outputs[0] as string)
  const conv = builder.nodes[0]?.name as string
  const compressed = await compress(graph, { whenSlower: 'replace', layers: { [conv]: { rank: 2, batchNorm: 'fold' } } })
  const branches = [
    { name: 'then_branch', type: 5, g: subgraph('s') },
    { name: 'else_branch', type: 5, g: subgraph('b') }
  ]
  const nodes = [
    { name: 'add', op_type: 'Add', input: ['x', 'b'], output: ['s'], attribute: [{ name: 'ints', type: 7, ints: [1, 2] }] },
    { op_type: 'If', input: ['s'], output: ['y'], attribute: branches }
  ]
  const sparse = {
    values: { name: 'w', data_type: 1, dims: [2], raw_data: rawFloats(1, 2) },
    indices: { data_type: 7, dims: [2], int64_data: [0, 3] },
    dims: [2, 2]
  }
  return [
    encodeModel(richModel),
    encodeModel(richModel, false),
    encodeModel(smallModel()),
    encodeModel(smallModel({ node: nodes }, { metadata_props: [{ key: 'k', value: 'v' }] })),
    encodeModel(smallModel({ sparse_initializer: [sparse] })),
    encodeModel(smallModel({ sparse_initializer: [{ ...sparse, dims: [4000, 4000] }] })),
    encodeModel(smallModel({ initializer: [external('b', 'weights.bin', { offset: '4', length: '8' }), external('c', 'weights.bin')] })),
    encodeModel(branchModel),
    encodeModel(functionModel),
    encodeOnnx(graph),
    encodeOnnx(compressed.graph)
  ]
}
