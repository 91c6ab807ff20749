import { denseCases } from './dense-cases.js'
import { type NetworkCase, single } from './network-case.js'
import { float, int, type NetworkBuilder } from './network-builder.js'
import { signalCases } from './signal-cases.js'

type Dims = readonly number[]

const conv = (name: string, dims: Dims, weight: Dims, attributes: Parameters<NetworkBuilder['conv']>[2] = {}, bias = true): NetworkCase =>
  single(`conv ${name}`, dims, (b, x) => b.conv(x, weight, attributes, bias))

export const convolutionCases: readonly NetworkCase[] = [
  conv('3x3', [1, 3, 9, 8], [16, 3, 3, 3], { pads: [1, 1, 1, 1] }),
  conv('without bias', [2, 5, 7, 7], [12, 5, 3, 3], {}, false),
  conv('1x1', [2, 17, 5, 6], [33, 17, 1, 1]),
  conv('kernel 5x2, strides 2x3', [1, 4, 13, 14], [9, 4, 5, 2], { strides: [2, 3] }),
  conv('dilations 2x3', [1, 6, 15, 17], [8, 6, 3, 3], { dilations: [2, 3], pads: [2, 3, 2, 3] }),
  conv('asymmetric pads', [1, 8, 7, 9], [8, 8, 3, 4], { pads: [0, 2, 3, 1], strides: [2, 1] }),
  conv('SAME_UPPER', [1, 3, 10, 11], [8, 3, 4, 3], { auto_pad: 'SAME_UPPER', strides: [3, 2] }),
  conv('SAME_LOWER', [1, 3, 10, 11], [8, 3, 4, 3], { auto_pad: 'SAME_LOWER', strides: [3, 2] }),
  conv('VALID', [1, 3, 10, 11], [8, 3, 4, 3], { auto_pad: 'VALID', kernel_shape: [4, 3] }),
  conv('groups of 3 to 5 channels', [1, 6, 8, 8], [10, 3, 3, 3], { group: int(2), pads: [1, 1, 1, 1] }),
  conv('groups of 8 to 16 channels', [1, 32, 6, 6], [64, 8, 3, 3], { group: int(4) }),
  conv('groups of 12 to 20 channels', [2, 36, 6, 5], [60, 12, 1, 3], { group: int(3) }),
  conv('depthwise, 7 channels', [1, 7, 9, 9], [7, 1, 3, 3], { group: int(7), pads: [1, 1, 1, 1] }),
  conv('depthwise, 32 channels, stride 2', [2, 32, 9, 9], [32, 1, 5, 3], { group: int(32), strides: [2, 2], pads: [2, 1, 2, 1] }),
  conv('depthwise multiplier 3', [1, 6, 8, 8], [18, 1, 3, 3], { group: int(6) }),
  conv('9x9 of one channel', [2, 1, 24, 24], [24, 1, 9, 9]),
  conv('one pixel', [3, 64, 8, 8], [40, 64, 8, 8]),
  conv('along one axis', [2, 6, 19], [10, 6, 5], { pads: [2, 1], strides: [2] }),
  single('conv relu conv clip', [1, 3, 12, 12], (b, x) =>
    b.node('Clip', [b.conv(b.node('Relu', [b.conv(x, [8, 3, 3, 3])]), [10, 8, 3, 3]), b.scalar(-0.3), b.scalar(0.6)])
  ),
  single('conv behind Pad', [1, 3, 9, 9], (b, x) =>
    b.conv(b.node('Pad', [x, b.ints(0, 0, 1, 2, 0, 0, 3, 0)]), [8, 3, 3, 3], { pads: [1, 0, 0, 1] })
  )
]

const activation = (opType: string, attributes = {}): NetworkCase[] => [
  single(`${opType} alone`, [2, 5, 4, 3], (b, x) => b.node(opType, [x], attributes)),
  single(`conv ${opType}`, [1, 5, 6, 6], (b, x) => b.node(opType, [b.conv(x, [7, 5, 3, 3])], attributes))
]

export const layerCases: readonly NetworkCase[] = [
  ...activation('Relu'),
  ...activation('LeakyRelu', { alpha: float(0.2) }),
  ...activation('Sigmoid'),
  ...activation('Tanh'),
  single('Clip of opset 10', [1, 3, 4, 4], (b, x) => b.node('Clip', [x], { min: float(-0.5), max: float(0.25) }), 10),
  single('Clip of one side', [1, 3, 4, 4], (b, x) => b.node('Clip', [x, '', b.scalar(0.25)])),
  single('batch norm alone', [2, 9, 5, 5], (b, x) => b.node('Relu', [b.norm(x, 9)])),
  single('batch norm behind conv', [2, 3, 8, 8], (b, x) => b.node('Relu', [b.norm(b.conv(x, [20, 3, 3, 3], {}, false), 20)])),
  single('batch norm behind grouped conv with bias', [2, 6, 8, 8], (b, x) => b.norm(b.conv(x, [18, 2, 3, 3], { group: int(3) }), 18)),
  single('two batch norms', [2, 6, 5, 5], (b, x) => b.norm(b.norm(x, 6), 6)),
  single('LRN', [2, 11, 6, 6], (b, x) => b.node('LRN', [x], { size: int(5), alpha: float(0.01), beta: float(0.6), bias: float(1.5) })),
  single('residual', [1, 16, 7, 7], (b, x) => b.node('Relu', [b.node('Add', [b.conv(x, [16, 16, 3, 3], { pads: [1, 1, 1, 1] }), x])])),
  single('two branches', [2, 12, 7, 7], (b, x) => {
    const y = b.node('Relu', [b.norm(b.conv(x, [24, 12, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }), 24)])
    const z = b.norm(b.conv(y, [24, 24, 3, 3], { pads: [1, 1, 1, 1] }), 24)
    return b.node('Relu', [b.node('Add', [z, b.norm(b.conv(x, [24, 12, 1, 1], { strides: [2, 2] }), 24)])])
  }),
  single('sum of a value with itself', [1, 4, 5, 5], (b, x) => {
    const y = b.conv(x, [8, 4, 3, 3])
    return b.node('Add', [y, y])
  }),
  single('sum of three', [1, 4, 5, 5], (b, x) =>
    b.node('Sum', [b.conv(x, [8, 4, 1, 1]), b.conv(x, [8, 4, 1, 1]), b.conv(x, [8, 4, 1, 1])])
  ),
  single('product', [1, 4, 5, 5], (b, x) => b.node('Mul', [b.node('Sigmoid', [b.conv(x, [8, 4, 1, 1])]), b.conv(x, [8, 4, 1, 1])])),
  single('constants by channel', [2, 3, 6, 6], (b, x) => {
    const y = b.node('Div', [b.node('Sub', [x, b.weight(1, 3, 1, 1)]), b.positive(3, 1, 1)])
    const z = b.node('Mul', [b.scalar(0.5), b.node('Add', [b.conv(y, [6, 3, 3, 3], {}, false), b.weight(6, 1, 1)])])
    return b.node('Sub', [b.scalar(1), z])
  }),
  single('concat', [2, 5, 6, 6], (b, x) => {
    const y = b.node('Relu', [b.conv(x, [11, 5, 1, 1])])
    return b.conv(b.node('Concat', [y, x, b.conv(x, [3, 5, 3, 3], { pads: [1, 1, 1, 1] })], { axis: int(-3) }), [16, 19, 3, 3])
  }),
  single('identity and dropout', [2, 5, 6, 6], (b, x) => b.node('Dropout', [b.node('Identity', [x])])),
  single('input as output', [2, 5], (b, x) => b.node('Flatten', [x]))
]

const pool = (name: string, opType: string, dims: Dims, attributes: Parameters<NetworkBuilder['node']>[2], opset = 17): NetworkCase =>
  single(`${opType} ${name}`, dims, (b, x) => b.node(opType, [x], attributes), opset)

export const poolCases: readonly NetworkCase[] = ['MaxPool', 'AveragePool']
  .flatMap((opType) => [
    pool('2x2', opType, [2, 5, 8, 8], { kernel_shape: [2, 2], strides: [2, 2] }),
    pool('3x2 padded', opType, [1, 17, 9, 8], { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }),
    pool('ceil_mode', opType, [1, 4, 8, 7], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: int(1) }),
    pool('ceil_mode padded', opType, [1, 4, 6, 6], { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: int(1) }),
    pool('SAME_UPPER', opType, [1, 4, 7, 6], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }),
    pool('SAME_LOWER', opType, [1, 4, 7, 6], { kernel_shape: [2, 2], strides: [1, 1], auto_pad: 'SAME_LOWER' }),
    pool('along one axis', opType, [1, 4, 9], { kernel_shape: [3], strides: [2] })
  ])
  .concat([
    pool('dilated', 'MaxPool', [1, 4, 9, 9], { kernel_shape: [2, 3], dilations: [3, 2] }),
    pool('count_include_pad', 'AveragePool', [1, 4, 7, 7], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
      count_include_pad: int(1)
    }),
    pool(
      'count_include_pad and ceil_mode',
      'AveragePool',
      [1, 4, 8, 8],
      {
        kernel_shape: [3, 3],
        strides: [2, 2],
        pads: [1, 1, 1, 1],
        count_include_pad: int(1),
        ceil_mode: int(1)
      },
      19
    ),
    single('AveragePool behind Pad', [1, 4, 7, 7], (b, x) =>
      b.node('AveragePool', [b.node('Pad', [x, b.ints(0, 0, 1, 0, 0, 0, 1, 2)])], { kernel_shape: [3, 3] })
    ),
    pool('whole map', 'GlobalAveragePool', [2, 19, 5, 7], {}),
    pool('whole map', 'GlobalMaxPool', [2, 19, 5, 7], {}),
    single('ReduceMean over the map', [2, 6, 4, 5], (b, x) => b.node('ReduceMean', [x], { axes: [2, 3], keepdims: int(0) })),
    single('ReduceMean of opset 18', [2, 6, 4, 5], (b, x) => b.node('ReduceMean', [x, b.ints(-1, -2)]), 18),
    single('ReduceMean of a flattened map', [2, 6, 4, 5], (b, x) =>
      b.node('ReduceMean', [b.node('Reshape', [x, b.ints(0, 0, -1)])], { axes: [2] })
    ),
    single('ReduceMax over the map', [2, 6, 4, 5], (b, x) => b.node('ReduceMax', [x], { axes: [2, 3], keepdims: int(0) }))
  ])

/** Maxout as exporters write it, in both channel orders. */
const maxouts: Readonly<Record<string, (b: NetworkBuilder, y: string, channels: number, pieces: number, map: Dims) => string>> = {
  'strided slices': (b, y, c, k) =>
    b.node(
      'Max',
      Array.from({ length: k }, (_, j) => b.node('Slice', [y, b.ints((j * c) / k), b.ints(((j + 1) * c) / k), b.ints(1)]))
    ),
  'adjacent slices': (b, y, c, k) =>
    b.node(
      'Max',
      Array.from({ length: k }, (_, j) => b.node('Slice', [y, b.ints(j), b.ints(c), b.ints(1), b.ints(k)]))
    ),
  split: (b, y, c, k) => b.node('Max', b.nodeOf('Split', [y, b.ints(...new Array<number>(k).fill(c / k))], { axis: int(1) }, k)),
  'adjacent ReduceMax': (b, y, c, k, map) =>
    b.node('ReduceMax', [b.node('Reshape', [y, b.ints(-1, c / k, k, ...map)])], { axes: [2], keepdims: int(0) }),
  'strided ReduceMax': (b, y, c, k, map) =>
    b.node('ReduceMax', [b.node('Reshape', [y, b.ints(0, k, c / k, ...map)])], { axes: [1], keepdims: int(0) }),
  'ReduceMax, kept, Squeeze': (b, y, c, k, map) =>
    b.node('Squeeze', [b.node('ReduceMax', [b.node('Reshape', [y, b.ints(-1, c / k, k, ...map)])], { axes: [2] }), b.ints(2)]),
  'ReduceMax, kept, Reshape': (b, y, c, k, map) =>
    b.node('Reshape', [
      b.node('ReduceMax', [b.node('Reshape', [y, b.ints(-1, k, c / k, ...map)])], { axes: [1] }),
      b.ints(-1, c / k, ...map)
    ])
}

export const maxoutCases: readonly NetworkCase[] = Object.entries(maxouts).flatMap(([name, maxout]) => [
  single(`maxout by ${name}`, [2, 3, 7, 6], (b, x) => b.node('Relu', [maxout(b, b.conv(x, [24, 3, 3, 3]), 24, 2, [5, 4])])),
  single(`maxout of 3 by ${name}, unfused`, [2, 15, 5, 4], (b, x) => maxout(b, b.node('Identity', [x]), 15, 3, [5, 4])),
  single(`maxout of 4 by ${name} behind Gemm`, [3, 10], (b, x) =>
    maxout(b, b.node('Gemm', [x, b.weight(32, 10), b.weight(32)], { transB: int(1) }), 32, 4, [])
  )
])

export const matrixCases: readonly NetworkCase[] = [
  single('Gemm transB', [3, 20], (b, x) => b.node('Gemm', [x, b.weight(7, 20), b.weight(7)], { transB: int(1) })),
  single('Gemm alpha, beta', [3, 20], (b, x) =>
    b.node('Gemm', [x, b.weight(20, 7), b.weight(1, 7)], { alpha: float(0.5), beta: float(2) })
  ),
  single('Gemm scalar C', [3, 20], (b, x) => b.node('Gemm', [x, b.weight(20, 7), b.scalar(0.7)])),
  single('Gemm without C', [3, 20], (b, x) => b.node('Gemm', [x, b.weight(20, 7)], { alpha: float(-1.5) })),
  single('MatMul Add Relu', [3, 20], (b, x) => b.node('Relu', [b.node('Add', [b.node('MatMul', [x, b.weight(20, 35)]), b.weight(35)])])),
  single('Gemm BatchNormalization', [3, 20], (b, x) => b.norm(b.node('Gemm', [x, b.weight(7, 20), b.weight(7)], { transB: int(1) }), 7)),
  single('Flatten Gemm', [2, 6, 5, 4], (b, x) =>
    b.node('Gemm', [b.node('Flatten', [x]), b.weight(9, 120), b.weight(9)], { transB: int(1) })
  ),
  single('conv Flatten Gemm Softmax', [2, 3, 8, 7], (b, x) => {
    const y = b.node('Flatten', [b.node('Relu', [b.conv(x, [10, 3, 3, 3])])])
    return b.node('Softmax', [b.node('Gemm', [y, b.weight(11, 300), b.weight(11)], { transB: int(1) })])
  }),
  single('view by Shape, Gather, Concat', [2, 6, 3, 3], (b, x) => {
    const size = b.node('Gather', [b.node('Shape', [x]), b.node('Constant', [], { value_int: int(0) })], { axis: int(0) })
    const shape = b.node('Concat', [b.node('Unsqueeze', [size, b.ints(0)]), b.ints(-1)], { axis: int(0) })
    return b.node('MatMul', [b.node('Reshape', [b.conv(x, [8, 6, 2, 2]), shape]), b.weight(32, 5)])
  }),
  single(
    'view by Shape, Slice, Cast of opset 9',
    [2, 6, 3, 3],
    (b, x) => {
      const size = b.node('Slice', [b.node('Shape', [x])], { axes: [0], starts: [0], ends: [1] })
      const shape = b.node('Concat', [b.node('Cast', [size], { to: int(7) }), b.ints(54)], { axis: int(0) })
      return b.node('Gemm', [b.node('Reshape', [x, shape]), b.weight(54, 5), b.weight(5)])
    },
    9
  ),
  single('global pool, Squeeze, Gemm, Unsqueeze', [2, 6, 3, 4], (b, x) => {
    const y = b.node('Squeeze', [b.node('GlobalAveragePool', [x]), b.ints(2, 3)])
    return b.conv(b.node('Unsqueeze', [b.node('Gemm', [y, b.weight(6, 8), b.weight(8)]), b.ints(2, -1)]), [5, 8, 1, 1])
  }),
  single('flat input', [2, 48], (b, x) => b.conv(b.node('Reshape', [x, b.ints(-1, 3, 4, 4)]), [8, 3, 3, 3])),
  single('grey input N×H×W×1', [2, 6, 5, 1], (b, x) => b.conv(b.node('Transpose', [x], { perm: [0, 3, 1, 2] }), [8, 1, 3, 3])),
  single('Softmax over channels of a map', [2, 7, 3, 3], (b, x) => b.node('Softmax', [x], { axis: int(1) })),
  single('LogSoftmax of N×C×1×1, opset 11', [2, 7, 1, 1], (b, x) => b.node('LogSoftmax', [x]), 11)
]

interface Block {
  readonly r: number
  readonly k: readonly [number, number]
  readonly strides?: Dims
  readonly pads?: Dims
  readonly dilations?: Dims
}

/** reduce → k×1 → 1×k → expand, with the geometry of axis H on the first and W on the second depthwise layer. */
function cpChain(
  b: NetworkBuilder,
  x: string,
  s: number,
  t: number,
  { r, k, strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1] }: Block,
  groups = 1
): string {
  const [ph = 0, pw = 0, qh = 0, qw = 0] = pads
  const rank = r * groups
  const y = b.conv(x, [rank, s / groups, 1, 1], { group: int(groups) }, false)
  const z = b.conv(
    y,
    [rank, 1, k[0], 1],
    { group: int(rank), strides: [strides[0] as number, 1], dilations: [dilations[0] as number, 1], pads: [ph, 0, qh, 0] },
    false
  )
  const v = b.conv(
    z,
    [rank, 1, 1, k[1]],
    { group: int(rank), strides: [1, strides[1] as number], dilations: [1, dilations[1] as number], pads: [0, pw, 0, qw] },
    false
  )
  return b.conv(v, [t, r, 1, 1], { group: int(groups) })
}

export const cpCases: readonly NetworkCase[] = [
  single('cp block', [2, 12, 14, 13], (b, x) => b.node('Relu', [cpChain(b, x, 12, 20, { r: 9, k: [5, 3], pads: [2, 1, 2, 1] })])),
  single('cp block with strides and asymmetric pads', [1, 16, 15, 17], (b, x) =>
    cpChain(b, x, 16, 32, { r: 16, k: [3, 3], strides: [2, 3], pads: [1, 0, 0, 2] })
  ),
  single('cp block with dilations', [1, 8, 17, 16], (b, x) =>
    cpChain(b, x, 8, 24, { r: 13, k: [3, 3], dilations: [2, 3], pads: [2, 3, 2, 3] })
  ),
  single('cp block in two groups', [1, 12, 11, 11], (b, x) => cpChain(b, x, 12, 20, { r: 7, k: [5, 5], pads: [2, 2, 2, 2] }, 2)),
  single('cp block in four groups of 8', [2, 32, 9, 9], (b, x) => cpChain(b, x, 32, 64, { r: 8, k: [3, 3], pads: [1, 1, 1, 1] }, 4)),
  single('cp block of one depthwise layer', [2, 10, 9, 8], (b, x) => {
    const y = b.conv(x, [6, 10, 1, 1], {}, false)
    return b.conv(b.conv(y, [6, 1, 1, 5], { group: int(6), pads: [0, 2, 0, 2] }, false), [15, 6, 1, 1])
  }),
  single('cp block without reduce', [2, 16, 9, 8], (b, x) => b.conv(b.conv(x, [16, 1, 5, 1], { group: int(16) }, false), [15, 16, 1, 1])),
  single('first-layer cp block', [2, 1, 24, 24], (b, x) => {
    const y = b.conv(x, [18, 1, 9, 1], {}, false)
    return b.conv(b.conv(y, [18, 1, 1, 9], { group: int(18) }, false), [48, 18, 1, 1])
  }),
  single('first-layer cp block, three groups', [1, 3, 12, 12], (b, x) => {
    const y = b.conv(x, [15, 1, 3, 1], { group: int(3), pads: [1, 0, 1, 0] }, false)
    return b.conv(b.conv(y, [15, 1, 1, 3], { group: int(15), pads: [0, 1, 0, 1] }, false), [12, 5, 1, 1], { group: int(3) })
  }),
  single('cp block with biases inside', [1, 12, 10, 10], (b, x) => {
    const y = b.conv(b.conv(x, [8, 12, 1, 1]), [8, 1, 3, 1], { group: int(8), pads: [1, 0, 1, 0] })
    return b.conv(b.conv(y, [8, 1, 1, 3], { group: int(8), pads: [0, 1, 0, 1] }), [16, 8, 1, 1])
  }),
  single('cp block with batch norm, residual and relu', [1, 20, 10, 10], (b, x) =>
    b.node('Relu', [b.node('Add', [b.norm(cpChain(b, x, 20, 20, { r: 11, k: [3, 3], pads: [1, 1, 1, 1] }), 20), x])])
  ),
  // Sums are added some hundred pixels at a time: over the ends of rows and of images.
  ...[
    [3, 20, 13, 17],
    [9, 20, 5, 6],
    [1, 20, 40, 31]
  ].map((dims) =>
    single(`cp block with residual and leaky relu over ${dims.join('×')}`, dims, (b, x) =>
      b.node('LeakyRelu', [b.node('Add', [cpChain(b, x, 20, 20, { r: 11, k: [3, 3], pads: [1, 1, 1, 1] }), x])], { alpha: float(0.1) })
    )
  ),
  single('LRN of the usual power', [2, 37, 6, 7], (b, x) =>
    b.node('LRN', [b.conv(x, [43, 37, 1, 1])], { size: int(5), alpha: float(0.2), beta: float(0.75), bias: float(1) })
  ),
  single('cp block with maxout', [2, 12, 16, 16], (b, x) => {
    const y = cpChain(b, x, 12, 32, { r: 16, k: [9, 9] })
    return b.node('ReduceMax', [b.node('Reshape', [y, b.ints(-1, 16, 2, 8, 8)])], { axes: [2], keepdims: int(0) })
  }),
  single('two cp blocks one after the other', [1, 8, 16, 16], (b, x) =>
    cpChain(b, cpChain(b, x, 8, 16, { r: 5, k: [3, 3] }), 16, 24, { r: 8, k: [5, 5], strides: [2, 2] })
  ),
  single('cp block of a large map', [1, 16, 61, 67], (b, x) => cpChain(b, x, 16, 32, { r: 24, k: [5, 5], pads: [2, 2, 2, 2] }))
]

/** One network in the dialect of an opset: what was an attribute became an input. */
function dialect(opset: number): NetworkCase {
  const list = (b: NetworkBuilder, since: number, op: string, x: string, name: string, values: Dims, rest = {}): string =>
    opset < since ? b.node(op, [x], { [name]: values, ...rest }) : b.node(op, [x, b.ints(...values)], rest)
  const clip = (b: NetworkBuilder, x: string): string =>
    opset < 11 ? b.node('Clip', [x], { min: float(0), max: float(1) }) : b.node('Clip', [x, b.scalar(0), b.scalar(1)])
  const slice = (b: NetworkBuilder, x: string, start: number, end: number): string =>
    opset < 10
      ? b.node('Slice', [x], { axes: [1], starts: [start], ends: [end] })
      : b.node('Slice', [x, b.ints(start), b.ints(end), b.ints(-3)])
  return single(
    `opset ${opset}`,
    [2, 3, 12, 12],
    (b, x) => {
      const padded = list(b, 11, 'Pad', clip(b, b.norm(b.conv(x, [8, 3, 3, 3]), 8)), 'pads', [0, 0, 1, 0, 0, 0, 0, 1])
      const pooled = b.node('MaxPool', [b.conv(padded, [12, 8, 3, 3])], { kernel_shape: [2, 2], strides: [2, 2] })
      const maxout = b.node('Max', [slice(b, pooled, 6, 12), slice(b, pooled, 0, 6)])
      const squeezed = list(b, 13, 'Squeeze', list(b, 18, 'ReduceMean', maxout, 'axes', [2, 3]), 'axes', [2, 3])
      const flat = b.node('Dropout', [b.node('Flatten', [list(b, 13, 'Unsqueeze', squeezed, 'axes', [2, 3])])])
      return b.node('Softmax', [b.node('Gemm', [flat, b.weight(5, 6), b.weight(5)], { transB: int(1) })])
    },
    opset
  )
}

export const dialectCases: readonly NetworkCase[] = [7, 8, 9, 10, 11, 12, 13, 14, 18, 22, 26].map(dialect)

/** Every case, for a test that compares with another runtime. */
export const networkCases: readonly NetworkCase[] = [
  ...convolutionCases,
  ...layerCases,
  ...poolCases,
  ...maxoutCases,
  ...matrixCases,
  ...cpCases,
  ...dialectCases,
  ...denseCases,
  ...signalCases
]
