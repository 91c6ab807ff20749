import { elementCount, type Tensor } from '../tensor.js'
import { type ConvSpec, outputExtent } from './conv-spec.js'
import { apply, type Dense, matmul, pad, reshape, rowMajor, transpose } from './dense.js'
import type { PlanWriter } from './operator.js'
import { planWindow } from './window.js'

/*
 * Convolutions that are not one step: over volumes, and with weights that are computed.
 */

/** Every window of an already padded axis as an axis of its own: N×C×… becomes N×C×k…×o…, through strides. */
export function windows(x: Dense, spec: ConvSpec, outputs: readonly number[], axes: readonly number[]): Dense {
  const at = (list: readonly number[], axis: number): number => list[axis - 2] as number
  const strides = axes.map((axis) => x.strides[axis] as number)
  const others = x.dims.map((_, axis) => axis).filter((axis) => axis >= 2 && !axes.includes(axis))
  const own = others.map((axis) => ({ dim: x.dims[axis] as number, stride: x.strides[axis] as number }))
  return {
    value: x.value,
    offset: x.offset,
    dims: [
      ...x.dims.slice(0, 2),
      ...axes.map((axis) => at(spec.kernel, axis)),
      ...axes.map((_, i) => outputs[i] as number),
      ...own.map(({ dim }) => dim)
    ],
    strides: [
      ...x.strides.slice(0, 2),
      ...axes.map((axis, i) => (strides[i] as number) * at(spec.dilations, axis)),
      ...axes.map((axis, i) => (strides[i] as number) * at(spec.strides, axis)),
      ...own.map(({ stride }) => stride)
    ]
  }
}

function padded(plan: PlanWriter, x: Dense, spec: ConvSpec, axes: readonly number[]): Dense {
  const sizes = (list: readonly number[]): number[] => x.dims.map((_, axis) => (axes.includes(axis) ? (list[axis - 2] as number) : 0))
  return pad(plan, x, sizes(spec.padsBegin), sizes(spec.padsEnd), 0)
}

/** Any convolution as a product of matrices: the weight, Cout×Cin/g·k, with all windows, Cin/g·k×outputs, by group and image. */
export function computedConvolution(plan: PlanWriter, x: Dense, weight: Dense, spec: ConvSpec): Dense {
  const axes = spec.kernel.map((_, i) => i + 2)
  const [n = 1, channels = 1] = x.dims
  const outputs = axes.map((axis, i) => outputExtent(spec, i, x.dims[axis] as number))
  const [cout = 1] = weight.dims
  const { groups } = spec
  const inner = (channels / groups) * elementCount(spec.kernel)
  const columns = reshape(plan, windows(padded(plan, x, spec, axes), spec, outputs, axes), [n, groups, inner, elementCount(outputs)])
  const product = matmul(plan, reshape(plan, weight, [groups, cout / groups, inner]), columns)
  return reshape(plan, product, [n, cout, ...outputs])
}

export function withBias(plan: PlanWriter, x: Dense, bias: Dense | undefined): Dense {
  if (bias === undefined) return x
  const channels = x.dims.slice(1).map((dim, i) => (i === 0 ? dim : 1))
  return apply(plan, 'add', [x, reshape(plan, bias, channels)])
}

/**
 * Over three or more axes: all but the last two become channels and images of a convolution over two. Depth taps of output depth d lie beside
 * each other as channels, as they do in the weight.
 */
export function volumeConvolution(
  plan: PlanWriter,
  x: Dense,
  weight: Tensor,
  bias: Tensor | undefined,
  spec: ConvSpec,
  outputDims: readonly number[]
): Dense {
  const depths = spec.kernel.slice(0, -2).map((_, i) => i + 2)
  const [n = 1, cout = 1, ...extents] = outputDims
  const outputs = extents.slice(0, -2)
  const [h, w] = x.dims.slice(-2) as [number, number]
  const taps = elementCount(spec.kernel.slice(0, -2))
  const channels = (x.dims[1] as number) * taps
  const images = n * elementCount(outputs)
  // N×C×taps×depths×H×W → N×depths×C×taps×H×W
  const all = windows(padded(plan, x, spec, depths), spec, outputs, depths)
  const rank = depths.length
  const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)
  const ordered = transpose(all, [0, ...range(2 + rank, rank), 1, ...range(2, rank), ...range(2 + 2 * rank, 2)])
  const blocked = plan.toBlocked(reshape(plan, ordered, [images, channels, h, w]), { n: images, c: channels, h, w })
  const flat = planWindow({
    ...spec,
    kernel: spec.kernel.slice(-2),
    strides: spec.strides.slice(-2),
    dilations: spec.dilations.slice(-2),
    padsBegin: spec.padsBegin.slice(-2),
    padsEnd: spec.padsEnd.slice(-2)
  })
  const shape = { n: images, c: cout, h: extents.at(-2) as number, w: extents.at(-1) as number }
  const { value } = plan.emit(
    {
      op: 'convolution',
      input: blocked,
      ...flat,
      groups: spec.groups,
      weight: plan.parameter(weight),
      bias: bias === undefined ? -1 : plan.parameter(bias)
    },
    shape
  )
  const maps = [n, ...outputs, cout, shape.h, shape.w]
  const result = plan.emitDense({ op: 'to_dense', input: value }, maps)
  return transpose({ ...result, dims: maps, strides: rowMajor(maps) }, [0, 1 + rank, ...range(1, rank), 2 + rank, 3 + rank])
}
