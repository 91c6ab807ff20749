import { checkArray } from './arguments.js'
import { PolyadicError, argumentError, show } from './errors.js'
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './float16.js'

/** Element types that ONNX tensors carry and polyadic can hold. `float16`/`bfloat16` keep their raw 16 bits. */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array

/** A dense, row-major, plain-data tensor. `dims` is empty for a scalar; `data.length` is the product of `dims`. */
export interface Tensor {
  readonly dtype: DataType
  readonly dims: readonly number[]
  readonly data: TensorData
}

/** A tensor known to be float32: what networks compute in. */
export interface FloatTensor extends Tensor {
  readonly dtype: 'float32'
  readonly data: Float32Array
}

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array
} as const

/** The typed-array constructor that holds elements of `dtype`. */
export function arrayType(dtype: DataType): (typeof arrayTypes)[DataType] {
  return arrayTypes[dtype]
}

/** Whether elements of `dtype` are floating-point numbers, as weights are. */
export function isFloating(dtype: DataType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16'
}

/** The product of `dims`: 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/** Makes a float32 tensor over `data` (not copied). Throws `POLYADIC_SHAPE` when sizes disagree. */
export function floatTensor(data: Float32Array, dims: readonly number[]): FloatTensor {
  if (!isDataOf('float32', data)) throw argumentError('data', 'a Float32Array', data)
  checkDims('dims', dims)
  if (data.length !== elementCount(dims)) throw wrongCount('tensor', dims, data.length, 'data')
  return { dtype: 'float32', dims, data }
}

/** Makes an int64 tensor, the type of ONNX shapes and axes. Throws `POLYADIC_ARGUMENT` unless all values are integers. */
export function int64Tensor(values: readonly number[], dims: readonly number[] = [values?.length]): Tensor {
  checkArray('values', values, 'integers', Number.isInteger)
  checkDims('dims', dims)
  if (values.length !== elementCount(dims)) throw wrongCount('tensor', dims, values.length, 'values')
  return { dtype: 'int64', dims, data: BigInt64Array.from(values, BigInt) }
}

/** Whether `dims` is an array of non-negative integers. */
export function areDims(dims: unknown): dims is readonly number[] {
  return Array.isArray(dims) && dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)
}

/** Throws unless `dims` is an array of non-negative integers. */
export function checkDims(name: string, dims: unknown): asserts dims is readonly number[] {
  if (!areDims(dims)) throw argumentError(name, 'an array of non-negative integers', dims)
}

/** Whether `value` names an element type. */
export function isDataType(value: unknown): value is DataType {
  return typeof value === 'string' && Object.hasOwn(arrayTypes, value)
}

/** Whether `data` is the typed array that holds elements of `dtype`, of whatever realm. */
export function isDataOf(dtype: DataType, data: unknown): data is TensorData {
  return ArrayBuffer.isView(data) && (data as TensorData & { [Symbol.toStringTag]?: string })[Symbol.toStringTag] === arrayType(dtype).name
}

/** Throws POLYADIC_ARGUMENT or POLYADIC_SHAPE unless `tensor` is one whose data fits its type and dims. */
export function checkTensor(name: string, tensor: unknown): asserts tensor is Tensor {
  if (typeof tensor !== 'object' || tensor === null) throw argumentError(name, 'a tensor { dtype, dims, data }', tensor)
  const { dtype, dims, data } = tensor as Partial<Tensor>
  if (!isDataType(dtype)) throw argumentError(`${name}: dtype`, `one of ${Object.keys(arrayTypes).join(', ')}`, dtype)
  checkDims(`${name}: dims`, dims)
  if (!isDataOf(dtype, data)) throw argumentError(`${name}: data`, `of type ${arrayType(dtype).name}`, data)
  if (data.length === elementCount(dims)) return
  throw wrongCount(name, dims, data.length, name)
}

/** That `what` has not as many elements as its dims say; `hint`: why that may be. */
export function wrongCount(what: string, dims: readonly number[], length: number, subject: string, hint = ''): PolyadicError {
  const message = `${what}: dims ${show(dims)} hold ${elementCount(dims)} elements, data has ${length}${hint}`
  return new PolyadicError('POLYADIC_SHAPE', message, { subject })
}

/** The float32 view of a tensor's data, or `POLYADIC_SHAPE` naming it. */
export function asFloat32(tensor: Tensor, name: string): Float32Array {
  if (tensor.dtype === 'float32') return tensor.data as Float32Array
  throw new PolyadicError('POLYADIC_SHAPE', `tensor ${show(name)}: expected float32, got ${tensor.dtype}`, { subject: name })
}

/** The values of an integer tensor as JavaScript numbers (shapes, axes, pads). */
export function asIntegers(tensor: Tensor, name: string): number[] {
  if (tensor.dtype !== 'int64' && tensor.dtype !== 'int32') {
    throw new PolyadicError('POLYADIC_SHAPE', `tensor ${show(name)}: expected int64 or int32, got ${tensor.dtype}`, { subject: name })
  }
  return Array.from(tensor.data as BigInt64Array | Int32Array, Number)
}

/** By type and data: one array may be the bits of two tensors of different types. */
const floatTensors = {
  float16: new WeakMap<TensorData, FloatTensor>(),
  bfloat16: new WeakMap<TensorData, FloatTensor>(),
  float64: new WeakMap<TensorData, FloatTensor>()
}

/** A tensor of floating-point numbers as float32 (one object for the same data); `undefined` for other types. */
export function asFloatTensor(tensor: Tensor): FloatTensor | undefined {
  if (tensor.dtype === 'float32') return tensor as FloatTensor
  if (tensor.dtype !== 'float16' && tensor.dtype !== 'bfloat16' && tensor.dtype !== 'float64') return undefined
  const cache = floatTensors[tensor.dtype]
  const known = cache.get(tensor.data) ?? floatTensor(toFloat32(tensor, tensor.dtype), tensor.dims)
  cache.set(tensor.data, known)
  return known.dims === tensor.dims ? known : { ...known, dims: tensor.dims }
}

/**
 * The elements of any tensor as float32, which is what plans compute in: floating-point numbers rounded, integers and booleans exactly.
 * Throws `POLYADIC_UNSUPPORTED` for an integer that float32 does not hold.
 */
export function toFloat32(tensor: Tensor, name: string): Float32Array {
  const { dtype, data } = tensor
  if (dtype === 'float32') return data as Float32Array
  if (dtype === 'float16') return Float32Array.from(data as Uint16Array, decodeFloat16)
  if (dtype === 'bfloat16') return Float32Array.from(data as Uint16Array, decodeBfloat16)
  if (dtype === 'float64') return roundedDoubles(data as Float64Array, name)
  if (dtype === 'bool') return Float32Array.from(data as Uint8Array, (value) => (value === 0 ? 0 : 1))
  return Float32Array.from(data as ArrayLike<number | bigint>, (value) => {
    const float = Math.fround(Number(value))
    if (typeof value === 'bigint' ? BigInt(float) === value : float === value) return float
    const message = `tensor ${show(name)}: ${value} is not exact in float32, which integers are computed in`
    throw new PolyadicError('POLYADIC_UNSUPPORTED', message, { subject: name })
  })
}

/** The elements of any tensor as numbers to look at: int64 and uint64 as the nearest double, the others exactly. */
export function asNumbers(tensor: Tensor): Float32Array | Float64Array {
  const { dtype, data } = tensor
  if (dtype === 'float64') return data as Float64Array
  if (dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16') return toFloat32(tensor, dtype)
  return Float64Array.from(data as ArrayLike<number | bigint>, Number)
}

function roundedDoubles(data: Float64Array, name: string): Float32Array {
  const floats = Float32Array.from(data)
  const lost = floats.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(data[i]))
  if (lost < 0) return floats
  const message = `tensor ${show(name)}: ${data[lost]} is beyond the range of float32, which float64 is computed in`
  throw new PolyadicError('POLYADIC_UNSUPPORTED', message, { subject: name })
}

/** A tensor of any type from what a plan computed. */
export function fromFloat32(values: Float32Array, dims: readonly number[], dtype: DataType): Tensor {
  if (dtype === 'float32') return { dtype, dims, data: values }
  if (dtype === 'float16') return { dtype, dims, data: Uint16Array.from(values, encodeFloat16) }
  if (dtype === 'bfloat16') return { dtype, dims, data: Uint16Array.from(values, encodeBfloat16) }
  if (dtype === 'int64') return { dtype, dims, data: BigInt64Array.from(values as unknown as number[], toBigInt) }
  if (dtype === 'uint64') return { dtype, dims, data: BigUint64Array.from(values as unknown as number[], toBigInt) }
  return { dtype, dims, data: (arrayTypes[dtype] as unknown as Float32ArrayConstructor).from(values) }
}

function toBigInt(value: number): bigint {
  return BigInt(Number.isFinite(value) ? Math.trunc(value) : 0)
}
