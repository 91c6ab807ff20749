import { show } from '../errors.js'
import { floatAttribute, floatsAttribute, intAttribute, intsAttribute, stringAttribute } from '../graph/rewrite.js'
import { elementCount, toFloat32 } from '../tensor.js'
import { around, type Dense, pad, refOf, slice, take } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  axisOf,
  checkedCount,
  constantInput,
  integersInput,
  maximumFolded,
  newestOpset,
  nodeError,
  requiredInput,
  shapeError
} from './operator.js'

/** How one axis is resized. */
interface AxisResize {
  readonly size: number
  readonly output: number
  readonly scale: number
  /** Part of the axis that tf_crop_and_resize takes. */
  readonly roi: readonly [number, number]
}

interface Resize {
  readonly mode: 'nearest' | 'linear' | 'cubic'
  readonly coordinates: string
  readonly nearest: string
  readonly cubic: number
  readonly excludesOutside: boolean
  readonly antialias: boolean
  readonly extrapolation: number
  readonly axes: readonly AxisResize[]
}

/** Numbers of an input that must be known; an empty one counts as omitted. */
function numbers(context: NodeContext, index: number, what: string): number[] | undefined {
  const tensor = constantInput(context, index, what)
  return tensor === undefined || tensor.data.length === 0 ? undefined : Array.from(toFloat32(tensor, context.node.inputs[index] ?? what))
}

function perAxis<T>(context: NodeContext, rank: number, values: readonly T[], rest: (axis: number) => T): T[] {
  const axes = context.node.attributes.has('axes')
    ? intsAttribute(context.node, 'axes').map((axis) => axisOf(context, axis, rank))
    : Array.from({ length: rank }, (_, axis) => axis)
  if (values.length !== axes.length) throw nodeError(context, `${values.length} scales or sizes for ${axes.length} axes`)
  return Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? (values[axes.indexOf(axis)] as T) : rest(axis)))
}

/** Upsample has scales only: an attribute before opset 9. Resize 10 had scales; since 11 there are a region, scales and sizes. */
function scaling(context: NodeContext): { readonly scales?: number[]; readonly sizes?: number[]; readonly roi?: number[] } {
  const { node, opset } = context
  if (node.opType === 'Upsample')
    return { scales: opset < 9 ? [...floatsAttribute(node, 'scales')] : (numbers(context, 1, 'list of scales') ?? []) }
  if (opset < 11) return { scales: numbers(context, 1, 'list of scales') ?? [] }
  const [roi, scales] = [numbers(context, 1, 'region'), numbers(context, 2, 'list of scales')]
  const sizes = context.inputs[3] === undefined ? undefined : integersInput(context, 3, 'list of sizes')
  return {
    ...(roi === undefined ? {} : { roi }),
    ...(scales === undefined ? {} : { scales }),
    ...(sizes === undefined || scales !== undefined ? {} : { sizes })
  }
}

/** One scale for all resized axes where their ratio is kept: the smallest (`not_larger`) or the largest that `sizes` ask for. */
function commonScale(context: NodeContext, dims: readonly number[], sizes: readonly number[]): number | undefined {
  const policy = stringAttribute(context.node, 'keep_aspect_ratio_policy', 'stretch')
  if (policy === 'stretch') return undefined
  const ratios = sizes.flatMap((size, axis) => (isResized(context, dims.length, axis) ? [size / (dims[axis] as number)] : []))
  return policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios)
}

function isResized(context: NodeContext, rank: number, axis: number): boolean {
  if (!context.node.attributes.has('axes')) return true
  return intsAttribute(context.node, 'axes').some((own) => axisOf(context, own, rank) === axis)
}

function axesOf(context: NodeContext): AxisResize[] {
  const { dims } = requiredInput(context, 0)
  const rank = dims.length
  const { scales, sizes, roi } = scaling(context)
  const [begin, end] = [roi?.slice(0, roi.length / 2), roi?.slice(roi.length / 2)]
  const from = begin === undefined ? dims.map(() => 0) : perAxis(context, rank, begin, () => 0)
  const to = end === undefined ? dims.map(() => 1) : perAxis(context, rank, end, () => 1)
  if (sizes !== undefined) {
    const asked = perAxis(context, rank, sizes, (axis) => dims[axis] as number)
    const common = commonScale(context, dims, asked)
    return dims.map((size, axis) => {
      const own = isResized(context, rank, axis) ? common : undefined
      const output = own === undefined ? (asked[axis] as number) : Math.floor(own * size + 0.5)
      return { size, output, scale: own ?? output / size, roi: [from[axis] as number, to[axis] as number] }
    })
  }
  if (scales === undefined) throw nodeError(context, 'neither scales nor sizes are given')
  const own = perAxis(context, rank, scales, () => 1)
  return dims.map((size, axis) => {
    const scale = own[axis] as number
    if (!(scale > 0)) throw nodeError(context, `a scale of ${scale}`)
    // In float32, as onnxruntime has it and exporters mean it: three times 5/3 is five. The size of the region does not count there either.
    return { size, output: Math.floor(Math.fround(size * scale)), scale, roi: [from[axis] as number, to[axis] as number] }
  })
}

function resizeOf(context: NodeContext): Resize {
  const { node, opset } = context
  const mode = stringAttribute(node, 'mode', 'nearest')
  if (mode !== 'nearest' && mode !== 'linear' && mode !== 'cubic') throw nodeError(context, `mode ${show(mode)} does not exist`)
  const isOld = node.opType === 'Upsample' || opset < 11
  return {
    mode,
    coordinates: isOld ? 'asymmetric' : stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel'),
    nearest: isOld ? 'simple' : stringAttribute(node, 'nearest_mode', 'round_prefer_floor'),
    cubic: floatAttribute(node, 'cubic_coeff_a', -0.75),
    excludesOutside: intAttribute(node, 'exclude_outside', 0) !== 0,
    antialias: intAttribute(node, 'antialias', 0) !== 0,
    extrapolation: floatAttribute(node, 'extrapolation_value', 0),
    axes: axesOf(context)
  }
}

/**
 * The place in the input of output position x: in float32, as other runtimes compute it, since the nearest element may hang on the last bit.
 */
function coordinate(context: NodeContext, { coordinates }: Resize, axis: AxisResize, x: number): number {
  const { size, output, roi } = axis
  const scale = Math.fround(axis.scale)
  // Not rounded: what the specification's reference does with scales that give no whole size.
  const resized = axis.scale * size
  const quotient = (value: number): number => Math.fround(Math.fround(value) / scale)
  const halfPixel = Math.fround(quotient(x + 0.5) - 0.5)
  switch (coordinates) {
    case 'half_pixel':
      return halfPixel
    case 'half_pixel_symmetric': {
      const adjustment = Math.fround(output / Math.fround(scale * size))
      const offset = Math.fround((size / 2) * Math.fround(1 - adjustment))
      return Math.fround(Math.fround(offset + quotient(x + 0.5)) - 0.5)
    }
    case 'pytorch_half_pixel':
      return output > 1 ? halfPixel : 0
    case 'align_corners':
      return output > 1 ? Math.fround((x * (size - 1)) / (resized - 1)) : 0
    case 'asymmetric':
      return quotient(x)
    case 'tf_half_pixel_for_nn':
      return quotient(x + 0.5)
    case 'tf_crop_and_resize':
      return inRegion(roi, size, output, x)
    default:
      throw nodeError(context, `coordinate_transformation_mode ${show(coordinates)} does not exist`)
  }
}

/** In float32 at each step: what lies on the last element is inside. */
function inRegion([from, to]: AxisResize['roi'], size: number, output: number, x: number): number {
  const last = size - 1
  if (output <= 1) return Math.fround(Math.fround(0.5 * Math.fround(from + to)) * last)
  const along = Math.fround(Math.fround(Math.fround(x * Math.fround(to - from)) * last) / (output - 1))
  return Math.fround(Math.fround(from * last) + along)
}

/** How far from the middle between two elements a place may be and still be there, but for rounding. */
const halfway = 1e-5

/** `simple` is what there was before opset 11: up where fewer elements are made, else down. */
function nearestOf(context: NodeContext, mode: string, x: number, scale: number): number {
  if (mode === 'simple') return scale < 1 ? Math.ceil(x) : Math.floor(x)
  if (mode === 'round_prefer_floor') return Math.ceil(x - 0.5 - halfway)
  if (mode === 'round_prefer_ceil') return Math.floor(x + 0.5 + halfway)
  if (mode === 'floor') return Math.floor(x)
  if (mode === 'ceil') return Math.ceil(x)
  throw nodeError(context, `nearest_mode ${show(mode)} does not exist`)
}

/** Weights by distance to the neighbours: linear reaches 1, cubic 2. With antialias and a scale below 1 both are stretched. */
function kernel(resize: Resize, distance: number): number {
  const d = Math.abs(distance)
  if (resize.mode === 'linear') return Math.max(0, 1 - d)
  const a = resize.cubic
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0
}

interface Taps {
  readonly count: number
  readonly positions: number[]
  readonly weights: number[]
  /** Outputs that lie outside of the region. */
  readonly outside: boolean[]
}

function tapsOf(context: NodeContext, resize: Resize, axis: AxisResize): Taps {
  const stretch = resize.antialias ? Math.max(1, 1 / axis.scale) : 1
  const reach = (resize.mode === 'linear' ? 1 : 2) * stretch
  const count = 2 * Math.ceil(reach)
  const [positions, weights, outside]: [number[], number[], boolean[]] = [[], [], []]
  for (let x = 0; x < axis.output; x++) {
    const place = coordinate(context, resize, axis, x)
    outside.push(resize.coordinates === 'tf_crop_and_resize' && (place < 0 || place > axis.size - 1))
    const first = Math.floor(place) - Math.ceil(reach) + 1
    const taps = Array.from({ length: count }, (_, i) => first + i)
    const own = taps.map((at) => {
      const isOutside = at < 0 || at >= axis.size
      return resize.excludesOutside && isOutside ? 0 : kernel(resize, (place - at) / stretch)
    })
    const sum = own.reduce((total, weight) => total + weight, 0)
    const divisor = resize.excludesOutside || stretch > 1 ? sum : 1
    positions.push(...taps.map((at) => Math.min(axis.size - 1, Math.max(0, at))))
    weights.push(...own.map((weight) => weight / divisor))
  }
  return { count, positions, weights, outside }
}

function interpolated(context: NodeContext, plan: PlanWriter, resize: Resize): Dense {
  const outsides: boolean[][] = []
  const result = resize.axes.reduce((x, axis, i) => {
    const isSame = axis.output === axis.size && axis.scale === 1 && resize.coordinates !== 'tf_crop_and_resize'
    outsides.push(new Array<boolean>(axis.output).fill(false))
    if (isSame) return x
    const { count, positions, weights, outside } = tapsOf(context, resize, axis)
    outsides[i] = outside
    const { value, dims } = plan.contiguous(x)
    const sizes = [...around(dims, i), count]
    return plan.emitDense(
      { op: 'interpolate', inputs: [value], sizes, tables: [Int32Array.from(positions)], numbers: Float32Array.from(weights) },
      dims.with(i, axis.output)
    )
  }, plan.dense(0))
  return outsides.some((axis) => axis.some(Boolean)) ? extrapolated(plan, result, outsides, resize.extrapolation) : result
}

/** What lies outside is at both ends of an axis: cut off and filled. */
function extrapolated(plan: PlanWriter, x: Dense, outsides: readonly (readonly boolean[])[], fill: number): Dense {
  const first = outsides.map((axis) => Math.max(0, axis.indexOf(false)))
  const count = outsides.map((axis) => axis.filter((outside) => !outside).length)
  const inside = slice(
    x,
    count.map((size, axis) => ({ axis, start: first[axis] as number, step: 1, count: size }))
  )
  return pad(
    plan,
    inside,
    first,
    x.dims.map((dim, axis) => dim - (first[axis] as number) - (count[axis] as number)),
    fill
  )
}

function nearest(context: NodeContext, plan: PlanWriter, resize: Resize): Dense {
  const tables = resize.axes.map((axis) =>
    Array.from({ length: axis.output }, (_, x) => {
      const place = coordinate(context, resize, axis, x)
      if (resize.coordinates === 'tf_crop_and_resize' && (place < 0 || place > axis.size - 1)) return -1
      return Math.min(axis.size - 1, Math.max(0, nearestOf(context, resize.nearest, place, axis.scale)))
    })
  )
  return take(plan, plan.dense(0), tables, resize.extrapolation)
}

/** Rows and columns of a blocked value in one step; `undefined` where other axes are resized, or something is cut off. */
function resampled(context: NodeContext, plan: PlanWriter, resize: Resize): ValueRef | undefined {
  const [n, c, ...spatial] = resize.axes
  const isMap = spatial.length >= 1 && spatial.length <= 2 && [n, c].every((axis) => axis?.output === axis?.size)
  if (!isMap || resize.coordinates === 'tf_crop_and_resize') return undefined
  const same: Taps = { count: 1, positions: [0], weights: [1], outside: [false] }
  const [rows, columns] = [spatial.at(-2), spatial.at(-1) as AxisResize].map((axis) =>
    axis === undefined ? same : resize.mode === 'nearest' ? nearestTaps(context, resize, axis) : tapsOf(context, resize, axis)
  ) as [Taps, Taps]
  const input = plan.blocked(0)
  const { n: images, c: channels } = plan.shape(input)
  const shape = { n: images, c: channels, h: rows.positions.length / rows.count, w: columns.positions.length / columns.count }
  return plan.emit(
    {
      op: 'resample',
      input,
      sizes: [rows.count, columns.count],
      tables: [Int32Array.from(rows.positions), Int32Array.from(columns.positions)],
      numbers: Float32Array.from([...rows.weights, ...columns.weights])
    },
    shape
  )
}

function nearestTaps(context: NodeContext, resize: Resize, axis: AxisResize): Taps {
  const positions = Array.from({ length: axis.output }, (_, x) =>
    Math.min(axis.size - 1, Math.max(0, nearestOf(context, resize.nearest, coordinate(context, resize, axis, x), axis.scale)))
  )
  return { count: 1, positions, weights: positions.map(() => 1), outside: [] }
}

function resizing(opType: string, opsets: readonly [number, number], constants: readonly number[]): Operator {
  return {
    opType,
    opsets,
    constants,
    dims(context) {
      const dims = axesOf(context).map(({ output }) => output)
      // There are tables for each position.
      for (const dim of dims) checkedCount(context, [dim], maximumFolded)
      if (elementCount(dims) === 0) throw shapeError(context, `nothing is left of ${show(requiredInput(context, 0).dims)}`)
      return [dims]
    },
    lower(context, plan) {
      const resize = resizeOf(context)
      const map = plan.isBlocked(0) ? resampled(context, plan, resize) : undefined
      return [map ?? refOf(resize.mode === 'nearest' ? nearest(context, plan, resize) : interpolated(context, plan, resize))]
    }
  }
}

export const resizes: readonly Operator[] = [resizing('Resize', [10, newestOpset], [1, 2, 3]), resizing('Upsample', [allOpsets[0], 9], [1])]
