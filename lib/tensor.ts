import { PolyadicError, argumentError, show } from './errors.js'

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

/** The product of `dims`: 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/** Makes a float32 tensor over `data` (not copied). Throws `POLYADIC_SHAPE` when sizes disagree. */
export function floatTensor(data: Float32Array, dims: readonly number[]): FloatTensor {
  checkDims('dims', dims)
  if (data.length !== elementCount(dims)) {
    throw new PolyadicError('POLYADIC_SHAPE', `tensor: dims ${show(dims)} hold ${elementCount(dims)} elements, got ${data.length}`)
  }
  return { dtype: 'float32', dims, data }
}

/** Makes an int64 tensor, the type of ONNX shapes and axes. */
export function int64Tensor(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
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
