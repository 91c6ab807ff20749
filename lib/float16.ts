/*
 * The 16-bit floating-point formats, one number at a time: IEEE binary16 and bfloat16 (the upper half of a float32).
 */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

export function decodeFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** To the nearest, ties to even. */
export function encodeFloat16(value: number): number {
  float[0] = value
  const word = bits[0] as number
  const sign = (word >>> 16) & 0x8000
  const magnitude = Math.abs(value)
  if (Number.isNaN(value)) return sign | 0x7e00
  if (magnitude >= 65520) return sign | 0x7c00
  // Numbers below 2^−14 are multiples of 2^−24, others have ten bits behind the first one.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude))
  const steps = roundEven(magnitude / 2 ** (exponent - 10))
  return sign | (magnitude < 2 ** -14 ? steps : ((exponent + 15) << 10) + (steps - 1024))
}

export function decodeBfloat16(half: number): number {
  bits[0] = half << 16
  return float[0] as number
}

/** To the nearest, ties to even. */
export function encodeBfloat16(value: number): number {
  float[0] = value
  const word = bits[0] as number
  if (Number.isNaN(value)) return (word >>> 16) | 0x40
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
}

function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}
