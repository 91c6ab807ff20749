import t from 'tap'
import { asFloatTensor, fromFloat32, int64Tensor } from '../lib/tensor.js'

const read = (data: Uint16Array, dtype: 'float16' | 'bfloat16'): Float32Array =>
  asFloatTensor({ dtype, dims: [data.length], data })?.data as Float32Array
const fromFloat16 = (data: Uint16Array): Float32Array => read(data, 'float16')
const fromBfloat16 = (data: Uint16Array): Float32Array => read(data, 'bfloat16')
const toFloat16 = (values: Float32Array): Uint16Array => fromFloat32(values, [values.length], 'float16').data as Uint16Array
const toBfloat16 = (values: Float32Array): Uint16Array => fromFloat32(values, [values.length], 'bfloat16').data as Uint16Array

/** The value of a binary16 by the definition of the format. */
function defined(half: number): number {
  const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 0x3ff]
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const all = Uint16Array.from({ length: 65536 }, (_, i) => i)

t.test('every float16 is read as the format defines it, and written back to the same bits', async (t) => {
  const values = fromFloat16(all)
  const wrong = [...all].filter((half) => !Object.is(values[half], defined(half)))
  t.same(wrong, [], 'values')
  const again = toFloat16(values)
  t.same(
    [...all].filter((half) => !Number.isNaN(values[half]) && again[half] !== half),
    [],
    'bits'
  )
  t.ok([...all].every((half) => !Number.isNaN(values[half]) || Number.isNaN(fromFloat16(Uint16Array.of(again[half] as number))[0])))
})

t.test('rounding to float16: nearest, ties to even, over every gap and past both ends', async (t) => {
  // Between neighbours a < b: just below, at and just above the middle (which float32 has exactly).
  for (let half = 0; half < 0x7bff; half++) {
    const [a, b] = [defined(half), defined(half + 1)]
    const middle = (a + b) / 2
    const spread = (b - a) / 8
    const [low, tie, high] = toFloat16(Float32Array.of(middle - spread, middle, middle + spread))
    if (low !== half || high !== half + 1 || tie !== (half % 2 === 0 ? half : half + 1)) t.fail(`between ${half} and its neighbour`)
  }
  const ends = Float32Array.of(65519.99, 65520, 1e38, -65520, Infinity, 2 ** -25, 2 ** -25 * 1.0001, -0, 2 ** -30)
  t.same([...toFloat16(ends)], [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7c00, 0, 1, 0x8000, 0])
})

t.test('bfloat16: exact to float32, back rounded to nearest, ties to even', async (t) => {
  const values = fromBfloat16(all)
  const again = toBfloat16(values)
  t.same(
    [...all].filter((bits) => !Number.isNaN(values[bits]) && again[bits] !== bits),
    []
  )
  t.same(
    [...fromBfloat16(toBfloat16(Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20)))],
    [1, 1 + 2 ** -6, 1 + 2 ** -7]
  )
  t.ok(Number.isNaN(fromBfloat16(toBfloat16(Float32Array.of(Number.NaN)))[0]))
  t.same([...toBfloat16(Float32Array.of(3.4e38, -Infinity))], [0x7f80, 0xff80])
})

t.test('tensors of any real type give float32 values and take them; integers give none', async (t) => {
  const values = Float32Array.of(1, -2.5, 0)
  for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const) {
    const tensor = fromFloat32(values, [3], dtype)
    t.equal(tensor.dtype, dtype)
    t.same(asFloatTensor(tensor)?.data, values)
  }
  t.equal(asFloatTensor(fromFloat32(values, [3], 'float32'))?.data, values, 'float32 is not copied')
  t.equal(asFloatTensor(int64Tensor([1])), undefined)
})
