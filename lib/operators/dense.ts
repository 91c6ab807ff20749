import type {
  BinaryFunction,
  CopyPiece,
  DenseStep,
  IntegerType,
  ReduceFunction,
  TernaryFunction,
  UnaryFunction
} from '../runtime/dense-spec.js'
import type { PlanStep } from '../runtime/plan-spec.js'
import { type DataType, elementCount, floatTensor } from '../tensor.js'
import type { PlanWriter, ValueRef } from './operator.js'

/*
 * What operators over tensors of any rank are made of. A `Dense` is a tensor in a plan that may be seen through strides: transposing, slicing,
 * expanding and reshaping mostly are no steps at all.
 */

/** Element (i0, i1, …) of a tensor of `dims` is at offset + Σ i·stride of the dense plan value. */
export interface Dense {
  readonly value: number
  readonly dims: readonly number[]
  readonly offset: number
  readonly strides: readonly number[]
}

/** Row-major strides. */
export function rowMajor(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length)
  let stride = 1
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= dims[axis] as number
  }
  return strides
}

export function wholeValue(value: number, dims: readonly number[]): Dense {
  return { value, dims, offset: 0, strides: rowMajor(dims) }
}

/** Whether the elements follow each other in row-major order from `offset`. */
export function isRowMajor({ dims, strides }: Pick<Dense, 'dims' | 'strides'>): boolean {
  const expected = rowMajor(dims)
  return dims.every((dim, axis) => dim === 1 || strides[axis] === expected[axis])
}

export function refOf(x: Dense): ValueRef {
  return { value: x.value, view: { kind: 'strided', offset: x.offset, strides: x.strides } }
}

/** The same elements in the same order as other dims. */
export function reshape(plan: PlanWriter, x: Dense, dims: readonly number[]): Dense {
  const from = isRowMajor(x) ? x : plan.contiguous(x)
  return { value: from.value, dims, offset: from.offset, strides: rowMajor(dims) }
}

export function transpose(x: Dense, perm: readonly number[]): Dense {
  return { ...x, dims: perm.map((axis) => x.dims[axis] as number), strides: perm.map((axis) => x.strides[axis] as number) }
}

/** Elements start, start + step, … of an axis. */
export interface Cut {
  readonly axis: number
  readonly start: number
  readonly step: number
  readonly count: number
}

export function slice(x: Dense, cuts: readonly Cut[]): Dense {
  return cuts.reduce<Dense>(({ value, dims, offset, strides }, { axis, start, step, count }) => {
    const stride = strides[axis] as number
    return {
      value,
      dims: dims.with(axis, count),
      offset: offset + (count === 0 ? 0 : start * stride),
      strides: strides.with(axis, stride * step)
    }
  }, x)
}

/** `x` repeated along axes of length 1 (and new ones in front) until it has `dims`. */
export function expand(x: Dense, dims: readonly number[]): Dense {
  const shift = dims.length - x.dims.length
  const strides = dims.map((dim, axis) =>
    axis < shift || (x.dims[axis - shift] === 1 && dim !== 1) ? 0 : (x.strides[axis - shift] as number)
  )
  return { ...x, dims, strides }
}

/** `dims` elements of a value from `offset` on: a part of an output that is several tensors in a row. */
export function part(value: Dense, offset: number, dims: readonly number[]): Dense {
  return { value: value.value, dims, offset: value.offset + offset, strides: rowMajor(dims) }
}

export function scalar(plan: PlanWriter, value: number): Dense {
  return plan.constant(floatTensor(Float32Array.of(value), []))
}

/** One piece of a copy: all of `x` to where `at` of the output begins. */
function pieceOf(x: Dense, input: number, output: readonly number[], at: readonly number[]): CopyPiece {
  const strides = rowMajor(output)
  const offset = at.reduce((sum, position, axis) => sum + position * (strides[axis] as number), 0)
  return { input, dims: x.dims, from: { offset: x.offset, strides: x.strides }, to: { offset, strides } }
}

export function concat(plan: PlanWriter, parts: readonly Dense[], axis: number): Dense {
  const first = parts[0] as Dense
  const filled = parts.filter(({ dims }) => elementCount(dims) > 0)
  const dims = first.dims.with(
    axis,
    parts.reduce((sum, { dims }) => sum + (dims[axis] as number), 0)
  )
  let at = 0
  const pieces = filled.map((x, input) => {
    const piece = pieceOf(
      x,
      input,
      dims,
      dims.map((_, other) => (other === axis ? at : 0))
    )
    at += x.dims[axis] as number
    return piece
  })
  return plan.emitDense({ op: 'copy', inputs: filled.map(({ value }) => value), pieces }, dims)
}

/** Pads with `fill`; negative pads crop. */
export function pad(plan: PlanWriter, x: Dense, begin: readonly number[], end: readonly number[], fill: number): Dense {
  const cuts = x.dims.map((dim, axis): Cut => {
    const [low, high] = [Math.max(0, -(begin[axis] as number)), Math.max(0, -(end[axis] as number))]
    return { axis, start: low, step: 1, count: Math.max(0, dim - low - high) }
  })
  const inner = slice(x, cuts)
  if ([...begin, ...end].every((size) => size <= 0)) return inner
  const dims = x.dims.map((dim, axis) => dim + (begin[axis] as number) + (end[axis] as number))
  const at = begin.map((size) => Math.max(0, size))
  const pieces = elementCount(inner.dims) === 0 ? [] : [pieceOf(inner, 0, dims, at)]
  return plan.emitDense({ op: 'copy', inputs: [x.value], pieces, fill }, dims)
}

/** `stride` − 1 zeros between neighbours of each axis. */
export function spread(plan: PlanWriter, x: Dense, strides: readonly number[]): Dense {
  if (strides.every((stride) => stride === 1)) return x
  const dims = x.dims.map((dim, axis) => (dim - 1) * (strides[axis] as number) + 1)
  const whole = rowMajor(dims)
  const to = { offset: 0, strides: whole.map((step, axis) => step * (strides[axis] as number)) }
  const piece: CopyPiece = { input: 0, dims: x.dims, from: { offset: x.offset, strides: x.strides }, to }
  return plan.emitDense({ op: 'copy', inputs: [x.value], pieces: [piece], fill: 0 }, dims)
}

/** out[i0, i1, …] = x[positions[0][i0], positions[1][i1], …]; a position of −1 gives `fill`. */
export function take(plan: PlanWriter, x: Dense, positions: readonly (readonly number[])[], fill = 0): Dense {
  const from = plan.contiguous(x)
  const tables = positions.map((list, axis) => Int32Array.from(list, (at) => (at < 0 ? -1 : at * (from.strides[axis] as number))))
  const dims = positions.map((list) => list.length)
  return plan.emitDense({ op: 'take', inputs: [from.value], tables: tables.length === 0 ? [Int32Array.of(0)] : tables, fill }, dims)
}

export interface ElementwiseOptions {
  /** The ONNX type of the results: integers are checked. Default: float32. */
  readonly dtype?: DataType
  readonly numbers?: readonly number[]
}

/** A function of one to three tensors, broadcast as NumPy does. */
export function apply(
  plan: PlanWriter,
  name: UnaryFunction | BinaryFunction | TernaryFunction,
  operands: readonly Dense[],
  options: ElementwiseOptions = {}
): Dense {
  const rank = Math.max(...operands.map(({ dims }) => dims.length))
  const dims = Array.from({ length: rank }, (_, axis) => {
    const sizes = operands.map((x) => x.dims[axis - rank + x.dims.length] ?? 1)
    return sizes.find((size) => size !== 1) ?? 1
  })
  const views = operands.map((x) => expand(readable(plan, x), dims))
  const integer = integerType(options.dtype)
  return plan.emitDense(
    {
      op: 'elementwise',
      function: name,
      inputs: views.map(({ value }) => value),
      dims,
      views: views.map(({ offset, strides }) => ({ offset, strides })),
      ...(options.numbers === undefined ? {} : { numbers: Float32Array.from(options.numbers) }),
      ...(integer === undefined ? {} : { integer })
    },
    dims
  )
}

/** Lines with large strides are slow to read: such views are put in order first, in tiles. */
function readable(plan: PlanWriter, x: Dense): Dense {
  const last = x.dims.findLastIndex((dim) => dim !== 1)
  const step = Math.abs(x.strides[last] ?? 0)
  return step > 1 && elementCount(x.dims) > 256 ? plan.contiguous(x) : x
}

export function integerType(dtype: DataType | undefined): IntegerType | undefined {
  const match = /^(u?)int(\d+)$/.exec(dtype ?? '')
  return match === null ? undefined : { bits: Number(match[2]), signed: match[1] === '' }
}

/** Reduces `axes`, which go. */
export function reduce(plan: PlanWriter, name: ReduceFunction, x: Dense, axes: readonly number[], flags?: readonly [boolean]): Dense {
  const of = <T>(list: readonly T[], isReduced: boolean): T[] => list.filter((_, axis) => axes.includes(axis) === isReduced)
  const dims = of(x.dims, false)
  return plan.emitDense(
    {
      op: 'reduce',
      function: name,
      inputs: [x.value],
      dims,
      reduced: of(x.dims, true),
      views: [
        { offset: x.offset, strides: of(x.strides, false) },
        { offset: 0, strides: of(x.strides, true) }
      ],
      ...(flags === undefined ? {} : { flags })
    },
    dims
  )
}

/** [outer, size, inner] around an axis. */
export function around(dims: readonly number[], axis: number): [number, number, number] {
  return [elementCount(dims.slice(0, axis)), dims[axis] ?? 1, elementCount(dims.slice(axis + 1))]
}

type Along = Extract<DenseStep, { op: 'along' }>

export function along(plan: PlanWriter, name: Along['function'], x: Dense, axis: number, flags?: readonly [boolean, boolean]): Dense {
  const { value, dims } = plan.contiguous(x)
  return plan.emitDense(
    { op: 'along', function: name, inputs: [value], sizes: around(dims, axis), ...(flags === undefined ? {} : { flags }) },
    dims
  )
}

/** …×M×K times …×K×N, batches broadcast. */
export function matmul(plan: PlanWriter, a: Dense, b: Dense): Dense {
  const [rows = 1, inner = 1] = a.dims.slice(-2)
  const columns = b.dims.at(-1) as number
  const rank = Math.max(a.dims.length, b.dims.length) - 2
  const size = (x: Dense, axis: number): number => x.dims[axis - rank + x.dims.length - 2] ?? 1
  const batches = Array.from({ length: rank }, (_, axis) => (size(a, axis) === 1 ? size(b, axis) : size(a, axis)))
  const [left, right] = [expand(a, [...batches, rows, inner]), expand(b, [...batches, inner, columns])]
  return plan.emitDense(
    {
      op: 'matmul',
      inputs: [left.value, right.value],
      dims: batches,
      sizes: [rows, columns, inner],
      views: [
        { offset: left.offset, strides: left.strides },
        { offset: right.offset, strides: right.strides }
      ]
    },
    [...batches, rows, columns]
  )
}

/** Steps that take either kind of value. */
export type EitherStep = Extract<PlanStep, { op: 'activation' | 'elementwise' }>
