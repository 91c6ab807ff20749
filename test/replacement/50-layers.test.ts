import * as ort from 'onnxruntime-node'
import t from 'tap'
import type { Test } from 'tap'
import type { Attribute, Graph } from '../../lib/graph/graph.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { type CompressResult, compress } from '../../lib/replacement/compress.js'
import type { CompressOptions } from '../../lib/replacement/options.js'
import { compressibleLayers } from '../../lib/replacement/layers.js'
import { elementCount, type FloatTensor, floatTensor, fromFloat32, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { float, int, NetworkBuilder } from '../helpers/network-builder.js'
import { normals } from './helpers.js'

async function onnxruntime(graph: Graph, x: FloatTensor): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(encodeOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const outputs = await session.run({ [graph.inputs[0]?.name as string]: new ort.Tensor('float32', x.data, x.dims) })
  await session.release()
  return outputs[graph.outputs[0]?.name as string] as ort.Tensor
}

/** onnxruntime gives the same for `graph` and for what `compress` makes of it, up to `tolerance` of the largest output. */
async function agree(
  t: Test,
  graph: Graph,
  dims: readonly number[],
  layers: CompressOptions['layers'],
  tolerance = 2e-5
): Promise<CompressResult> {
  const x = floatTensor(normals(elementCount(dims), 5), dims)
  const result = await compress(graph, { whenSlower: 'replace', layers, inputShapes: { [graph.inputs[0]?.name as string]: dims } })
  const [expected, actual] = [await onnxruntime(graph, x), await onnxruntime(result.graph, x)]
  t.strictSame(actual.dims, expected.dims)
  const values = Float32Array.from(expected.data as Float32Array)
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(actual.data[i]))), 0)
  t.ok(scale > 0.1 && error < tolerance * scale, `error ${error} on a scale of ${scale}`)
  return result
}

const roles = ({ graph }: CompressResult, layer: string): string[] =>
  graph.nodes.filter(({ name }) => name.startsWith(`${layer}/`)).map(({ name }) => name.slice(layer.length + 1))

interface AxesCase {
  readonly title: string
  readonly input: readonly number[]
  readonly dims: readonly number[]
  readonly attributes?: Readonly<Record<string, Attribute | string | readonly number[]>>
  readonly roles: readonly string[]
}

const axesCases: readonly AxesCase[] = [
  { title: 'Conv1d', input: [2, 5, 17], dims: [6, 5, 4], roles: ['reduce', 'horizontal', 'expand'] },
  {
    title: 'Conv1d: stride, dilation, asymmetric pads, two groups',
    input: [2, 6, 19],
    dims: [4, 3, 3],
    attributes: { strides: [2], dilations: [3], pads: [1, 4], group: int(2) },
    roles: ['reduce', 'horizontal', 'expand']
  },
  {
    title: 'Conv1d of one channel, SAME_LOWER with stride 3',
    input: [2, 1, 20],
    dims: [4, 1, 5],
    attributes: { auto_pad: 'SAME_LOWER', strides: [3] },
    roles: ['horizontal', 'expand']
  },
  { title: 'Conv1d, 1 wide', input: [2, 5, 9], dims: [4, 5, 1], attributes: { strides: [2] }, roles: ['reduce', 'expand'] },
  { title: 'Conv3d', input: [1, 3, 6, 7, 8], dims: [4, 3, 3, 2, 4], roles: ['reduce', 'depth', 'vertical', 'horizontal', 'expand'] },
  {
    title: 'Conv3d: strides, dilations, asymmetric pads, two groups',
    input: [1, 4, 9, 8, 9],
    dims: [6, 2, 3, 3, 2],
    attributes: { strides: [2, 1, 3], dilations: [1, 2, 3], pads: [1, 0, 2, 0, 3, 1], group: int(2) },
    roles: ['reduce', 'depth', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'Conv3d, flat in depth, SAME_UPPER',
    input: [1, 2, 5, 7, 6],
    dims: [3, 2, 1, 3, 3],
    attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2, 1] },
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'Conv3d of one channel',
    input: [1, 1, 6, 6, 6],
    dims: [3, 1, 2, 3, 3],
    roles: ['depth', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'Conv2d, depthwise, dilated, kH != kW, asymmetric pads',
    input: [1, 4, 11, 12],
    dims: [4, 1, 3, 5],
    attributes: { group: int(4), dilations: [2, 1], strides: [1, 2], pads: [0, 1, 3, 2] },
    roles: ['vertical', 'horizontal', 'expand']
  }
]

t.test('convolutions of one, two and three axes', async (t) => {
  for (const { title, input, dims, attributes, roles: expected } of axesCases) {
    await t.test(title, async (t) => {
      const builder = new NetworkBuilder()
      const x = builder.input(input)
      const y = builder.conv(x, dims, attributes)
      const name = builder.nodes[0]?.name as string
      const result = await agree(t, builder.graph(y), input, { [name]: 'full' })
      t.strictSame(roles(result, name), expected)
    })
  }
})

t.test('Gemm: two of it, whatever its attributes and opset', async (t) => {
  const cases: readonly [string, number, Record<string, Attribute>, readonly number[] | undefined][] = [
    ['B inputs×outputs, a bias', 13, {}, [7]],
    ['B outputs×inputs', 13, { transB: int(1) }, undefined],
    ['alpha, beta, a C of one row', 13, { alpha: float(0.5), beta: float(-2), transB: int(1) }, [1, 7]],
    ['A transposed, a scalar C', 13, { transA: int(1) }, []],
    ['opset 9, where C is required', 9, { transB: int(1) }, [7]],
    ['opset 7, A transposed', 7, { transA: int(1), alpha: float(3) }, [7]]
  ]
  for (const [title, opset, attributes, bias] of cases) {
    await t.test(title, async (t) => {
      const builder = new NetworkBuilder(opset)
      const dims = 'transA' in attributes ? [10, 4] : [4, 10]
      const x = builder.input(dims)
      const b = builder.weight(...('transB' in attributes ? [7, 10] : [10, 7]))
      const y = builder.node('Gemm', [x, b, ...(bias === undefined ? [] : [builder.weight(...bias)])], attributes)
      const result = await agree(t, builder.graph(y), dims, { [y]: 'full' })
      t.strictSame(
        result.graph.nodes.map(({ opType, name }) => [opType, name]),
        [
          ['Gemm', `${y}/reduce`],
          ['Gemm', `${y}/expand`]
        ]
      )
      const [report] = result.layers
      t.match(report, {
        form: 'matrix',
        kernel: [7, 10],
        rank: 7,
        parametersBefore: 70 + (bias ? 7 : 0),
        macsBefore: 70,
        macsAfter: 7 * 17
      })
    })
  }
})

t.test('MatMul: two of it, also over rows of rows', async (t) => {
  for (const dims of [
    [4, 10],
    [2, 3, 10]
  ]) {
    const builder = new NetworkBuilder()
    const x = builder.input(dims)
    const y = builder.node('Add', [builder.node('MatMul', [x, builder.weight(10, 6)]), builder.weight(6)])
    const [layer] = compressibleLayers(builder.graph(y))
    const result = await agree(t, builder.graph(y), dims, { [layer?.name as string]: 'full' })
    t.strictSame(
      result.graph.nodes.map(({ opType }) => opType),
      ['MatMul', 'MatMul', 'Add']
    )
    t.equal(result.layers[0]?.macsBefore, 60 * (dims.length === 3 ? 3 : 1))
    // Truncated, the singular values that are left out are the error.
    const half = await compress(builder.graph(y), { whenSlower: 'replace', layers: { [layer?.name as string]: 3 } })
    t.ok((half.layers[0]?.relativeError ?? 0) > 0.01 && (half.layers[0]?.relativeError ?? 1) < 0.9)
  }
})

/** Conv → Relu → Flatten (or a Reshape, through a Dropout) → fully connected. */
function classifier(opType: 'Gemm' | 'MatMul', flatten: 'Flatten' | 'Reshape', attributes: Record<string, Attribute> = {}): Graph {
  const builder = new NetworkBuilder()
  const x = builder.input(['N', 2, 6, 7])
  const maps = builder.node('Relu', [builder.conv(x, [3, 2, 3, 3])])
  const flat =
    flatten === 'Flatten'
      ? builder.node('Flatten', [maps], { axis: int(1) })
      : builder.node('Dropout', [builder.node('Reshape', [maps, builder.ints(0, -1)])])
  const weight = opType === 'Gemm' ? builder.weight(5, 60) : builder.weight(60, 5)
  const y = opType === 'Gemm' ? builder.node('Gemm', [flat, weight, builder.weight(5)], attributes) : builder.node('MatMul', [flat, weight])
  return builder.graph(y)
}

t.test('a fully connected layer behind a flatten as four small convolutions', async (t) => {
  const gemm = { transB: int(1), alpha: float(0.5), beta: float(2) }
  for (const graph of [classifier('Gemm', 'Flatten', gemm), classifier('MatMul', 'Flatten'), classifier('MatMul', 'Reshape')]) {
    const name = graph.nodes.at(-1)?.name as string
    const result = await agree(t, graph, [2, 2, 6, 7], { [name]: { rank: 'full', form: 'convolution' } })
    t.strictSame(roles(result, name), ['reduce', 'vertical', 'horizontal', 'expand', 'flatten'])
    t.strictSame(
      result.graph.nodes.map(({ opType }) => opType),
      ['Conv', 'Relu', 'Conv', 'Conv', 'Conv', 'Conv', 'Flatten'],
      'the old flatten is gone'
    )
    t.match(result.layers[0], { name, form: 'cp4', kernel: [5, 3, 4, 5], groups: 1 })
  }
  // Both forms, a rank that truncates: fewer parameters, an error that is the decomposition's.
  const graph = classifier('Gemm', 'Flatten', gemm)
  const name = graph.nodes.at(-1)?.name as string
  for (const form of ['matrix', 'convolution'] as const) {
    const { layers } = await compress(graph, { whenSlower: 'replace', layers: { [name]: { rank: 2, form } } })
    t.ok((layers[0]?.parametersAfter ?? 1e9) < (layers[0]?.parametersBefore ?? 0), form)
  }
})

t.test('form convolution where it cannot be: an error that names the layer and says what is missing', async (t) => {
  const graph = classifier('Gemm', 'Flatten', { transB: int(1) })
  const [conv, , , gemm] = graph.nodes.map(({ name }) => name) as [string, string, string, string]
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { [conv]: { rank: 2, form: 'convolution' } } }), {
    code: 'POLYADIC_UNSUPPORTED',
    subject: conv,
    message: /is a Conv already/
  })
  const open = { ...graph, inputs: [{ name: 'x0', dtype: 'float32' as const, dims: ['N', 2, 'H', 'W'] }] }
  await t.rejects(compress(open, { whenSlower: 'replace', layers: { [gemm]: { rank: 2, form: 'convolution' } } }), {
    code: 'POLYADIC_UNSUPPORTED',
    message: /give inputShapes/
  })
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { [gemm]: { rank: 2, form: 'svd' as 'matrix' } } }), {
    code: 'POLYADIC_ARGUMENT'
  })
  const plain = new NetworkBuilder()
  const y = plain.node('MatMul', [plain.input(['N', 8]), plain.weight(8, 4)])
  await t.rejects(compress(plain.graph(y), { whenSlower: 'replace', layers: { [y]: { rank: 2, form: 'convolution' } } }), {
    message: /needs a flatten of maps/
  })
})

t.test('batch normalisation: kept, or folded first', async (t) => {
  const network = (readers: number, bias = true): { graph: Graph; conv: string; norm: string } => {
    const builder = new NetworkBuilder()
    const x = builder.input(['N', 3, 8, 8])
    const conv = builder.conv(x, [6, 3, 3, 3], { pads: [1, 1, 1, 1] }, bias)
    const norm = builder.norm(conv, 6)
    const y = builder.node('Relu', [norm])
    return { graph: builder.graph(readers > 1 ? builder.node('Add', [y, conv]) : y), conv, norm }
  }
  for (const bias of [true, false]) {
    const { graph, conv, norm } = network(1, bias)
    const kept = await agree(t, graph, [2, 3, 8, 8], { [conv]: 'full' })
    t.ok(kept.graph.nodes.some(({ opType }) => opType === 'BatchNormalization'))
    t.equal(kept.layers[0]?.foldedBatchNorm, undefined)
    const folded = await agree(t, graph, [2, 3, 8, 8], { [conv]: { rank: 'full', batchNorm: 'fold' } })
    t.strictSame(
      folded.graph.nodes.map(({ opType }) => opType),
      ['Conv', 'Conv', 'Conv', 'Conv', 'Relu']
    )
    t.equal(folded.layers[0]?.foldedBatchNorm, norm)
    t.equal(folded.graph.initializers.size, 5, 'four weights and a bias are left')
    // What is folded counts: the error is that of the scaled kernel.
    const errors = await Promise.all(
      (['keep', 'fold'] as const).map(
        async (batchNorm) => (await compress(graph, { whenSlower: 'replace', layers: { [conv]: 4 }, batchNorm })).layers[0]?.relativeError
      )
    )
    t.not(errors[0], errors[1])
  }
  const { graph, conv } = network(2)
  const shared = await agree(t, graph, [2, 3, 8, 8], { [conv]: { rank: 'full', batchNorm: 'fold' } })
  t.equal(shared.layers[0]?.foldedBatchNorm, undefined, 'something else reads the layer too')
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { [conv]: 2 }, batchNorm: 'maybe' as 'fold' }), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'batchNorm'
  })
})

t.test('weights that are no initializer: Constant nodes, casts, dequantised integers, filled tensors', async (t) => {
  const dims = [4, 3, 3, 3]
  const count = elementCount(dims)
  const integers = Int8Array.from(normals(count, 3), (value) => Math.max(-128, Math.min(127, Math.round(value * 50))))
  const scales = floatTensor(Float32Array.of(0.02, 0.01, 0.03, 0.005), [4])
  const zeros: Tensor = { dtype: 'int8', dims: [4], data: Int8Array.of(0, 3, -7, 1) }
  const sources: readonly [string, (builder: NetworkBuilder) => string][] = [
    ['a Constant node', (b) => b.node('Constant', [], { value: floatTensor(normals(count, 3), dims) })],
    ['a cast of float16', (b) => b.node('Cast', [b.constant(fromFloat32(normals(count, 3), dims, 'float16'))], { to: int(1) })],
    [
      'dequantised by output channel',
      (b) =>
        b.node('DequantizeLinear', [b.constant({ dtype: 'int8', dims, data: integers }), b.constant(scales), b.constant(zeros)], {
          axis: int(0)
        })
    ],
    [
      'quantised and dequantised as a whole',
      (b) => {
        const parameters = [b.scalar(0.03), b.constant({ dtype: 'uint8', dims: [], data: Uint8Array.of(128) })]
        return b.node('DequantizeLinear', [
          b.node('QuantizeLinear', [b.constant(floatTensor(normals(count, 3), dims)), ...parameters]),
          ...parameters
        ])
      }
    ],
    ['reshaped', (b) => b.node('Reshape', [b.constant(floatTensor(normals(count, 3), [12, 9])), b.ints(...dims)])],
    ['filled', (b) => b.node('ConstantOfShape', [b.ints(...dims)], { value: floatTensor(Float32Array.of(0.25), [1]) })]
  ]
  for (const [title, source] of sources) {
    await t.test(title, async (t) => {
      const builder = new NetworkBuilder(13)
      const x = builder.input(['N', 3, 6, 6])
      const y = builder.node('Conv', [x, source(builder)])
      const result = await agree(t, builder.graph(y), [2, 3, 6, 6], { [y]: 'full' })
      t.ok(
        result.graph.nodes.every(({ opType }) => opType === 'Conv'),
        'what made the old weights is gone'
      )
      t.ok([...result.graph.initializers.keys()].every((name) => name.startsWith(`${y}/`)))
    })
  }
})

t.test('a float16 network gets float16 weights', async (t) => {
  const builder = new NetworkBuilder(13)
  const x = builder.node('Cast', [builder.input(['N', 3, 6, 6])], { to: int(10) })
  const weight = builder.constant(fromFloat32(normals(108, 3), [4, 3, 3, 3], 'float16'))
  const conv = builder.node('Conv', [x, weight])
  const y = builder.node('Cast', [conv], { to: int(1) })
  // float16 has 11 bits; four weights and their products are rounded to it.
  const { graph } = await agree(t, builder.graph(y), [2, 3, 6, 6], { [conv]: 'full' }, 5e-3)
  t.strictSame([...new Set([...graph.initializers.values()].map(({ dtype }) => dtype))], ['float16'])
})

t.test('layers that can be replaced are listed, with what they take', async (t) => {
  const builder = new NetworkBuilder()
  const x = builder.input(['N', 3, 8, 8])
  const first = builder.conv(x, [6, 3, 3, 3])
  const grouped = builder.conv(first, [6, 1, 3, 3], { group: int(6) })
  const flat = builder.node('Flatten', [grouped], { axis: int(1) })
  const hidden = builder.node('MatMul', [flat, builder.weight(96, 10)])
  const computed = builder.node('MatMul', [hidden, builder.node('Transpose', [hidden], { perm: [1, 0] })])
  t.match(compressibleLayers(builder.graph(computed)), [
    { name: first, operator: 'Conv', kernel: [6, 3, 3, 3], groups: 1, form: 'cp4', fullRank: 27, parameters: 162 },
    { name: grouped, operator: 'Conv', kernel: [6, 1, 3, 3], groups: 6, form: 'first-layer', fullRank: 3, parameters: 54 },
    { name: hidden, operator: 'MatMul', kernel: [10, 96], groups: 1, form: 'matrix', fullRank: 10, parameters: 960 }
  ])
  t.equal(compressibleLayers(builder.graph(computed)).length, 3)
  t.strictSame(compressibleLayers({ ...builder.graph(x), initializers: new Map([['n', int64Tensor([1])]]) }), [])
})

void t.test('each node is looked at once, however many layers there are', (t) => {
  const b = new NetworkBuilder()
  let value = b.input(['n', 4, 4, 4], 'x')
  for (let i = 0; i < 50; i++) value = b.conv(value, [4, 4, 1, 1])
  const graph = b.graph(value)
  let seen = 0
  const nodes = new Proxy(graph.nodes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) seen++
      return Reflect.get(target, key)
    }
  })
  t.equal(compressibleLayers({ ...graph, nodes }).length, 50)
  t.ok(seen < 20 * 50, `${seen} looks at 50 nodes`)
  t.end()
})
