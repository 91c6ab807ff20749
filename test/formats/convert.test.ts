import t from 'tap'
import { converted } from '../../lib/formats/convert.js'
import type { DataType, Tensor, TensorData } from '../../lib/tensor.js'

const tensor = (dtype: DataType, data: TensorData, dims: readonly number[] = [data.length]): Tensor => ({ dtype, dims, data })

t.test('floating-point numbers are rounded', async (t) => {
  const doubles = tensor('float64', Float64Array.of(1.5, -2, 0.1))
  t.strictSame(converted(doubles, 'float32', 'x.npy'), tensor('float32', Float32Array.of(1.5, -2, 0.1)))
  t.strictSame(converted(doubles, 'float16', 'x.npy').data.slice(0, 2), Uint16Array.of(0x3e00, 0xc000))
  t.strictSame(converted(tensor('float16', Uint16Array.of(0x3e00)), 'float64', 'x.npy'), tensor('float64', Float64Array.of(1.5)))
  t.equal(converted(doubles, 'float64', 'x.npy'), doubles, 'as it is')
  t.throws(() => converted(tensor('float64', Float64Array.of(1e300)), 'float32', 'x.npy'), { message: /x\.npy.*1e\+300/ })
})

t.test('integers and booleans stay what they are, or are refused', async (t) => {
  t.strictSame(converted(tensor('int64', BigInt64Array.of(-3n, 7n)), 'int32', 'x.npy'), tensor('int32', Int32Array.of(-3, 7)))
  t.strictSame(converted(tensor('uint8', Uint8Array.of(0, 255)), 'int64', 'x.npy'), tensor('int64', BigInt64Array.of(0n, 255n)))
  t.strictSame(converted(tensor('int64', BigInt64Array.of(1n, 0n)), 'bool', 'x.npy'), tensor('bool', Uint8Array.of(1, 0)))
  for (const [from, to] of [
    [tensor('int64', BigInt64Array.of(2n ** 31n)), 'int32'],
    [tensor('int32', Int32Array.of(-1)), 'uint8'],
    [tensor('int32', Int32Array.of(-1)), 'uint64'],
    [tensor('uint8', Uint8Array.of(2)), 'bool']
  ] as const)
    t.throws(() => converted(from, to, 'x.npy'), { code: 'POLYADIC_SHAPE', message: new RegExp(`"x.npy": .* is no ${to}`) })
})

t.test('what somebody would not mean is refused with what to do', async (t) => {
  const bytes = (...dims: number[]): Tensor => tensor('uint8', new Uint8Array(dims.reduce((a, b) => a * b)), dims)
  const refusal = (one: Tensor, dtype: DataType): string => {
    try {
      converted(one, dtype, 'x.npy')
      return 'none'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(refusal(bytes(2, 3, 4, 4), 'float32'), /got uint8.*scaled.*N×C×H×W.*\(x \/ 255\)\.astype\('float32'\)/)
  t.match(refusal(bytes(2, 4, 4, 3), 'float32'), /\(x\.transpose\(0, 3, 1, 2\) \/ 255\)/)
  t.match(
    refusal(tensor('int64', BigInt64Array.of(1n)), 'float32'),
    /expected float32 \(or float64 or float16\), got int64.*astype\('float32'\)/
  )
  t.match(refusal(tensor('float32', Float32Array.of(1)), 'int64'), /expected int64 .*got float32/)
})
