import type { DenseStep, DenseView, ReduceFunction } from '../../lib/runtime/dense-spec.js'
import { gather, scatter, topK } from './reference-indexed.js'
import { eachPosition, place } from './reference-views.js'

/*
 * Steps over dense values in float64 with the plainest loops, for `runReference`.
 */

type Step<Op extends DenseStep['op']> = Extract<DenseStep, { op: Op }>
type Value = (i: number) => Float64Array

/** The complementary error function's series and continued fraction, to some 1e-15. */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a > 3) {
    let fraction = 0
    for (let k = 60; k > 0; k--) fraction = k / 2 / (a + fraction)
    return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)))
  }
  let [sum, term] = [x, x]
  for (let k = 1; Math.abs(term) > 1e-18; k++) {
    term *= -(x * x) / k
    sum += term / (2 * k + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

const round = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))

/** By name, of the inputs and the function's numbers. */
const functions: Readonly<Record<string, (n: readonly number[], x: number, y: number, z: number) => number>> = {
  identity: (_, x) => x,
  abs: (_, x) => Math.abs(x),
  negate: (_, x) => -x,
  floor: (_, x) => Math.floor(x),
  ceil: (_, x) => Math.ceil(x),
  round: (_, x) => round(x),
  truncate: (_, x) => Math.trunc(x),
  sign: (_, x) => Math.sign(x),
  sqrt: (_, x) => Math.sqrt(x),
  reciprocal: (_, x) => 1 / x,
  exp: (_, x) => Math.exp(x),
  log: (_, x) => Math.log(x),
  sin: (_, x) => Math.sin(x),
  cos: (_, x) => Math.cos(x),
  tan: (_, x) => Math.tan(x),
  asin: (_, x) => Math.asin(x),
  acos: (_, x) => Math.acos(x),
  atan: (_, x) => Math.atan(x),
  sinh: (_, x) => Math.sinh(x),
  cosh: (_, x) => Math.cosh(x),
  tanh: (_, x) => Math.tanh(x),
  asinh: (_, x) => Math.asinh(x),
  acosh: (_, x) => Math.acosh(x),
  atanh: (_, x) => Math.atanh(x),
  erf: (_, x) => erf(x),
  not: (_, x) => Number(x === 0),
  truth: (_, x) => Number(x !== 0),
  is_nan: (_, x) => Number(Number.isNaN(x)),
  shrink: ([bias = 0, lambda = 0.5], x) => (x < -lambda ? x + bias : x > lambda ? x - bias : 0),
  celu: ([alpha = 1], x) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha)),
  add: (_, x, y) => x + y,
  subtract: (_, x, y) => x - y,
  multiply: (_, x, y) => x * y,
  divide: (_, x, y) => x / y,
  power: (_, x, y) => x ** y,
  fmod: (_, x, y) => x % y,
  modulo: (_, x, y) => x - Math.floor(x / y) * y,
  minimum: (_, x, y) => Math.min(x, y),
  maximum: (_, x, y) => Math.max(x, y),
  equal: (_, x, y) => Number(x === y),
  less: (_, x, y) => Number(x < y),
  less_equal: (_, x, y) => Number(x <= y),
  and: (_, x, y) => Number(x !== 0 && y !== 0),
  or: (_, x, y) => Number(x !== 0 || y !== 0),
  xor: (_, x, y) => Number((x !== 0) !== (y !== 0)),
  prelu: (_, x, y) => (x < 0 ? y * x : x),
  where: (_, x, y, z) => (x !== 0 ? y : z),
  multiply_add: (_, x, y, z) => x * y + z,
  clip: (_, x, y, z) => Math.min(Math.max(x, y), z)
}

export function elementwise(name: string, numbers: ArrayLike<number> | undefined, inputs: readonly number[]): number {
  const f = functions[name]
  if (f === undefined) throw new Error(`no reference of ${name}`)
  return f(Array.from(numbers ?? []), inputs[0] as number, inputs[1] as number, inputs[2] as number)
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

const reductions: Readonly<Record<ReduceFunction, (values: readonly number[]) => number>> = {
  sum,
  mean: (values) => sum(values) / values.length,
  maximum: (values) => Math.max(...values),
  minimum: (values) => Math.min(...values),
  product: (values) => values.reduce((product, value) => product * value, 1),
  l1: (values) => sum(values.map(Math.abs)),
  l2: (values) => Math.hypot(...values),
  log_sum: (values) => Math.log(sum(values)),
  log_sum_exp: (values) => Math.log(sum(values.map(Math.exp))),
  sum_square: (values) => sum(values.map((value) => value * value)),
  arg_max: (values) => values.indexOf(Math.max(...values)),
  arg_min: (values) => values.indexOf(Math.min(...values))
}

function along(name: Step<'along'>['function'], values: readonly number[], flags: readonly boolean[]): number[] {
  const largest = Math.max(...values)
  const exponentials = values.map((value) => Math.exp(value - largest))
  const total = sum(exponentials)
  if (name === 'softmax') return exponentials.map((value) => value / total)
  if (name === 'log_softmax') return values.map((value) => value - largest - Math.log(total))
  if (name === 'hardmax') return values.map((_, i) => Number(i === values.indexOf(largest)))
  const [exclusive, reverse] = flags
  return values.map((_, i) => {
    const from = reverse === true ? values.slice(exclusive === true ? i + 1 : i) : values.slice(0, exclusive === true ? i : i + 1)
    return sum(from)
  })
}

function normalise({ sizes: [rows, size], numbers, flags }: Step<'normalise'>, x: Float64Array, out: Float64Array): void {
  for (let row = 0; row < rows; row++) {
    const values = Array.from(x.subarray(row * size, (row + 1) * size))
    const mean = flags[1] ? 0 : sum(values) / size
    const factor = 1 / Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / size + (numbers[0] as number))
    out.set(
      values.map((value) => (value - mean) * factor),
      row * size
    )
    if (flags[0]) {
      out[rows * size + row] = mean
      out[rows * size + rows + row] = factor
    }
  }
}

function pool(step: Step<'pool'>, x: Float64Array, out: Float64Array): void {
  const tables = step.tables.map((table) => Array.from(table))
  const [input, output, kernel, strides, dilations, begin, end] = tables as [
    number[],
    number[],
    number[],
    number[],
    number[],
    number[],
    number[]
  ]
  const area = input.reduce((product, dim) => product * dim, 1)
  eachPosition([step.sizes[0], ...output], ([plane, ...at], index) => {
    const seen: number[] = []
    const places: number[] = []
    let padded = 0
    eachPosition(kernel, (tap) => {
      const source = tap.map((t, k) => (at[k] as number) * (strides[k] as number) - (begin[k] as number) + t * (dilations[k] as number))
      if (source.every((s, k) => s < (input[k] as number) + (end[k] as number))) padded++
      if (!source.every((s, k) => s >= 0 && s < (input[k] as number))) return
      const offset = source.reduce((total, s, k) => total * (input[k] as number) + s, 0)
      places.push((plane as number) * area + offset)
      seen.push(x[(plane as number) * area + offset] as number)
    })
    const count = step.sizes[0] * output.reduce((product, dim) => product * dim, 1)
    if (step.flags[1]) out[count + index] = places[seen.indexOf(Math.max(...seen))] as number
    const power = step.numbers?.[0] ?? 2
    if (step.function === 'maximum') out[index] = Math.max(...seen)
    else if (step.function === 'average') out[index] = sum(seen) / (step.flags[0] ? padded : seen.length)
    else out[index] = sum(seen.map((value) => Math.abs(value) ** power)) ** (1 / power)
  })
}

function matmul(step: Step<'matmul'>, a: Float64Array, b: Float64Array, out: Float64Array): void {
  const [rows, columns, inner] = step.sizes
  eachPosition([...step.dims, rows, columns], (position, index) => {
    const [batch, i, j] = [position.slice(0, -2), position.at(-2) as number, position.at(-1) as number]
    let total = 0
    for (let k = 0; k < inner; k++)
      total += (a[place(step.views[0], [...batch, i, k])] as number) * (b[place(step.views[1], [...batch, k, j])] as number)
    out[index] = total
  })
}

export function runDense(step: Exclude<DenseStep, { op: 'to_dense' | 'to_blocked' }>, value: Value, out: Float64Array): void {
  const inputs = step.inputs.map(value)
  const [x] = inputs as [Float64Array]
  switch (step.op) {
    case 'elementwise':
      return eachPosition(step.dims ?? [], (position, index) => {
        const own = inputs.map((data, i) => data[place(step.views?.[i] as DenseView, position)] as number)
        out[index] = elementwise(step.function, step.numbers, own)
      })
    case 'copy':
      if (step.fill !== undefined) out.fill(step.fill)
      for (const { input, dims, from, to } of step.pieces)
        eachPosition(dims, (position) => {
          out[place(to, position)] = (inputs[input] as Float64Array)[place(from, position)] as number
        })
      return
    case 'take':
      return eachPosition(
        step.tables.map(({ length }) => length),
        (position, index) => {
          const offsets = position.map((at, axis) => (step.tables[axis] as Int32Array)[at] as number)
          out[index] = offsets.some((offset) => offset < 0) ? (step.fill ?? 0) : (x[sum(offsets)] as number)
        }
      )
    case 'interpolate': {
      const [outer = 1, size = 1, inner = 1, taps = 1] = step.sizes
      const outputs = step.tables[0].length / taps
      return eachPosition([outer, outputs, inner], ([o, i, j], index) => {
        const first = (i as number) * taps
        out[index] = sum(
          Array.from({ length: taps }, (_, t) => {
            const at = ((o as number) * size + (step.tables[0][first + t] as number)) * inner + (j as number)
            return (step.numbers[first + t] as number) * (x[at] as number)
          })
        )
      })
    }
    case 'reduce':
      return eachPosition(step.dims, (kept, index) => {
        const values: number[] = []
        eachPosition(step.reduced, (reduced) => {
          values.push(x[place(step.views[0], kept) + place(step.views[1], reduced)] as number)
        })
        out[index] = reductions[step.function](values)
      })
    case 'along': {
      const [outer, size, inner] = step.sizes
      return eachPosition([outer, inner], ([o, i]) => {
        const at = (k: number): number => ((o as number) * size + k) * inner + (i as number)
        const values = Array.from({ length: size }, (_, k) => x[at(k)] as number)
        along(step.function, values, step.flags ?? []).forEach((result, k) => {
          out[at(k)] = result
        })
      })
    }
    case 'normalise':
      return normalise(step, x, out)
    case 'pool':
      return pool(step, x, out)
    case 'matmul':
      return matmul(step, x, inputs[1] as Float64Array, out)
    case 'gather':
      return gather(step, inputs, out)
    case 'scatter':
      return scatter(step, inputs, out)
    case 'top_k':
      return topK(step, x, out)
    default:
      throw new Error(`no reference of ${step.op}`)
  }
}
