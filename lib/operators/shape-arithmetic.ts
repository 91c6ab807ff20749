import { show } from '../errors.js'
import { floatAttribute, floatsAttribute, intAttribute, intsAttribute, tensorAttribute } from '../graph/rewrite.js'
import { floatTensorOf, float32Values, isHalf } from '../half.js'
import { arrayType, type DataType, elementCount, int64Tensor, type Tensor } from '../tensor.js'
import { type NodeContext, type Operator, allOpsets, axisOf, integersInput, nodeError, requiredInput, unsupported } from './operator.js'
import { reshaped } from './reshaping.js'

/*
 * Operators that exporters use to compute shapes, as in x.view(x.size(0), -1). Shapes are known when a plan is made, so these are folded
 * away; applied to computed values they are refused.
 */
function folded(opType: string, dims: Operator['dims'], fold: NonNullable<Operator['fold']>, lower?: Operator['lower']): Operator {
  return {
    opType,
    opsets: allOpsets,
    hasGradient: true,
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
  const [kind] = [...node.attributes.keys()].filter((name) => name.startsWith('value'))
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

/** data: d0×rest, indices: any shape; along axis 0. */
function gather(context: NodeContext): readonly Tensor[] | undefined {
  const data = context.inputs[0]?.constant
  const positions = context.inputs[1]?.constant === undefined ? undefined : integersInput(context, 1, 'indices')
  if (data === undefined || positions === undefined || axisOf(context, intAttribute(context.node, 'axis', 0), data.dims.length) !== 0)
    return undefined
  const [size = 1, ...rest] = data.dims
  const row = elementCount(rest)
  const result = new (arrayType(data.dtype))(positions.length * row)
  positions.forEach((position, i) => {
    const at = position < 0 ? position + size : position
    if (at < 0 || at >= size) throw nodeError(context, `index ${position} does not exist in ${show(data.dims)}`)
    for (let k = 0; k < row; k++) result[i * row + k] = data.data[at * row + k] as never
  })
  return [{ dtype: data.dtype, dims: [...requiredInput(context, 1).dims, ...rest], data: result }]
}

function gatherDims(context: NodeContext): number[][] {
  const { dims } = requiredInput(context, 0)
  const axis = axisOf(context, intAttribute(context.node, 'axis', 0), dims.length)
  return [[...dims.slice(0, axis), ...requiredInput(context, 1).dims, ...dims.slice(axis + 1)]]
}

const castTypes: ReadonlyMap<number, DataType> = new Map([
  [1, 'float32'],
  [6, 'int32'],
  [7, 'int64'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [16, 'bfloat16']
])

function cast(context: NodeContext): readonly Tensor[] | undefined {
  const tensor = context.inputs[0]?.constant
  const dtype = castTypes.get(intAttribute(context.node, 'to'))
  if (tensor === undefined || dtype === undefined) return undefined
  if (tensor.dtype === dtype) return [tensor]
  const source = isHalf(tensor.dtype) ? float32Values(tensor) : tensor.data
  const values = Array.from(source as ArrayLike<number | bigint>, Number)
  if (isHalf(dtype)) return [floatTensorOf(dtype, tensor.dims, Float32Array.from(values))]
  if (dtype === 'int64') return [int64Tensor(values.map(Math.trunc), tensor.dims)]
  const data = new (arrayType(dtype) as Float32ArrayConstructor)(dtype === 'bool' ? values.map((value) => (value === 0 ? 0 : 1)) : values)
  return [{ dtype, dims: tensor.dims, data }]
}

function filled(context: NodeContext): readonly Tensor[] | undefined {
  if (context.inputs[0]?.constant === undefined) return undefined
  const dims = integersInput(context, 0, 'shape') ?? []
  const zero: Tensor = { dtype: 'float32', dims: [1], data: Float32Array.of(0) }
  const { dtype, data } = tensorAttribute(context.node, 'value', zero)
  return [{ dtype, dims, data: new (arrayType(dtype))(elementCount(dims)).fill(data[0] as never) }]
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

function transpose(context: NodeContext): readonly Tensor[] | undefined {
  const tensor = context.inputs[0]?.constant
  if (tensor === undefined) return undefined
  const dims = transposedDims(context)
  const strides = tensor.dims.map((_, axis) => elementCount(tensor.dims.slice(axis + 1)))
  const perm = permutation(context)
  const data = new (arrayType(tensor.dtype))(tensor.data.length)
  const position = dims.map(() => 0)
  for (let i = 0; i < data.length; i++) {
    data[i] = tensor.data[perm.reduce((sum, axis, k) => sum + (strides[axis] as number) * (position[k] as number), 0)] as never
    for (let k = dims.length - 1; k >= 0 && ++(position[k] as number) === dims[k]; k--) position[k] = 0
  }
  return [{ dtype: tensor.dtype, dims, data }]
}

/** N×H×W×1 → N×1×H×W and the like move no element: only axes of length 1 change places. */
const lowerTranspose: Operator['lower'] = (context, plan) => {
  const { dims } = requiredInput(context, 0)
  const moved = permutation(context).filter((axis) => dims[axis] !== 1)
  if (moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number))) return [reshaped(context, plan, transposedDims(context))]
  throw unsupported(
    context,
    `a Transpose of ${show(dims)}, a computed value,`,
    'export the model with N×C×H×W tensors (tf2onnx: --inputs-as-nchw)'
  )
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
  folded('Gather', gatherDims, gather),
  folded(
    'Cast',
    (context) => [requiredInput(context, 0).dims],
    cast,
    (context, plan) => {
      if (intAttribute(context.node, 'to') === 1) return [plan.ref(0)] // computed values are float32 already
      throw unsupported(context, `a cast to type ${intAttribute(context.node, 'to')}`, 'computed values are float32')
    }
  ),
  folded('ConstantOfShape', (context) => [integersInput(context, 0, 'shape') ?? []], filled),
  folded('Transpose', (context) => [transposedDims(context)], transpose, lowerTranspose)
]
