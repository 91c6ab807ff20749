import { show } from '../errors.js'
import { floatAttribute, floatsAttribute, intAttribute, intsAttribute, tensorAttribute } from '../graph/rewrite.js'
import { arrayType, asFloatTensor, elementCount, fromFloat32, int64Tensor, type Tensor } from '../tensor.js'
import { readView, viewOf } from './constant-view.js'
import { refOf, transpose } from './dense.js'
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
  unsupported
} from './operator.js'
import { reshaped } from './reshaping.js'

/*
 * Operators that exporters use to compute shapes, as in x.view(x.size(0), -1). Shapes are known when a plan is made, so these are folded
 * away; applied to computed values they are refused.
 */
function folded(opType: string, dims: Operator['dims'], fold: NonNullable<Operator['fold']>, lower?: Operator['lower']): Operator {
  return {
    opType,
    opsets: allOpsets,
    gradient: 'zero',
    dims,
    fold,
    lower:
      lower ??
      ((context) => {
        throw unsupported(context, `${opType} of computed values`, 'it is folded where its inputs are constants or shapes')
      })
  }
}

function constantTensor(context: NodeContext): Tensor {
  const { node } = context
  const [kind] = [...node.attributes.keys()].filter((name) => name.startsWith('value') || name === 'sparse_value')
  const sparse = node.attributes.get('sparse_value')
  if (sparse?.kind === 'opaque' && sparse.tensor !== undefined) return sparse.tensor
  if (kind === 'value') return tensorAttribute(node, kind)
  if (kind === 'value_int') return int64Tensor([intAttribute(node, kind)], [])
  if (kind === 'value_ints') return int64Tensor(intsAttribute(node, kind))
  if (kind === 'value_float') return { dtype: 'float32', dims: [], data: Float32Array.of(floatAttribute(node, kind)) }
  if (kind === 'value_floats')
    return { dtype: 'float32', dims: [floatsAttribute(node, kind).length], data: Float32Array.from(floatsAttribute(node, kind)) }
  throw unsupported(context, `a constant given as ${show(kind ?? 'nothing')}`, 'a tensor, numbers or a number are needed')
}

function shapeOf(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  return dims.slice(intAttribute(context.node, 'start', 0), intAttribute(context.node, 'end', dims.length))
}

function filled(context: NodeContext): readonly Tensor[] | undefined {
  if (context.inputs[0]?.constant === undefined) return undefined
  const dims = integersInput(context, 0, 'shape') ?? []
  const zero: Tensor = { dtype: 'float32', dims: [1], data: Float32Array.of(0) }
  const { dtype, data } = tensorAttribute(context.node, 'value', zero)
  return [{ dtype, dims, data: new (arrayType(dtype))(checkedCount(context, dims, maximumFolded)).fill(data[0] as never) }]
}

function permutation(context: NodeContext): number[] {
  const rank = requiredInput(context, 0).dims.length
  const perm = intsAttribute(
    context.node,
    'perm',
    Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
  )
  if (new Set(perm).size !== rank) throw nodeError(context, `perm ${show(perm)} does not fit ${rank} dimensions`)
  return perm.map((axis) => axisOf(context, axis, rank))
}

function transposedDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  return permutation(context).map((axis) => dims[axis] as number)
}

const transposing: Operator = {
  opType: 'Transpose',
  opsets: allOpsets,
  dims: (context) => [transposedDims(context)],
  fold(context) {
    const tensor = context.inputs[0]?.constant
    return tensor === undefined ? undefined : [readView(tensor, transpose(viewOf(tensor), permutation(context)))]
  },
  lower(context, plan) {
    const { dims } = requiredInput(context, 0)
    const perm = permutation(context)
    const moved = perm.filter((axis) => dims[axis] !== 1)
    // N×H×W×1 → N×1×H×W and the like move no element: only axes of length 1 change places.
    if (moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number))) return [reshaped(plan, transposedDims(context))]
    return [refOf(transpose(plan.dense(0), perm))]
  }
}

/** Values of a shape: how many elements a tensor has. */
const size: Operator = folded(
  'Size',
  () => [[]],
  (context) => [int64Tensor([elementCount(requiredInput(context, 0).dims)], [])]
)

/** start, limit, delta: scalars of one type. */
function range(context: NodeContext): readonly Tensor[] | undefined {
  const [start, limit, delta] = [0, 1, 2].map((index) => requiredInput(context, index).constant)
  if (start === undefined || limit === undefined || delta === undefined) return undefined
  const numbers = [start, limit, delta].map((tensor) =>
    Number((tensor.dtype === 'float64' ? tensor : (asFloatTensor(tensor) ?? tensor)).data[0])
  )
  const [first, last, step] = numbers as [number, number, number]
  const length = checkedCount(context, [Math.max(0, Math.ceil((last - first) / step))], maximumFolded)
  const values = Array.from({ length }, (_, i) => first + i * step)
  const { dtype } = start
  if (dtype === 'float16' || dtype === 'bfloat16') return [fromFloat32(Float32Array.from(values), [values.length], dtype)]
  const data =
    dtype === 'int64' ? BigInt64Array.from(values, BigInt) : (arrayType(dtype) as unknown as Float32ArrayConstructor).from(values)
  return [{ dtype, dims: [values.length], data }]
}

function rangeDims(context: NodeContext): number[][] {
  throw unsupported(context, 'a range of computed numbers', 'start, limit and delta must be known when a plan is made')
}

export const shapeArithmetic: readonly Operator[] = [
  folded(
    'Constant',
    (context) => [constantTensor(context).dims],
    (context) => [constantTensor(context)]
  ),
  folded(
    'Shape',
    (context) => [[shapeOf(context).length]],
    (context) => [int64Tensor(shapeOf(context))]
  ),
  size,
  {
    ...folded('ConstantOfShape', (context) => [integersInput(context, 0, 'shape') ?? []], filled),
    opsets: [9, newestOpset],
    constants: [0]
  },
  { ...folded('Range', rangeDims, range), opsets: [11, newestOpset], constants: [0, 1, 2] },
  transposing
]
