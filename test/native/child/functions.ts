import t from 'tap'
import { floatTensor } from '../../../lib/tensor.js'
import { Session } from '../../../lib/runtime/session.js'
import { NetworkBuilder } from '../../helpers/network-builder.js'
import { erf } from '../../helpers/reference-dense.js'
import { generator } from '../../helpers/plan-builder.js'
import { sameBits } from '../../helpers/same-bits.js'

// Exponentials and their kin against float64, within the bounds that native/kernels/function_kernels.h states.

interface Case {
  readonly opType: string
  /** In ulp. */
  readonly bound: number
  readonly exact: (x: number) => number
}

const cases: readonly Case[] = [
  { opType: 'Exp', bound: 2, exact: Math.exp },
  { opType: 'Tanh', bound: 3, exact: Math.tanh },
  { opType: 'Sigmoid', bound: 3, exact: (x) => 1 / (1 + Math.exp(-x)) },
  { opType: 'Erf', bound: 3, exact: erf }
]

const scratch = new DataView(new ArrayBuffer(4))

function ofBits(bits: number): number {
  scratch.setUint32(0, bits)
  return scratch.getFloat32(0)
}

function toBits(value: number): number {
  scratch.setFloat32(0, value)
  return scratch.getUint32(0)
}

/** From every exponent, denormals among them, and all near where a result leaves the floats or another formula begins. */
function samples(): Float32Array {
  const random = generator(1)
  const values = [0, -0, Infinity, -Infinity, NaN]
  for (let exponent = 0; exponent < 255; exponent++) {
    const mantissas = [0, 1, 2, 3, 2 ** 22, 2 ** 23 - 2, 2 ** 23 - 1, ...Array.from({ length: 300 }, () => random.integer(0, 2 ** 23 - 1))]
    for (const mantissa of mantissas) values.push(ofBits(exponent * 2 ** 23 + mantissa), ofBits((exponent + 256) * 2 ** 23 + mantissa))
  }
  for (const limit of [88.72284, 87.33655, 89, 103.27893, 103.97208, 104, 0.625, 0.9, 4, 9.01, 16.64]) {
    const first = toBits(limit) - 2000
    for (let i = 0; i < 4000; i++) values.push(ofBits(first + i), -ofBits(first + i))
  }
  for (let i = 0; i < 40000; i++) values.push(random.next() * 215 - 110, random.next() * 12 - 6)
  return Float32Array.from(values)
}

/** Infinite where one of them is no finite number and the other is not the same, or where the sign of zero is wrong. */
function ulps(actual: number, exact: number): number {
  const nearest = Math.fround(exact)
  if (!Number.isFinite(actual) || !Number.isFinite(nearest) || exact === 0) return Object.is(actual, nearest) ? 0 : Infinity
  if (actual === 0 && Object.is(actual, 0) !== exact > 0) return Infinity
  return Math.abs(actual - exact) / ulp(exact)
}

function ulp(exact: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(exact))), -126) - 23)
}

function worst({ exact }: Case, x: Float32Array, y: Float32Array): { readonly ulp: number; readonly at: number } {
  let result = { ulp: 0, at: 0 }
  for (let i = 0; i < x.length; i++) {
    const error = ulps(y[i] as number, exact(x[i] as number))
    if (!(error <= result.ulp)) result = { ulp: error, at: x[i] as number }
  }
  return result
}

/** Of one input, by each of the functions. */
async function compute(x: Float32Array, threads = 1): Promise<Float32Array[]> {
  const b = new NetworkBuilder(18)
  const input = b.input([x.length])
  const names = cases.map(({ opType }) => b.node(opType, [input]))
  await using session = await Session.create(b.graph(...names), { threads })
  const results = session.runSync({ [input]: floatTensor(x, [x.length]) })
  return names.map((name) => results[name]?.data as Float32Array)
}

const x = samples()
const whole = await compute(x)

cases.forEach((one, k) => {
  const { ulp, at } = worst(one, x, whole[k] as Float32Array)
  t.ok(ulp <= one.bound, `${one.opType} of ${x.length} numbers: ${ulp.toFixed(2)} ulp at ${at}`)
})

{
  const others = await compute(x, 3)
  cases.forEach(({ opType }, k) => t.ok(sameBits(others[k] as Float32Array, whole[k] as Float32Array), `${opType} on three threads`))
}

// What an element becomes does not depend on how many others there are, on its place or on where the result goes.
const random = generator(2)
for (let count = 1; count <= 67; count++) {
  const wrong: string[] = []
  for (let offset = 0; offset < 17; offset++) {
    const first = random.integer(0, x.length - 100) + offset
    const results = await compute(x.slice(first, first + count))
    cases.forEach(({ opType }, k) => {
      if (!sameBits(results[k] as Float32Array, (whole[k] as Float32Array).subarray(first, first + count)))
        wrong.push(`${opType} at ${first}`)
    })
  }
  t.same(wrong, [], `${count} elements`)
}

// Behind a convolution, on its output; of what lies apart.
for (const { opType } of cases) {
  const k = cases.findIndex((one) => one.opType === opType)
  for (const channels of [1, 5, 16, 33]) {
    const rows = 7
    const first = channels * 1000
    const part = x.slice(first, first + rows * channels)
    const expected = (whole[k] as Float32Array).slice(first, first + rows * channels)
    const b = new NetworkBuilder(18)
    const pixels = b.input([1, 1, rows, channels])
    const unit = b.constant(floatTensor(Float32Array.of(1), [1, 1, 1, 1]))
    const matrix = b.input([rows, channels])
    const names = [b.node(opType, [b.node('Conv', [pixels, unit])]), b.node(opType, [b.node('Transpose', [matrix])])]
    await using session = await Session.create(b.graph(...names))
    const results = session.runSync({
      [pixels]: floatTensor(part, [1, 1, rows, channels]),
      [matrix]: floatTensor(part, [rows, channels])
    })
    const [inPlace, apart] = names.map((name) => results[name]?.data as Float32Array) as [Float32Array, Float32Array]
    const turned = Float32Array.from(expected, (_, i) => expected[(i % rows) * channels + Math.floor(i / rows)] as number)
    t.ok(sameBits(inPlace, expected), `${opType} behind a convolution, ${channels} wide`)
    t.ok(sameBits(apart, turned), `${opType} of a transposed matrix, ${channels} wide`)
  }
}
