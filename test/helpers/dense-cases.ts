import { recurrentWeights } from '../../bench/modern-blocks.js'
import { exportedGelus } from './exported-gelus.js'
import type { AttributeValue } from '../../lib/graph/rewrite.js'
import { floatTensor, int64Tensor } from '../../lib/tensor.js'
import { type NetworkCase, single } from './network-case.js'
import { float, int } from './network-builder.js'

/*
 * Operators over values of any rank, and what happens where those meet blocks of channels: compared with onnxruntime over odd sizes.
 */

type Dims = readonly number[]
type Attributes = Readonly<Record<string, AttributeValue>>

const transposed = (name: string, dims: Dims, weight: Dims, attributes: Attributes = {}, bias = false): NetworkCase =>
  single(`ConvTranspose ${name}`, dims, (b, x) => {
    const channels = (weight[1] as number) * Number((attributes.group as { value: number } | undefined)?.value ?? 1)
    return b.node('ConvTranspose', [x, b.weight(...weight), ...(bias ? [b.weight(channels)] : [])], attributes)
  })

const transposedCases: readonly NetworkCase[] = [
  transposed('2x2, stride 2', [2, 9, 5, 4], [9, 11, 2, 2], { strides: [2, 2] }, true),
  transposed('3x3', [1, 5, 6, 7], [5, 8, 3, 3]),
  transposed('4x3, strides 2x3, pads', [1, 6, 5, 5], [6, 10, 4, 3], { strides: [2, 3], pads: [1, 0, 2, 1] }, true),
  transposed('stride beyond the kernel', [1, 3, 4, 5], [3, 7, 2, 2], { strides: [3, 4] }, true),
  transposed('output_padding', [1, 4, 5, 6], [4, 6, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }),
  transposed('output_shape', [1, 4, 5, 6], [4, 6, 3, 3], { strides: [2, 2], output_shape: [10, 13] }),
  transposed('dilations', [1, 4, 5, 6], [4, 6, 3, 2], { dilations: [2, 3] }),
  transposed('groups', [2, 12, 4, 4], [12, 5, 3, 3], { group: int(3), strides: [2, 1] }, true),
  transposed('depthwise', [1, 17, 5, 4], [17, 1, 4, 4], { group: int(17), strides: [2, 2], pads: [1, 1, 1, 1] }, true),
  transposed('one pixel', [3, 20, 1, 1], [20, 6, 5, 4]),
  transposed('along one axis', [2, 6, 9], [6, 4, 5], { strides: [3], pads: [1, 2] }, true),
  transposed('volume', [1, 4, 3, 4, 2], [4, 3, 2, 3, 3], { strides: [2, 1, 2], pads: [0, 1, 0, 1, 1, 0] }, true),
  transposed('volume in groups', [1, 4, 3, 4, 2], [4, 3, 3, 3, 2], { group: int(2) }),
  single('ConvTranspose between convolutions', [1, 3, 8, 7], (b, x) =>
    b.conv(b.node('Relu', [b.node('ConvTranspose', [b.conv(x, [12, 3, 3, 3]), b.weight(12, 9, 2, 2)], { strides: [2, 2] })]), [5, 9, 3, 3])
  )
]

const volumeCases: readonly NetworkCase[] = [
  single('Conv over volumes', [2, 3, 5, 6, 7], (b, x) =>
    b.node('Conv', [x, b.weight(8, 3, 3, 2, 3), b.weight(8)], { pads: [1, 0, 1, 0, 1, 1] })
  ),
  single('Conv over volumes in groups', [1, 6, 5, 6, 4], (b, x) =>
    b.node('Conv', [x, b.weight(8, 3, 2, 3, 1)], { group: int(2), strides: [2, 1, 2], dilations: [2, 1, 1] })
  ),
  single('depthwise Conv over volumes', [1, 9, 4, 5, 5], (b, x) =>
    b.node('Conv', [x, b.weight(9, 1, 3, 3, 3)], { group: int(9), pads: [1, 1, 1, 1, 1, 1] })
  ),
  single('two Convs over volumes', [1, 3, 6, 6, 6], (b, x) =>
    b.node('Conv', [b.node('Relu', [b.node('Conv', [x, b.weight(8, 3, 3, 3, 3)])]), b.weight(4, 8, 1, 1, 1)])
  ),
  single('MaxPool over volumes', [2, 3, 5, 6, 4], (b, x) =>
    b.node('MaxPool', [x], { kernel_shape: [2, 3, 2], strides: [2, 2, 1], pads: [0, 1, 0, 1, 1, 1] })
  ),
  single('AveragePool over volumes', [2, 3, 5, 6, 4], (b, x) =>
    b.node('AveragePool', [x], { kernel_shape: [3, 3, 2], pads: [1, 1, 0, 1, 1, 1] })
  ),
  single('GlobalAveragePool over volumes', [2, 3, 5, 6, 4], (b, x) => b.node('GlobalAveragePool', [x])),
  single('GlobalMaxPool over volumes', [2, 3, 5, 6, 4], (b, x) => b.node('GlobalMaxPool', [x])),
  single('BatchNormalization over volumes', [2, 5, 3, 4, 2], (b, x) => b.norm(x, 5)),
  single('Conv with weights that are computed', [2, 6, 9, 8], (b, x) => {
    const w = b.node('Reshape', [b.node('ReduceMean', [b.conv(x, [54, 6, 1, 1])], { axes: [0, 2, 3] }), b.ints(3, 2, 3, 3)])
    return b.node('Conv', [x, w], { group: int(3), strides: [2, 1], pads: [1, 1, 0, 1] })
  }),
  single('Conv with weights that are made of others', [1, 4, 6, 6], (b, x) => {
    const w = b.weight(8, 4, 3, 3)
    const norm = b.node('ReduceL2', [w], { axes: [1, 2, 3] })
    return b.node('Conv', [x, b.node('Div', [w, norm])])
  }),
  single('LpPool', [1, 3, 6, 7], (b, x) => b.node('LpPool', [x], { kernel_shape: [2, 3], strides: [2, 1], p: int(3) }))
]

const resize = (name: string, dims: Dims, scales: Dims, attributes: Attributes, opset = 17): NetworkCase =>
  single(
    `Resize ${name}`,
    dims,
    (b, x) => b.node('Resize', [x, '', b.constant(floatTensor(Float32Array.from(scales), [scales.length]))], attributes),
    opset
  )

const resizeCases: readonly NetworkCase[] = [
  resize('nearest, asymmetric', [1, 9, 4, 5], [1, 1, 2, 2], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor'
  }),
  resize('nearest, half_pixel', [2, 3, 5, 4], [1, 1, 1.7, 2.3], { mode: 'nearest' }),
  resize('nearest, align_corners', [1, 3, 5, 4], [1, 1, 3, 2], {
    mode: 'nearest',
    coordinate_transformation_mode: 'align_corners',
    nearest_mode: 'ceil'
  }),
  // Where a place lies exactly between two elements, or on one, float32 decides.
  ...['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'].flatMap((nearest_mode) =>
    ['pytorch_half_pixel', 'asymmetric'].map((coordinate_transformation_mode) =>
      single(`Resize nearest to sizes, ${coordinate_transformation_mode}, ${nearest_mode}`, [1, 2, 14, 7], (b, x) => {
        const to = (...sizes: number[]): string =>
          b.node(
            'Resize',
            [
              x,
              '',
              '',
              b.node('Concat', [b.node('Slice', [b.node('Shape', [x]), b.ints(0), b.ints(2)]), b.ints(...sizes)], { axis: int(0) })
            ],
            {
              mode: 'nearest',
              coordinate_transformation_mode,
              nearest_mode
            }
          )
        return b.node('Concat', [to(19, 9), to(2, 9), to(6, 9)], { axis: int(2) })
      })
    )
  ),
  resize('linear, half_pixel', [2, 3, 5, 6], [1, 1, 2, 3], { mode: 'linear' }),
  resize('linear, down', [1, 3, 9, 8], [1, 1, 0.5, 0.75], { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' }),
  resize('linear, align_corners', [1, 3, 5, 6], [1, 1, 2, 2], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }),
  resize('linear over one axis', [1, 3, 5], [1, 1, 2], { mode: 'linear' }),
  resize('cubic', [1, 2, 5, 6], [1, 1, 2, 1.5], { mode: 'cubic' }),
  resize('cubic, excluding what is outside', [1, 2, 5, 6], [1, 1, 2, 3], {
    mode: 'cubic',
    exclude_outside: int(1),
    cubic_coeff_a: float(-0.5)
  }),
  resize('antialias', [1, 2, 8, 9], [1, 1, 0.5, 0.4], { mode: 'linear', antialias: int(1) }, 18),
  resize('by a scale that gives a whole size in float32 only', [1, 2, 3, 6], [1, 1, 5 / 3, 7 / 6], { mode: 'linear' }),
  ...['nearest', 'linear', 'cubic'].map((mode) =>
    single(`Resize ${mode}, a region by scales`, [1, 3, 12, 10], (b, x) => {
      const region = b.constant(floatTensor(Float32Array.of(0, 0, 0.1, 0.2, 1, 1, 0.9, 1.2), [8]))
      const scales = b.constant(floatTensor(Float32Array.of(1, 1, 1.7, 0.6), [4]))
      return b.node('Resize', [x, region, scales], {
        mode,
        coordinate_transformation_mode: 'tf_crop_and_resize',
        extrapolation_value: float(0.5)
      })
    })
  ),
  ...['nearest', 'linear'].map((mode) =>
    single(
      `Resize of opset 10, ${mode}`,
      [1, 3, 12, 10],
      (b, x) => b.node('Resize', [b.conv(x, [4, 3, 1, 1]), b.constant(floatTensor(Float32Array.of(1, 1, 1.7, 0.6), [4]))], { mode }),
      10
    )
  ),
  single('Resize to the size of another value', [1, 4, 8, 10], (b, x) => {
    const y = b.conv(x, [6, 4, 3, 3], { strides: [2, 2] })
    const size = b.node(
      'Concat',
      [b.node('Slice', [b.node('Shape', [y]), b.ints(0), b.ints(2)]), b.node('Slice', [b.node('Shape', [x]), b.ints(2), b.ints(4)])],
      { axis: int(0) }
    )
    return b.node('Add', [b.conv(x, [6, 4, 1, 1]), b.node('Resize', [y, '', '', size], { mode: 'linear' })])
  }),
  single(
    'Upsample of opset 9',
    [1, 4, 3, 5],
    (b, x) => b.node('Upsample', [x, b.constant(floatTensor(Float32Array.of(1, 1, 2, 3), [4]))], { mode: 'linear' }),
    9
  ),
  single('feature pyramid', [1, 3, 16, 16], (b, x) => {
    const c1 = b.node('Relu', [b.conv(x, [10, 3, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })])
    const c2 = b.node('Relu', [b.conv(c1, [20, 10, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })])
    const up = b.node('Resize', [b.conv(c2, [9, 20, 1, 1]), '', b.constant(floatTensor(Float32Array.of(1, 1, 2, 2), [4]))], {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor'
    })
    return b.conv(b.node('Concat', [b.node('Add', [b.conv(c1, [9, 10, 1, 1]), up]), up], { axis: int(1) }), [4, 18, 3, 3])
  })
]

const movingCases: readonly NetworkCase[] = [
  single('N×H×W×C and back', [2, 7, 5, 6], (b, x) =>
    b.conv(b.node('Relu', [b.node('Transpose', [x], { perm: [0, 3, 1, 2] })]), [9, 6, 3, 3])
  ),
  single('Transpose of all axes', [3, 40, 33, 2], (b, x) => b.node('Transpose', [x], { perm: [3, 2, 0, 1] })),
  single('Transpose of the last axes', [2, 3, 37, 29], (b, x) => b.node('Transpose', [x], { perm: [0, 1, 3, 2] })),
  single('channel shuffle', [2, 12, 5, 4], (b, x) => {
    const y = b.node('Reshape', [b.conv(x, [12, 12, 1, 1]), b.ints(0, 3, 4, 5, 4)])
    return b.conv(b.node('Reshape', [b.node('Transpose', [y], { perm: [0, 2, 1, 3, 4] }), b.ints(0, 12, 5, 4)]), [7, 12, 3, 3])
  }),
  single('focus: every second pixel', [1, 3, 8, 6], (b, x) => {
    const part = (top: number, left: number): string =>
      b.node('Slice', [x, b.ints(top, left), b.ints(100, 100), b.ints(2, 3), b.ints(2, 2)])
    return b.conv(b.node('Concat', [part(0, 0), part(1, 0), part(0, 1), part(1, 1)], { axis: int(1) }), [8, 12, 3, 3])
  }),
  single('split channels, convolve one half', [1, 4, 6, 6], (b, x) => {
    const [left = '', right = ''] = b.nodeOf('Split', [b.conv(x, [20, 4, 1, 1]), b.ints(10, 10)], { axis: int(1) }, 2)
    return b.node('Concat', [left, b.conv(right, [10, 10, 3, 3], { pads: [1, 1, 1, 1] })], { axis: int(1) })
  }),
  single('Slice backwards', [2, 5, 4, 6], (b, x) => b.node('Slice', [x, b.ints(-1, 3), b.ints(-100, 0), b.ints(3, 2), b.ints(-2, -1)])),
  single('Pad by reflection in front of a convolution', [1, 3, 6, 7], (b, x) =>
    b.conv(b.node('Pad', [x, b.ints(0, 0, 2, 1, 0, 0, 1, 3)], { mode: 'reflect' }), [5, 3, 3, 3])
  ),
  single('Pad by the edge', [2, 3, 4, 5], (b, x) => b.node('Pad', [x, b.ints(0, 1, 2, 0, 1, 0, 0, 3)], { mode: 'edge' })),
  single('Pad with numbers, cropping', [2, 3, 6, 5], (b, x) => b.node('Pad', [x, b.ints(0, 2, -1, 1, 0, 0, 1, -2), b.scalar(0.5)])),
  single('Expand, Tile', [2, 3, 1, 4], (b, x) => b.node('Tile', [b.node('Expand', [x, b.ints(3, 5, 1)]), b.ints(1, 2, 1, 3)])),
  single('DepthToSpace', [2, 12, 3, 5], (b, x) => b.node('DepthToSpace', [b.conv(x, [12, 12, 1, 1])], { blocksize: int(2), mode: 'CRD' })),
  single('SpaceToDepth', [2, 3, 4, 6], (b, x) => b.node('SpaceToDepth', [x], { blocksize: int(2) })),
  single('Concat along rows', [2, 5, 4, 3], (b, x) =>
    b.node('Concat', [x, b.conv(x, [5, 5, 1, 1]), b.weight(1, 5, 2, 3)].slice(0, 2), { axis: int(2) })
  ),
  single('Gather of channels', [2, 7, 3, 4], (b, x) => b.node('Gather', [x, b.constant(int64Tensor([4, -1, 0, 4]))], { axis: int(1) })),
  single('Gather of one column', [2, 7, 3, 4], (b, x) => b.node('Gather', [x, b.constant(int64Tensor([2], []))], { axis: int(3) })),
  single('Flatten at axis 2', [2, 3, 4, 5], (b, x) => b.node('Relu', [b.node('Flatten', [b.conv(x, [3, 3, 1, 1])], { axis: int(2) })]))
]

const broadcastCases: readonly NetworkCase[] = [
  single('squeeze and excitation', [2, 20, 6, 5], (b, x) => {
    const y = b.node('Relu', [b.conv(x, [20, 20, 3, 3], { pads: [1, 1, 1, 1] })])
    const s = b.node('HardSigmoid', [b.conv(b.node('Relu', [b.conv(b.node('GlobalAveragePool', [y]), [5, 20, 1, 1])]), [20, 5, 1, 1])])
    return b.conv(b.node('Mul', [y, s]), [7, 20, 1, 1])
  }),
  single('spatial attention', [2, 12, 6, 5], (b, x) =>
    b.node('Mul', [b.conv(x, [12, 12, 1, 1]), b.node('Sigmoid', [b.conv(x, [1, 12, 3, 3], { pads: [1, 1, 1, 1] })])])
  ),
  single('a constant for each pixel', [2, 5, 4, 3], (b, x) => b.node('Add', [b.conv(x, [5, 5, 1, 1]), b.weight(1, 5, 4, 3)])),
  single('a constant for each row', [2, 5, 4, 3], (b, x) => b.node('Sub', [b.weight(4, 1), b.node('Mul', [x, b.weight(4, 1)])])),
  single('quotients', [2, 5, 4, 3], (b, x) => b.node('Div', [x, b.node('Add', [b.node('Exp', [b.conv(x, [5, 5, 1, 1])]), b.scalar(1)])])),
  single('constant over value', [2, 5, 4, 3], (b, x) => b.node('Div', [b.scalar(2), b.node('Add', [b.node('Abs', [x]), b.scalar(1)])])),
  single('Min, Max, Mean', [2, 5, 4, 3], (b, x) => {
    const y = b.conv(x, [5, 5, 1, 1])
    return b.node('Mean', [b.node('Max', [x, y, b.scalar(0.1)]), b.node('Min', [x, y]), b.weight(5, 1, 1)])
  }),
  single('Where', [2, 5, 4, 3], (b, x) => {
    const y = b.conv(x, [5, 5, 1, 1])
    return b.node('Where', [b.node('Or', [b.node('Greater', [x, y]), b.node('LessOrEqual', [y, b.scalar(-0.5)])]), y, b.scalar(3)])
  }),
  single('comparison as numbers', [2, 5, 4, 3], (b, x) =>
    b.node('Cast', [b.node('Not', [b.node('Less', [x, b.weight(3)])])], { to: int(1) })
  ),
  single('PRelu by channel', [2, 9, 4, 3], (b, x) => b.node('PRelu', [b.conv(x, [9, 9, 1, 1]), b.weight(9, 1, 1)])),
  single('PRelu of one slope', [2, 9, 4, 3], (b, x) => b.node('PRelu', [b.conv(x, [9, 9, 1, 1]), b.weight(1)])),
  single('swish as exported', [2, 9, 4, 3], (b, x) => {
    const y = b.conv(x, [17, 9, 1, 1])
    return b.node('Mul', [y, b.node('Sigmoid', [y])])
  }),
  single('hard swish as exported', [2, 9, 4, 3], (b, x) => {
    const y = b.conv(x, [17, 9, 1, 1])
    const gate = b.node('Clip', [b.node('Add', [y, b.scalar(3)]), b.scalar(0), b.scalar(6)])
    return b.conv(b.node('Div', [b.node('Mul', [y, gate]), b.scalar(6)]), [5, 17, 1, 1])
  }),
  single('hard swish by HardSigmoid', [2, 9, 4, 3], (b, x) => {
    const y = b.conv(x, [17, 9, 3, 3], { pads: [1, 1, 1, 1] })
    return b.node('Mul', [b.node('HardSigmoid', [y], { alpha: float(1 / 6) }), y])
  }),
  ...exportedGelus.map(([name, gelu]) => single(`gelu as exported, ${name}`, [2, 9, 4, 3], (b, x) => gelu(b, b.conv(x, [17, 9, 1, 1])))),
  ...exportedGelus.map(([name, gelu]) =>
    single(`gelu as exported over rows, ${name}`, [2, 5, 9], (b, x) => gelu(b, b.node('MatMul', [x, b.weight(9, 17)])))
  ),
  single('mish as exported', [2, 9, 4, 3], (b, x) => b.node('Mul', [x, b.node('Tanh', [b.node('Softplus', [x])])])),
  single('Pow', [2, 9, 4, 3], (b, x) => b.node('Pow', [b.node('Add', [b.node('Pow', [x, b.scalar(2)]), b.scalar(1)]), b.scalar(-0.5)])),
  ...[
    'HardSwish',
    'Elu',
    'Selu',
    'Softplus',
    'Softsign',
    'Celu',
    'ThresholdedRelu',
    'Exp',
    'Abs',
    'Neg',
    'Ceil',
    'Sign',
    'Round',
    'Erf'
  ].map((opType) => single(`conv ${opType}`, [1, 5, 6, 6], (b, x) => b.node(opType, [b.conv(x, [7, 5, 3, 3])]))),
  single('conv Mish', [1, 5, 6, 6], (b, x) => b.node('Mish', [b.conv(x, [7, 5, 3, 3])]), 18),
  single('conv Gelu', [1, 5, 6, 6], (b, x) => b.node('Gelu', [b.conv(x, [7, 5, 3, 3])]), 20),
  single('conv Gelu by tanh', [1, 5, 6, 6], (b, x) => b.node('Gelu', [b.conv(x, [7, 5, 3, 3])], { approximate: 'tanh' }), 20),
  single('Clip by computed bounds', [2, 5, 4, 3], (b, x) =>
    b.node('Clip', [x, b.node('ReduceMean', [x], { keepdims: int(0) }), b.scalar(0.9)])
  )
]

const reductionCases: readonly NetworkCase[] = [
  ...['ReduceMax', 'ReduceMin', 'ReduceMean', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSumExp', 'ReduceSumSquare'].flatMap(
    (opType) => [
      single(`${opType} of columns`, [2, 9, 4, 5], (b, x) => b.node(opType, [b.conv(x, [9, 9, 1, 1])], { axes: [3] })),
      single(`${opType} of channels and rows`, [2, 9, 4, 67], (b, x) => b.node(opType, [x], { axes: [1, -2], keepdims: int(0) }))
    ]
  ),
  single('ReduceSum of everything', [2, 9, 4, 5], (b, x) => b.node('ReduceSum', [x])),
  single('ArgMax', [2, 9, 4, 5], (b, x) => b.node('Cast', [b.node('ArgMax', [x], { axis: int(1) })], { to: int(1) })),
  single('Softmax of rows', [2, 3, 4, 35], (b, x) => b.node('Softmax', [b.conv(x, [3, 3, 1, 1])], { axis: int(-1) })),
  single('Softmax of opset 11 over all behind the batch', [2, 3, 4, 5], (b, x) => b.node('Softmax', [x]), 11),
  single('LogSoftmax along rows', [2, 3, 14, 5], (b, x) => b.node('LogSoftmax', [x], { axis: int(2) })),
  single('CumSum', [2, 3, 14, 5], (b, x) => b.node('CumSum', [x, b.constant(int64Tensor([2], []))], { reverse: int(1) })),
  single('TopK', [2, 30, 4], (b, x) => b.nodeOf('TopK', [x, b.ints(5)], { axis: int(1) }, 2)[0] as string),
  single('InstanceNormalization', [2, 9, 4, 5], (b, x) =>
    b.node('InstanceNormalization', [b.conv(x, [9, 9, 1, 1]), b.weight(9), b.weight(9)])
  ),
  single('LayerNormalization', [2, 7, 20], (b, x) => b.node('LayerNormalization', [x, b.weight(20), b.weight(20)])),
  single('LayerNormalization of N×H×W×C', [2, 20, 3, 4], (b, x) =>
    b.node(
      'Transpose',
      [
        b.node('LayerNormalization', [
          b.node('Transpose', [b.conv(x, [20, 20, 3, 3], { pads: [1, 1, 1, 1] })], { perm: [0, 2, 3, 1] }),
          b.weight(20)
        ])
      ],
      { perm: [0, 3, 1, 2] }
    )
  ),
  single('MeanVarianceNormalization', [2, 9, 4, 5], (b, x) => b.node('MeanVarianceNormalization', [x]))
]

/** X steps×N×size with the batch first, as the builder's inputs have it. */
const recurrent = (
  name: string,
  opType: 'LSTM' | 'GRU' | 'RNN',
  [batch, steps, size]: readonly [number, number, number],
  hidden: number,
  attributes: Attributes = {}
): NetworkCase =>
  single(`${opType} ${name}`, [batch, steps, size], (b, x) => {
    const directions = attributes.direction === 'bidirectional' ? 2 : 1
    const gates = { LSTM: 4, GRU: 3, RNN: 1 }[opType]
    const sequence = b.node('Transpose', [x], { perm: [1, 0, 2] })
    return b.node(opType, [sequence, ...recurrentWeights(b, directions, gates * hidden, size, hidden)], {
      hidden_size: int(hidden),
      ...attributes
    })
  })

const recurrentCases: readonly NetworkCase[] = [
  recurrent('forward', 'LSTM', [2, 7, 5], 9),
  recurrent('reverse', 'LSTM', [2, 7, 5], 9, { direction: 'reverse' }),
  recurrent('bidirectional', 'LSTM', [3, 11, 10], 33, { direction: 'bidirectional' }),
  recurrent('with clip', 'LSTM', [1, 5, 4], 6, { clip: float(0.3) }),
  recurrent('bidirectional', 'GRU', [3, 11, 10], 17, { direction: 'bidirectional' }),
  recurrent('reset behind the product', 'GRU', [3, 11, 10], 17, { linear_before_reset: int(1) }),
  recurrent('bidirectional', 'RNN', [2, 7, 5], 9, { direction: 'bidirectional' }),
  single('text recognition head', [1, 3, 8, 40], (b, x) => {
    const features = b.node('Relu', [b.conv(x, [24, 3, 8, 3], { strides: [1, 2] })])
    const sequence = b.node('Transpose', [b.node('Squeeze', [features, b.ints(2)])], { perm: [2, 0, 1] })
    const [y = ''] = b.nodeOf(
      'LSTM',
      [sequence, ...recurrentWeights(b, 2, 4 * 12, 24, 12)],
      { hidden_size: int(12), direction: 'bidirectional' },
      1
    )
    const flat = b.node('Reshape', [b.node('Transpose', [y], { perm: [0, 2, 1, 3] }), b.ints(0, 0, -1)])
    const logits = b.node('Add', [b.node('MatMul', [flat, b.weight(24, 11)]), b.weight(11)])
    return b.node('Softmax', [b.node('Transpose', [logits], { perm: [1, 0, 2] })])
  })
]

const productCases: readonly NetworkCase[] = [
  single('MatMul in batches', [3, 5, 7], (b, x) => b.node('MatMul', [x, b.node('Transpose', [x], { perm: [0, 2, 1] })])),
  single('MatMul, constant on the right', [2, 5, 4, 19], (b, x) => b.node('MatMul', [x, b.weight(19, 33)])),
  single('MatMul, constant on the left', [2, 5, 19, 4], (b, x) => b.node('MatMul', [b.weight(100, 19), x])),
  single('MatMul of vectors', [4, 300], (b, x) => b.node('MatMul', [x, b.weight(300)])),
  single('MatMul, batches of both broadcast', [3, 1, 5, 300], (b, x) => b.node('MatMul', [x, b.weight(1, 4, 300, 9)])),
  single('Gemm of computed matrices', [6, 5], (b, x) =>
    b.node('Gemm', [x, b.node('Exp', [x]), b.weight(5)], { transA: int(1), alpha: float(0.5), beta: float(2) })
  ),
  single('attention', [2, 6, 24], (b, x) => {
    const heads = (v: string): string => b.node('Transpose', [b.node('Reshape', [v, b.ints(0, 0, 3, 8)])], { perm: [0, 2, 1, 3] })
    const [q, k, v] = [0, 1, 2].map(() => heads(b.node('Add', [b.node('MatMul', [x, b.weight(24, 24)]), b.weight(24)]))) as [
      string,
      string,
      string
    ]
    const scores = b.node('Mul', [b.node('MatMul', [q, b.node('Transpose', [k], { perm: [0, 1, 3, 2] })]), b.scalar(8 ** -0.5)])
    const mixed = b.node('MatMul', [b.node('Softmax', [scores]), v])
    return b.node('MatMul', [b.node('Reshape', [b.node('Transpose', [mixed], { perm: [0, 2, 1, 3] }), b.ints(0, 0, 24)]), b.weight(24, 24)])
  })
]

const einsum = (equation: string, dims: Dims, ...others: readonly Dims[]): NetworkCase =>
  single(`Einsum ${equation}`, dims, (b, x) => b.node('Einsum', [x, ...others.map((own) => b.weight(...own))], { equation }))

const einsumCases: readonly NetworkCase[] = [
  einsum('nij,jk->nik', [2, 5, 7], [7, 9]),
  einsum('bhwc,hkc->bhwk', [2, 3, 4, 5], [3, 6, 5]),
  einsum('nci, nkc -> nki', [1, 5, 7], [1, 3, 5]),
  einsum('nii->ni', [3, 4, 4]),
  einsum('nij->ji', [3, 4, 5]),
  einsum('nij,j', [3, 4, 5], [5]),
  einsum('n...c,cd->n...d', [2, 3, 4, 5], [5, 6])
]

export const denseCases: readonly NetworkCase[] = [
  ...transposedCases,
  ...volumeCases,
  ...resizeCases,
  ...movingCases,
  ...broadcastCases,
  ...reductionCases,
  ...recurrentCases,
  ...productCases,
  ...einsumCases
]
