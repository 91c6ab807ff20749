import { intAttribute } from '../graph/rewrite.js'
import { arrayType, asFloatTensor, type DataType, fromFloat32, type Tensor } from '../tensor.js'
import { apply, refOf } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  newestOpset,
  requiredInput,
  unsupported
} from './operator.js'

/** TensorProto.DataType of the ONNX specification. */
const types: ReadonlyMap<number, DataType> = new Map([
  [1, 'float32'],
  [2, 'uint8'],
  [3, 'int8'],
  [4, 'uint16'],
  [5, 'int16'],
  [6, 'int32'],
  [7, 'int64'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [12, 'uint32'],
  [13, 'uint64'],
  [16, 'bfloat16']
])

/** The DataType of the number that attributes give. */
export function dataType(context: NodeContext, code: number): DataType {
  const dtype = types.get(code)
  if (dtype !== undefined) return dtype
  throw unsupported(context, `the element type ${code}`, 'a tensor of numbers or booleans is needed')
}

function castTensor(tensor: Tensor, dtype: DataType): Tensor | undefined {
  if (tensor.dtype === dtype) return tensor
  const source = asFloatTensor(tensor) ?? tensor
  const values = Array.from(
    tensor.dtype === 'float64' ? (tensor.data as Float64Array) : (source.data as ArrayLike<number | bigint>),
    Number
  )
  const { dims } = tensor
  if (dtype === 'float16' || dtype === 'bfloat16') return fromFloat32(Float32Array.from(values), dims, dtype)
  if (dtype === 'float32' || dtype === 'float64') return { dtype, dims, data: (arrayType(dtype) as Float32ArrayConstructor).from(values) }
  if (dtype === 'bool') return { dtype, dims, data: Uint8Array.from(values, (value) => (value === 0 ? 0 : 1)) }
  if (!values.every(Number.isFinite)) return undefined
  if (dtype === 'int64' || dtype === 'uint64') {
    const whole = values.map((value) => BigInt(Math.trunc(value)))
    return { dtype, dims, data: dtype === 'int64' ? BigInt64Array.from(whole) : BigUint64Array.from(whole) }
  }
  return { dtype, dims, data: (arrayType(dtype) as unknown as Int32ArrayConstructor).from(values) }
}

/** In a plan every value is float32 already; numbers become whole, or true and false. */
function castValue(context: NodeContext, plan: PlanWriter, to: DataType): ValueRef {
  const from = requiredInput(context, 0).dtype
  if (from === to || to.includes('float') || from === 'bool') return plan.ref(0)
  if (to === 'bool') return refOf(apply(plan, 'truth', [plan.dense(0)]))
  return refOf(apply(plan, 'truncate', [plan.dense(0)], { dtype: to }))
}

function casting(opType: string, first: number, to: (context: NodeContext) => DataType): Operator {
  return {
    opType,
    opsets: [first, newestOpset],
    dims: (context) => [requiredInput(context, 0).dims],
    dtypes: (context) => [to(context)],
    fold(context) {
      const tensor = context.inputs[0]?.constant
      const result = tensor === undefined ? undefined : castTensor(tensor, to(context))
      return result === undefined ? undefined : [result]
    },
    lower: (context, plan) => [castValue(context, plan, to(context))]
  }
}

export const casts: readonly Operator[] = [
  casting('Cast', allOpsets[0], (context) => dataType(context, intAttribute(context.node, 'to'))),
  casting('CastLike', 15, (context) => requiredInput(context, 1).dtype)
]
