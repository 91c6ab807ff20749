import { floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { type NetworkCase, single } from './network-case.js'
import { type NetworkBuilder, int } from './network-builder.js'

/*
 * What networks of warped images, of sound and of quantised values begin and end with: compared with onnxruntime over odd sizes.
 */

type Dims = readonly number[]

/** A grid that goes beyond the borders, computed from x: N×C×H×W → N×H'×W'×2. */
const grid = (b: NetworkBuilder, x: string, channels: number): string =>
  b.node('Mul', [b.node('Transpose', [b.conv(x, [2, channels, 3, 2], { strides: [2, 1] })], { perm: [0, 2, 3, 1] }), b.scalar(1.4)])

const sampling = (mode: string, padding: string, corners: number, dims: Dims, opset: number): NetworkCase =>
  single(
    `GridSample ${mode}, ${padding}, align_corners ${corners}, opset ${opset}`,
    dims,
    (b, x) => b.node('GridSample', [x, grid(b, x, dims[1] as number)], { mode, padding_mode: padding, align_corners: int(corners) }),
    opset
  )

const samplingCases: readonly NetworkCase[] = [
  ...['zeros', 'border', 'reflection'].flatMap((padding) => [
    sampling('bilinear', padding, 0, [2, 5, 7, 9], 16),
    sampling('bilinear', padding, 1, [1, 17, 6, 5], 16),
    sampling('nearest', padding, 0, [1, 3, 5, 4], 16),
    sampling('bicubic', padding, 0, [1, 3, 6, 8], 16),
    sampling('cubic', padding, 1, [1, 3, 6, 8], 20)
  ]),
  single(
    'GridSample of volumes',
    [2, 3, 4, 5, 6],
    (b, x) => {
      const places = b.node('Transpose', [b.node('Tanh', [b.node('Slice', [x, b.ints(0), b.ints(3), b.ints(1)])])], {
        perm: [0, 2, 3, 4, 1]
      })
      return b.node('GridSample', [x, places], { mode: 'linear' })
    },
    20
  )
]

const scalar = (b: NetworkBuilder, value: number): string => b.constant(int64Tensor([value], []))

const soundCases: readonly NetworkCase[] = [
  single('STFT with a window', [2, 61], (b, x) => b.node('STFT', [x, scalar(b, 7), b.node('HannWindow', [scalar(b, 18)]), scalar(b, 18)])),
  single('STFT of both sides', [2, 40, 1], (b, x) => b.node('STFT', [x, scalar(b, 5), '', scalar(b, 9)], { onesided: int(0) })),
  single('spectrogram', [1, 80], (b, x) => {
    const window = b.node('HammingWindow', [scalar(b, 16)], { periodic: int(0) })
    const power = b.node('ReduceSumSquare', [b.node('STFT', [x, scalar(b, 8), window, scalar(b, 16)])], { axes: [3], keepdims: int(0) })
    const image = b.node('Unsqueeze', [b.node('Log', [b.node('Add', [power, b.scalar(1)])]), b.ints(1)])
    return b.conv(image, [4, 1, 3, 3])
  }),
  single('DFT of opset 17, filled up', [2, 13, 3, 1], (b, x) => b.node('DFT', [x, scalar(b, 17)], { axis: int(1) })),
  single('inverse DFT of opset 20', [2, 9, 3, 2], (b, x) => b.node('DFT', [x, '', scalar(b, 1)], { inverse: int(1) }), 20),
  single('DFT there and half of it', [2, 10, 1], (b, x) => b.node('DFT', [x], { onesided: int(1) }))
]

const byte = (b: NetworkBuilder, dtype: 'uint8' | 'int8', dims: Dims, values: readonly number[]): string => {
  const data = dtype === 'uint8' ? Uint8Array.from(values) : Int8Array.from(values)
  return b.constant({ dtype, dims, data } as Tensor)
}
const zero = (b: NetworkBuilder, value: number): string => byte(b, 'uint8', [], [value])
const random = (b: NetworkBuilder, dims: Dims): string => {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return byte(
    b,
    'int8',
    dims,
    Array.from({ length: count }, () => b.random.integer(-127, 127))
  )
}
const scales = (b: NetworkBuilder, count: number): string =>
  b.constant(
    floatTensor(
      Float32Array.from({ length: count }, () => 0.01 + b.random.next() / 100),
      [count]
    )
  )

const quantisedCases: readonly NetworkCase[] = [
  single('QLinearConv by channel, with a bias', [2, 3, 7, 6], (b, x) => {
    const q = b.node('QuantizeLinear', [x, b.scalar(0.03), zero(b, 128)])
    const bias = b.constant({ dtype: 'int32', dims: [5], data: Int32Array.of(-900, 400, 0, 77, 1200) })
    const weight = [random(b, [5, 3, 3, 3]), scales(b, 5), byte(b, 'int8', [5], [0, 0, 0, 0, 0])]
    const y = b.node('QLinearConv', [q, b.scalar(0.03), zero(b, 128), ...weight, b.scalar(0.1), zero(b, 120), bias], { pads: [1, 1, 0, 1] })
    return b.node('DequantizeLinear', [y, b.scalar(0.1), zero(b, 120)])
  }),
  single('QLinearMatMul', [4, 6], (b, x) => {
    const q = b.node('QuantizeLinear', [x, b.scalar(0.03), zero(b, 128)])
    const weight = [random(b, [6, 5]), b.scalar(0.02), byte(b, 'int8', [], [3])]
    const y = b.node('QLinearMatMul', [q, b.scalar(0.03), zero(b, 128), ...weight, b.scalar(0.1), zero(b, 120)])
    return b.node('DequantizeLinear', [y, b.scalar(0.1), zero(b, 120)])
  }),
  // As onnxruntime's quantize_dynamic writes a layer.
  single('DynamicQuantizeLinear, ConvInteger', [2, 3, 7, 6], (b, x) => {
    const [q, scale, origin] = b.nodeOf('DynamicQuantizeLinear', [x], {}, 3) as [string, string, string, string]
    const y = b.node('ConvInteger', [q, random(b, [6, 3, 3, 3]), origin], { pads: [1, 1, 0, 1], strides: [2, 1] })
    return b.node('Mul', [b.node('Cast', [y], { to: int(1) }), b.node('Mul', [scale, b.scalar(0.02)])])
  }),
  single('ConvInteger in groups along one axis, with a zero point', [1, 6, 19], (b, x) => {
    const [q, , origin] = b.nodeOf('DynamicQuantizeLinear', [x], {}, 3) as [string, string, string, string]
    const y = b.node('ConvInteger', [q, random(b, [4, 3, 5]), origin, byte(b, 'int8', [], [-3])], { group: int(2), dilations: [2] })
    return b.node('Cast', [y], { to: int(1) })
  }),
  single('DynamicQuantizeLinear, MatMulInteger by column', [2, 5, 6], (b, x) => {
    const [q, scale, origin] = b.nodeOf('DynamicQuantizeLinear', [x], {}, 3) as [string, string, string, string]
    const y = b.node('MatMulInteger', [q, random(b, [6, 4]), origin, byte(b, 'int8', [4], [1, -2, 0, 7])])
    return b.node('Mul', [b.node('Cast', [y], { to: int(1) }), b.node('Mul', [scale, b.scalar(0.02)])])
  }),
  single('DynamicQuantizeLinear of zeros', [2, 5], (b, x) => {
    const [q, scale, origin] = b.nodeOf('DynamicQuantizeLinear', [b.node('Mul', [x, b.scalar(0)])], {}, 3) as [
      string,
      string,
      string,
      string
    ]
    return b.node('Add', [b.node('DequantizeLinear', [q, scale, origin]), x])
  })
]

const otherCases: readonly NetworkCase[] = [
  single('CenterCropPad', [2, 3, 7, 6], (b, x) => b.node('CenterCropPad', [x, b.ints(4, 11)], { axes: [2, -1] }), 18),
  single('NonZero of a mask', [2, 5], (b, x) => {
    const mask = b.constant({ dtype: 'bool', dims: [5], data: Uint8Array.of(0, 1, 1, 0, 1) })
    const columns = b.node('Squeeze', [b.node('NonZero', [mask]), b.ints(0)])
    return b.node('Gather', [x, columns], { axis: int(1) })
  })
]

export const signalCases: readonly NetworkCase[] = [...samplingCases, ...soundCases, ...quantisedCases, ...otherCases]
