import { show } from '../errors.js'
import { intAttribute } from '../graph/attributes.js'
import { asFloatTensor, elementCount, fromFloat32, type Tensor } from '../tensor.js'
import { type NodeContext, axisOf, sameDims, shapeError } from './operator.js'

/** Where the scale of each element of x is: one for all, one for each index of `axis`, or one for each block of it. */
interface Granularity {
  readonly axis: number
  readonly block: number
}

/** The scale's dims are those of x with `axis` divided into blocks (opset 21), 1-D for one an index (opset 13), or hold a single value. */
function granularityOf(context: NodeContext, dims: readonly number[], scale: Tensor): Granularity | undefined {
  if (scale.data.length === 1) return undefined
  const axis = axisOf(context, intAttribute(context.node, 'axis', 1), dims.length)
  const block = intAttribute(context.node, 'block_size', 0)
  if (block === 0 && scale.dims.length === 1 && scale.dims[0] === dims[axis]) return { axis, block: 1 }
  const blocked = dims.map((dim, i) => (i === axis ? Math.ceil(dim / block) : dim))
  if (block > 0 && sameDims(scale.dims, blocked)) return { axis, block }
  throw shapeError(context, `scale of shape ${show(scale.dims)} fits neither axis ${axis} of ${show(dims)} nor blocks of ${block} along it`)
}

/** For every element of x (row-major, of shape `dims`) the index of its scale. */
function scaleIndices(dims: readonly number[], scale: Tensor, granularity: Granularity | undefined): (element: number) => number {
  if (granularity === undefined) return () => 0
  const { axis, block } = granularity
  const extent = dims[axis] as number
  const inner = elementCount(dims.slice(axis + 1))
  if (scale.dims.length === 1) return (element) => Math.floor(Math.floor(element / inner) / block) % Math.ceil(extent / block)
  const blocks = Math.ceil(extent / block)
  return (element) => {
    const outer = Math.floor(element / (inner * extent))
    return (outer * blocks + Math.floor((Math.floor(element / inner) % extent) / block)) * inner + (element % inner)
  }
}

/** y = (x − zero point) · scale, as exporters write it in front of quantised weights; undefined where an input is computed. */
export function dequantized(context: NodeContext): readonly Tensor[] | undefined {
  const [x, scale, zero] = [0, 1, 2].map((i) => context.inputs[i]?.constant)
  const isComputed = context.inputs.some((input) => input !== undefined && input.constant === undefined)
  if (x === undefined || scale === undefined || isComputed) return undefined
  const scales = asFloatTensor(scale)?.data
  if (scales === undefined) throw shapeError(context, `the scale is ${scale.dtype}, not a real number`)
  const size = zero === undefined ? scale.data.length : zero.data.length
  if (size !== scale.data.length) throw shapeError(context, `${scale.data.length} scales and ${size} zero points`)
  const indexOf = scaleIndices(x.dims, scale, granularityOf(context, x.dims, scale))
  const data = new Float32Array(x.data.length)
  for (let i = 0; i < data.length; i++) {
    const at = indexOf(i)
    data[i] = (Number(x.data[i]) - Number(zero?.data[at] ?? 0)) * (scales[at] as number)
  }
  return [fromFloat32(data, x.dims, scale.dtype)]
}

/** The least and the largest level of each quantised type. */
export const ranges: Readonly<Partial<Record<Tensor['dtype'], readonly [number, number]>>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767]
}

/** y = saturate(round(x / scale) + zero point), ties to even: with a DequantizeLinear behind it, weights rounded to a grid. */
export function quantized(context: NodeContext): readonly Tensor[] | undefined {
  const [x, scale, zero] = [0, 1, 2].map((i) => context.inputs[i]?.constant)
  const isComputed = context.inputs.some((input) => input !== undefined && input.constant === undefined)
  if (x === undefined || scale === undefined || isComputed) return undefined
  const [values, scales] = [asFloatTensor(x)?.data, asFloatTensor(scale)?.data]
  const dtype = zero?.dtype ?? 'uint8'
  const range = ranges[dtype]
  if (values === undefined || scales === undefined || range === undefined || context.node.attributes.has('output_dtype')) return undefined
  const indexOf = scaleIndices(x.dims, scale, granularityOf(context, x.dims, scale))
  const data = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array }[dtype as 'uint8']
  const result = new data(values.length)
  for (let i = 0; i < result.length; i++) {
    const at = indexOf(i)
    const level = roundToEven(Math.fround((values[i] as number) / (scales[at] as number))) + Number(zero?.data[at] ?? 0)
    result[i] = Math.min(Math.max(level, range[0]), range[1])
  }
  return [{ dtype, dims: x.dims, data: result }]
}

function roundToEven(value: number): number {
  const rounded = Math.round(value)
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}
