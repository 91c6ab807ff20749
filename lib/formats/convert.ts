import { PolyadicError, show } from '../errors.js'
import { arrayType, type DataType, fromFloat32, isFloating, type Tensor, toFloat32 } from '../tensor.js'

/**
 * A tensor of `file` in the type that a network takes: floating-point numbers are rounded, integers and booleans stay what they are. Throws
 * `POLYADIC_SHAPE` where that is not possible, or is not what somebody meant (bytes of an image as floating-point numbers).
 */
export function converted(tensor: Tensor, dtype: DataType, file: string): Tensor {
  if (tensor.dtype === dtype) return tensor
  const [from, to] = [isFloating(tensor.dtype), isFloating(dtype)]
  if (from && to) {
    if (dtype === 'float64') return { dtype, dims: tensor.dims, data: Float64Array.from(toFloat32(tensor, file)) }
    return fromFloat32(toFloat32(tensor, file), tensor.dims, dtype)
  }
  if (!from && !to) return sameIntegers(tensor, dtype, file)
  throw wrongType(tensor, dtype, file)
}

function sameIntegers({ dtype: from, dims, data }: Tensor, dtype: DataType, file: string): Tensor {
  const type = arrayType(dtype)
  const isBig = type === BigInt64Array || type === BigUint64Array
  const result = new type(data.length)
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number | bigint
    result[i] = isBig ? BigInt(value) : Number(value)
    // Typed arrays keep the lowest bits of what they cannot hold.
    const isKept = dtype === 'bool' ? Number(value) === 0 || Number(value) === 1 : BigInt(result[i] as number | bigint) === BigInt(value)
    if (!isKept) throw new PolyadicError('POLYADIC_SHAPE', `${show(file)}: ${value} of ${from} is no ${dtype}`, { subject: file })
  }
  return { dtype, dims, data: result }
}

function wrongType({ dtype: from, dims }: Tensor, dtype: DataType, file: string): PolyadicError {
  const others = ['float32', 'float64', 'float16'].filter((other) => other !== dtype)
  const expected = isFloating(dtype) ? `${dtype} (or ${others.join(' or ')})` : `${dtype} or another type of integers`
  return new PolyadicError('POLYADIC_SHAPE', `${show(file)}: expected ${expected}, got ${from}${remedy(from, dtype, dims)}`, {
    subject: file
  })
}

/** What to do about it, where that is plain. */
function remedy(from: DataType, to: DataType, dims: readonly number[]): string {
  if (from !== 'uint8' || !isFloating(to)) return `: save x.astype('${to}')`
  const isLast = dims.length === 4 && (dims[3] === 1 || dims[3] === 3) && dims[1] !== dims[3]
  const transposed = isLast ? '.transpose(0, 3, 1, 2)' : ''
  return `: bytes of an image are to be scaled as in training and saved as N×C×H×W, such as (x${transposed} / 255).astype('${to}')`
}
