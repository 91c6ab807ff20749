import type { DataType, Tensor } from './tensor.js'

/** Element types that hold real numbers. Networks are computed in float32, whichever of them their weights have. */
export type FloatType = 'float32' | 'float64' | 'float16' | 'bfloat16'

export function isFloatType(dtype: DataType): dtype is FloatType {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16'
}

export function isHalf(dtype: DataType): dtype is 'float16' | 'bfloat16' {
  return dtype === 'float16' || dtype === 'bfloat16'
}

/** The float32 numbers of a tensor of real numbers: its own data where it is float32, else a copy; undefined for integers. */
export function float32Values(tensor: Tensor): Float32Array | undefined {
  if (tensor.dtype === 'float32') return tensor.data as Float32Array
  if (tensor.dtype === 'float64') return Float32Array.from(tensor.data as Float64Array)
  if (tensor.dtype === 'float16') return fromFloat16(tensor.data as Uint16Array)
  return tensor.dtype === 'bfloat16' ? fromBfloat16(tensor.data as Uint16Array) : undefined
}

/** `values` as a tensor of `dtype`, rounded to nearest, ties to even; float32 data is not copied. */
export function floatTensorOf(dtype: FloatType, dims: readonly number[], values: Float32Array): Tensor {
  if (dtype === 'float32') return { dtype, dims, data: values }
  if (dtype === 'float64') return { dtype, dims, data: Float64Array.from(values) }
  return { dtype, dims, data: dtype === 'float16' ? toFloat16(values) : toBfloat16(values) }
}

/** IEEE 754 binary16 to float32; exact. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  const result = new Float32Array(halves.length)
  const bits = new Uint32Array(result.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number
    const sign = (half & 0x8000) << 16
    const rest = half & 0x7fff
    // Exponent bias 15 becomes 127; infinities and NaN keep an exponent of ones.
    if (rest >= 0x7c00) bits[i] = sign | 0x7f800000 | ((rest & 0x3ff) << 13)
    else if (rest >= 0x400) bits[i] = sign | ((rest << 13) + (112 << 23))
    else {
      // Subnormal: a multiple of 2^-24, which float32 has as a normal number.
      result[i] = rest * 2 ** -24
      bits[i] = (bits[i] as number) | sign
    }
  }
  return result
}

/** float32 to IEEE 754 binary16, to nearest, ties to even; what is too large becomes infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const result = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const word = bits[i] as number
    const sign = (word >>> 16) & 0x8000
    const rest = word & 0x7fffffff
    if (rest > 0x7f800000) result[i] = sign | 0x7e00
    else if (rest >= 0x477ff000) result[i] = sign | 0x7c00
    else if (rest >= 0x38800000) result[i] = sign | roundedShift(rest - (112 << 23), 13)
    else if (rest >= 0x33000000) result[i] = sign | roundedShift((rest & 0x7fffff) | 0x800000, 126 - (rest >>> 23))
    else result[i] = sign
  }
  return result
}

/** The upper half of a float32 to float32; exact. */
export function fromBfloat16(halves: Uint16Array): Float32Array {
  const result = new Float32Array(halves.length)
  const bits = new Uint32Array(result.buffer)
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16
  return result
}

/** float32 to its upper half, to nearest, ties to even. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return Uint16Array.from(bits, (word) => ((word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : roundedShift(word, 16)))
}

/** value / 2^shift, rounded to nearest, ties to even. A carry goes into the exponent, as it should. */
function roundedShift(value: number, shift: number): number {
  const half = 2 ** (shift - 1)
  const quotient = value >>> shift
  const remainder = value - quotient * 2 ** shift
  return quotient + (remainder > half || (remainder === half && quotient % 2 === 1) ? 1 : 0)
}
