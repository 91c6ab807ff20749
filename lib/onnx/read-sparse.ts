import { PolyadicError, show } from '../errors.js'
import { arrayType, elementCount, type Tensor } from '../tensor.js'
import { decodeTensor } from './read-tensor.js'
import { sparseTensorProto, tensorProto } from './schema.js'
import { wireType } from './wire.js'
import type { WireReader } from './wire.js'

/** How many times more bytes than in the file sparse tensors may take: one of three numbers could claim terabytes. */
export const sparseFactor = 64

/** What dense tensors may take in all, for a model file of `length` bytes. */
export function sparseBudget(length: number): number {
  return sparseFactor * length + 2 ** 20
}

/**
 * Decodes a SparseTensorProto into a dense tensor: `values` (nnz elements) at `indices` (int64: nnz places in row-major order, or nnz×rank
 * coordinates), zero elsewhere. Undefined where it cannot be held: values of a type that a Tensor cannot have, data in other files, or
 * more than `limit` bytes. Throws `POLYADIC_FORMAT` naming the tensor when its parts do not fit each other.
 */
export function decodeSparse(reader: WireReader, name: string, limit: number): Tensor | undefined {
  const owner = `sparse tensor ${show(name)}`
  const { values, indices, dims } = readParts(reader, owner)
  const fail = (what: string): PolyadicError => new PolyadicError('POLYADIC_FORMAT', `${owner}: ${what}`, { subject: name })
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) throw fail(`dims ${show(dims)} are not all non-negative`)
  if (values === undefined || indices === undefined) return undefined
  const ArrayType = arrayType(values.dtype)
  if (elementCount(dims) * ArrayType.BYTES_PER_ELEMENT > limit) return undefined
  const places = placesOf(indices, values.data.length, dims, fail)
  const data = new ArrayType(elementCount(dims))
  places.forEach((place, i) => {
    data[place] = values.data[i] as never
  })
  return { dtype: values.dtype, dims, data }
}

function readParts(reader: WireReader, owner: string): { values: Tensor | undefined; indices: Tensor | undefined; dims: number[] } {
  const f = sparseTensorProto.fields
  const parts = { values: undefined as Tensor | undefined, indices: undefined as Tensor | undefined, dims: [] as number[] }
  while (reader.next()) {
    if (reader.field === f.values) parts.values = decodeTensor(reader.message(tensorProto), { owner, pending: undefined }).tensor
    else if (reader.field === f.indices) parts.indices = decodeTensor(reader.message(tensorProto), { owner, pending: undefined }).tensor
    else if (reader.field === f.dims) reader.elements(wireType.varint, () => parts.dims.push(reader.varint()))
    else reader.skip()
  }
  return parts
}

/** Where each value goes, in row-major order. */
function placesOf(indices: Tensor, count: number, dims: readonly number[], fail: (what: string) => PolyadicError): number[] {
  const isLinear = indices.dims.length === 1
  const expected = isLinear ? [count] : [count, dims.length]
  if (indices.dtype !== 'int64' || indices.dims.length > 2 || indices.dims.some((dim, i) => dim !== expected[i])) {
    throw fail(`indices of ${indices.dtype} ${show(indices.dims)} do not fit ${count} values of a tensor of shape ${show(dims)}`)
  }
  const numbers = Array.from(indices.data as BigInt64Array, Number)
  const width = isLinear ? 1 : dims.length
  return Array.from({ length: count }, (_, i) => {
    const own = numbers.slice(i * width, (i + 1) * width)
    const isInside = isLinear ? (own[0] as number) < elementCount(dims) : own.every((index, axis) => index < (dims[axis] as number))
    if (!isInside || own.some((index) => index < 0)) throw fail(`index ${show(own)} is outside of shape ${show(dims)}`)
    return isLinear ? (own[0] as number) : own.reduce((place, index, axis) => place * (dims[axis] as number) + index, 0)
  })
}
