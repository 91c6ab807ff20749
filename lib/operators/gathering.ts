import { show } from '../errors.js'
import { intAttribute, stringAttribute } from '../graph/rewrite.js'
import { arrayType, asIntegers, elementCount, floatTensor, int64Tensor, type Tensor } from '../tensor.js'
import { dataType } from './casting.js'
import { readView, viewOf } from './constant-view.js'
import { apply, around, type Dense, part, refOf, reshape, rowMajor, scalar, slice, wholeValue } from './dense.js'
import {
  type NodeContext,
  type Operator,
  allOpsets,
  axisOf,
  checkedCount,
  integersInput,
  maximumFolded,
  newestOpset,
  nodeError,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'

function axisAttribute(context: NodeContext, fallback: number, rank = requiredInput(context, 0).dims.length): number {
  return axisOf(context, intAttribute(context.node, 'axis', fallback), rank)
}

function gatherDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  const axis = axisAttribute(context, 0)
  return [...dims.slice(0, axis), ...requiredInput(context, 1).dims, ...dims.slice(axis + 1)]
}

/** Positions along an axis that are known, counted from its beginning. */
function knownPositions(context: NodeContext, size: number): number[] | undefined {
  const tensor = context.inputs[1]?.constant
  return tensor === undefined
    ? undefined
    : asIntegers(tensor, context.node.inputs[1] ?? 'indices').map((index) => {
        const at = index < 0 ? index + size : index
        if (at < 0 || at >= size) throw nodeError(context, `index ${index} does not exist in an axis of ${size}`)
        return at
      })
}

/** One index is a slice. */
function oneOf(x: Dense, axis: number, position: number, dims: readonly number[]): Dense {
  const { value, offset, strides } = slice(x, [{ axis, start: position, step: 1, count: 1 }])
  const kept = strides.filter((_, other) => other !== axis)
  const own = dims.length === x.dims.length ? strides : kept
  return { value, dims, offset, strides: own }
}

const gathering: Operator = {
  opType: 'Gather',
  opsets: allOpsets,
  dims: (context) => [gatherDims(context)],
  fold(context) {
    const data = context.inputs[0]?.constant
    const axis = axisAttribute(context, 0)
    const positions = data === undefined ? undefined : knownPositions(context, data.dims[axis] as number)
    if (data === undefined || positions === undefined || elementCount(gatherDims(context)) > maximumFolded) return undefined
    const parts = positions.map((start) => readView(data, slice(viewOf(data), [{ axis, start, step: 1, count: 1 }])))
    return [joined(data, parts, axis, gatherDims(context))]
  },
  lower(context, plan) {
    const x = plan.dense(0)
    const axis = axisAttribute(context, 0)
    const dims = gatherDims(context)
    const positions = knownPositions(context, x.dims[axis] as number)
    if (positions?.length === 1 && requiredInput(context, 1).dims.length <= 1) return [refOf(oneOf(x, axis, positions[0] as number, dims))]
    const [data, indices] = [plan.contiguous(x), plan.contiguous(plan.dense(1))]
    const sizes = [...around(x.dims, axis), elementCount(indices.dims)]
    return [refOf(plan.emitDense({ op: 'gather', function: 'axis', inputs: [data.value, indices.value], sizes }, dims))]
  }
}

/** Slices of one element each, one after the other along `axis`. */
function joined(data: Tensor, parts: readonly Tensor[], axis: number, dims: readonly number[]): Tensor {
  const result = new (arrayType(data.dtype))(elementCount(dims))
  const inner = elementCount(data.dims.slice(axis + 1))
  parts.forEach((tensor, i) => {
    for (let outer = 0; outer * inner < tensor.data.length; outer++)
      result.set(tensor.data.subarray(outer * inner, (outer + 1) * inner) as never, (outer * parts.length + i) * inner)
  })
  return { dtype: data.dtype, dims, data: result }
}

const gatherElements: Operator = {
  opType: 'GatherElements',
  opsets: [11, newestOpset],
  dims: (context) => [requiredInput(context, 1).dims],
  lower(context, plan) {
    const [data, indices] = [plan.contiguous(plan.dense(0)), plan.contiguous(plan.dense(1))]
    const axis = axisAttribute(context, 0)
    const { offset, strides } = data
    const inputs = [data.value, indices.value]
    const sizes = [axis, data.dims[axis] as number]
    return [
      refOf(
        plan.emitDense(
          { op: 'gather', function: 'elements', inputs, sizes, dims: indices.dims, views: [{ offset, strides }] },
          indices.dims
        )
      )
    ]
  }
}

/** How updates meet what is there, and each other. */
function reduction(context: NodeContext): readonly string[] {
  const name = stringAttribute(context.node, 'reduction', 'none')
  const names: Readonly<Record<string, readonly string[]>> = {
    none: [],
    add: ['add'],
    mul: ['multiply'],
    min: ['minimum'],
    max: ['maximum']
  }
  return names[name] ?? []
}

function scatterElements(opType: string, opsets: readonly [number, number]): Operator {
  return {
    opType,
    opsets,
    dims: (context) => [requiredInput(context, 0).dims],
    lower(context, plan) {
      const [data, indices, updates] = [0, 1, 2].map((index) => plan.contiguous(plan.dense(index))) as [Dense, Dense, Dense]
      const axis = axisAttribute(context, 0)
      const { offset, strides, dims } = data
      const step = {
        op: 'scatter',
        function: 'elements',
        inputs: [data.value, indices.value, updates.value],
        sizes: [axis, dims[axis] as number]
      } as const
      return [refOf(plan.emitDense({ ...step, dims: indices.dims, views: [{ offset, strides }], names: reduction(context) }, dims))]
    }
  }
}

interface Tuples {
  readonly sizes: readonly [batches: number, tuples: number, row: number]
  readonly addressed: readonly number[]
  readonly dims: readonly number[]
}

/** The last axis of the indices holds positions in the data's axes behind the batches. */
function tuplesOf(context: NodeContext): Tuples {
  const [data, indices] = [requiredInput(context, 0).dims, requiredInput(context, 1).dims]
  const batch = intAttribute(context.node, 'batch_dims', 0)
  const depth = indices.at(-1) ?? 0
  if (batch + depth > data.length) throw shapeError(context, `indices ${show(indices)} do not fit data ${show(data)}`)
  const rest = data.slice(batch + depth)
  return {
    sizes: [elementCount(data.slice(0, batch)), elementCount(indices.slice(batch, -1)), elementCount(rest)],
    addressed: data.slice(batch, batch + depth),
    dims: [...indices.slice(0, -1), ...rest]
  }
}

const gatherND: Operator = {
  opType: 'GatherND',
  opsets: [11, newestOpset],
  dims: (context) => [tuplesOf(context).dims],
  lower(context, plan) {
    const { sizes, addressed, dims } = tuplesOf(context)
    const inputs = [0, 1].map((index) => plan.contiguous(plan.dense(index)).value)
    return [refOf(plan.emitDense({ op: 'gather', function: 'nd', inputs, sizes, dims: addressed }, dims))]
  }
}

const scatterND: Operator = {
  opType: 'ScatterND',
  opsets: [11, newestOpset],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const { sizes, addressed } = tuplesOf(context)
    const inputs = [0, 1, 2].map((index) => plan.contiguous(plan.dense(index)).value)
    const step = { op: 'scatter', function: 'nd', inputs, sizes, dims: addressed, names: reduction(context) } as const
    return [refOf(plan.emitDense(step, requiredInput(context, 0).dims))]
  }
}

/** k is an attribute before opset 10 and an input since. */
function topKSizes(context: NodeContext): { readonly axis: number; readonly k: number; readonly dims: readonly number[] } {
  const { dims } = requiredInput(context, 0)
  const axis = axisAttribute(context, -1)
  const k = context.opset < 10 ? intAttribute(context.node, 'k') : (integersInput(context, 1, 'k')?.[0] ?? 0)
  if (k < 0 || k > (dims[axis] as number)) throw shapeError(context, `k of ${k} for an axis of ${dims[axis]}`)
  return { axis, k, dims: dims.with(axis, k) }
}

const topK: Operator = {
  opType: 'TopK',
  limits: 'trained along an axis of at most 2²⁴',
  opsets: allOpsets,
  constants: [1],
  dims: (context) => [topKSizes(context).dims, topKSizes(context).dims],
  dtypes: (context) => [requiredInput(context, 0).dtype, 'int64'],
  lower(context, plan) {
    const { axis, k, dims } = topKSizes(context)
    const x = plan.contiguous(plan.dense(0))
    const count = elementCount(dims)
    const sizes = [...around(x.dims, axis), k] as const
    const both = plan.emitDense({ op: 'top_k', inputs: [x.value], sizes, flags: [intAttribute(context.node, 'largest', 1) !== 0] }, [
      2 * count
    ])
    return [refOf(part(both, 0, dims)), refOf(part(both, count, dims))]
  }
}

/** Inputs: indices, depth, [off, on]. Indices count from the end where negative; those out of range are all off. */
const oneHot: Operator = {
  opType: 'OneHot',
  opsets: [9, newestOpset],
  constants: [1],
  dims: (context) => [oneHotDims(context)],
  dtypes: (context) => [requiredInput(context, 2).dtype],
  lower(context, plan) {
    const depth = depthOf(context)
    const dims = oneHotDims(context)
    const axis = axisAttribute(context, -1, dims.length)
    const indices = reshape(plan, plan.dense(0), dims.with(axis, 1))
    const resolved = apply(plan, 'where', [
      apply(plan, 'less', [indices, scalar(plan, 0)]),
      apply(plan, 'add', [indices, scalar(plan, depth)]),
      indices
    ])
    const shape = dims.map((_, other) => (other === axis ? depth : 1))
    const positions = plan.constant(
      floatTensor(
        Float32Array.from({ length: depth }, (_, i) => i),
        shape
      )
    )
    const values = plan.contiguous(plan.dense(2))
    return [refOf(apply(plan, 'where', [apply(plan, 'equal', [resolved, positions]), part(values, 1, []), part(values, 0, [])]))]
  }
}

function depthOf(context: NodeContext): number {
  const depth = requiredInput(context, 1).constant
  if (depth === undefined) throw nodeError(context, 'depth must be known when a plan is made')
  return Number(depth.data[0])
}

function oneHotDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  return dims.toSpliced(axisAttribute(context, -1, dims.length + 1), 0, depthOf(context))
}

/** A mask of what stays: on and above (`upper`), or on and below, diagonal k. */
const trilu: Operator = {
  opType: 'Trilu',
  opsets: [14, newestOpset],
  constants: [1],
  dims: (context) => [requiredInput(context, 0).dims],
  lower(context, plan) {
    const x = plan.dense(0)
    const [rows = 1, columns = 1] = x.dims.slice(-2)
    const k = integersInput(context, 1, 'diagonal')?.[0] ?? 0
    const upper = intAttribute(context.node, 'upper', 1) !== 0
    const mask = Float32Array.from({ length: rows * columns }, (_, i) => {
      const difference = (i % columns) - Math.floor(i / columns) - k
      return Number(upper ? difference >= 0 : difference <= 0)
    })
    return [refOf(apply(plan, 'where', [plan.constant(floatTensor(mask, [rows, columns])), x, scalar(plan, 0)]))]
  }
}

const eyeLike: Operator = {
  opType: 'EyeLike',
  opsets: [9, newestOpset],
  gradient: 'zero',
  dims: (context) => [requiredInput(context, 0).dims],
  fold(context) {
    const { dims, dtype: own } = requiredInput(context, 0)
    const dtype = context.node.attributes.has('dtype') ? dataType(context, intAttribute(context.node, 'dtype')) : own
    const [rows = 1, columns = 1] = dims
    const k = intAttribute(context.node, 'k', 0)
    const data = new (arrayType(dtype))(checkedCount(context, dims, maximumFolded))
    for (let row = Math.max(0, -k); row < Math.min(rows, columns - k); row++)
      data[row * columns + row + k] = (typeof data[0] === 'bigint' ? 1n : 1) as never
    return [{ dtype, dims, data }]
  },
  lower: (context, plan) => [refOf(wholeValue(plan.dense(0).value, requiredInput(context, 0).dims))]
}

/** rank×count: where a constant is not zero. How many those are of a computed tensor is not known when a plan is made. */
const nonZero: Operator = {
  opType: 'NonZero',
  limits: 'of constants and shapes',
  opsets: [9, newestOpset],
  gradient: 'zero',
  dims(context) {
    throw unsupported(context, 'positions in a computed tensor', 'their number must be known when a plan is made')
  },
  fold(context) {
    const tensor = context.inputs[0]?.constant
    if (tensor === undefined) return undefined
    const dims = tensor.dims.length === 0 ? [1] : tensor.dims
    const found = Array.from(tensor.data as ArrayLike<number | bigint>, (value, i) => (Number(value) === 0 ? -1 : i)).filter((i) => i >= 0)
    const strides = rowMajor(dims)
    const positions = dims.flatMap((dim, axis) => found.map((i) => Math.floor(i / (strides[axis] as number)) % dim))
    return [int64Tensor(positions, [dims.length, found.length])]
  },
  lower: () => []
}

export const gathers: readonly Operator[] = [
  gathering,
  gatherElements,
  gatherND,
  scatterElements('Scatter', [9, 10]),
  scatterElements('ScatterElements', [11, newestOpset]),
  scatterND,
  topK,
  oneHot,
  trilu,
  eyeLike,
  nonZero
]
