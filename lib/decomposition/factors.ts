import { PolyadicError, argumentError, show } from '../errors.js'
import { elementCount, isDataOf, type Tensor } from '../tensor.js'

/** One factor matrix A_n, I_n×R row-major: `data[i * R + r]`. */
export interface Factor {
  readonly data: Float32Array | Float64Array
  /** [I_n, R] */
  readonly dims: readonly [number, number]
}

/** Throws unless `factors` are matrices with one common number of columns; returns that number, R. */
export function checkFactors(name: string, factors: readonly Factor[]): number {
  if (!Array.isArray(factors) || factors.length === 0) throw argumentError(name, 'an array of factor matrices', factors)
  const rank = factors[0]?.dims?.[1]
  factors.forEach((factor: Factor, n) => {
    const subject = `${name}[${n}]`
    const dims: unknown = factor?.dims
    if (!Array.isArray(dims) || dims.length !== 2 || !dims.every((dim) => Number.isSafeInteger(dim) && dim >= 1)) {
      throw argumentError(`${subject}.dims`, 'two positive integers [I, R]', dims)
    }
    if (!(isDataOf('float32', factor.data) || isDataOf('float64', factor.data))) {
      throw argumentError(`${subject}.data`, 'a Float32Array or Float64Array', factor.data)
    }
    if (factor.data.length !== elementCount(dims) || dims[1] !== rank) {
      throw new PolyadicError(
        'POLYADIC_SHAPE',
        `${subject}: expected ${show(dims[0])}×${show(rank)} elements like the first factor, got dims ${show(dims)} with ${factor.data.length} elements`,
        { subject }
      )
    }
  })
  return rank as number
}

/**
 * The tensor of a CP model: M(i_1, …, i_N) = Σ_r Π_n A_n(i_n, r), I_1×…×I_N row-major. Sums in float64; float32 when
 * all factors are. Throws `POLYADIC_ARGUMENT` or `POLYADIC_SHAPE` when the factors do not fit together.
 */
export function reconstruct(factors: readonly Factor[]): Tensor {
  const rank = checkFactors('factors', factors)
  const dims = factors.map((factor) => factor.dims[0])
  const last = factors.at(-1) as Factor
  // kr: the Khatri-Rao product of all but the last factor, one row of R a leading index
  let kr = new Float64Array(rank).fill(1)
  for (const factor of factors.slice(0, -1)) kr = khatriRao(kr, factor, rank)
  const single = factors.every((factor) => isDataOf('float32', factor.data))
  const data = single ? new Float32Array(elementCount(dims)) : new Float64Array(elementCount(dims))
  const columns = last.dims[0]
  for (let row = 0; row < kr.length / rank; row++) {
    for (let i = 0; i < columns; i++) {
      let sum = 0
      for (let r = 0; r < rank; r++) sum += (kr[row * rank + r] as number) * (last.data[i * rank + r] as number)
      data[row * columns + i] = sum
    }
  }
  return { dtype: single ? 'float32' : 'float64', dims, data }
}

function khatriRao(rows: Float64Array, factor: Factor, rank: number): Float64Array<ArrayBuffer> {
  const count = rows.length / rank
  const size = factor.dims[0]
  const product = new Float64Array(count * size * rank)
  for (let j = 0; j < count; j++) {
    for (let i = 0; i < size; i++) {
      for (let r = 0; r < rank; r++) {
        product[(j * size + i) * rank + r] = (rows[j * rank + r] as number) * (factor.data[i * rank + r] as number)
      }
    }
  }
  return product
}

/** The weight of each component, λ_r = Π_n ‖a_n,r‖: zero for a component that has died. */
export function componentWeights(factors: readonly Factor[]): Float64Array {
  const rank = checkFactors('factors', factors)
  const weights = new Float64Array(rank).fill(1)
  for (const factor of factors) {
    for (let r = 0; r < rank; r++) {
      let sum = 0
      for (let i = 0; i < factor.dims[0]; i++) sum += (factor.data[i * rank + r] as number) ** 2
      weights[r] = (weights[r] as number) * Math.sqrt(sum)
    }
  }
  return weights
}
