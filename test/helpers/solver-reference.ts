// Plain float64 twins of the solver's kernels, and a small random generator: slow, short and independent of native code.

export function randomArray(length: number, seed: number): Float64Array {
  let state = (seed * 2654435761 + 12345) >>> 0
  return Float64Array.from({ length }, () => {
    let sum = -2
    for (let i = 0; i < 4; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      sum += state / 2 ** 32
    }
    return sum * Math.sqrt(3)
  })
}

export const count = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)

/** The index along each mode of the element at `position` of a row-major tensor. */
export function indices(position: number, dims: readonly number[]): number[] {
  const result = dims.map(() => 0)
  for (let n = dims.length - 1; n >= 0; n--) {
    result[n] = position % dims[n]!
    position = Math.floor(position / dims[n]!)
  }
  return result
}

/** Where each factor begins in the array that holds all of them. */
export function offsets(dims: readonly number[], rank: number): number[] {
  let offset = 0
  return dims.map((dim) => (offset += dim * rank) - dim * rank)
}

/** M(i) = Σ_r Π_n A_n(i_n, r), element by element. */
export function model(factors: Float64Array, dims: readonly number[], rank: number): Float64Array {
  const start = offsets(dims, rank)
  return Float64Array.from({ length: count(dims) }, (_, position) => {
    const index = indices(position, dims)
    let sum = 0
    for (let r = 0; r < rank; r++) sum += dims.reduce((term, _dim, n) => term * factors[start[n]! + index[n]! * rank + r]!, 1)
    return sum
  })
}

/** ∂M/∂A as a matrix, count(dims)×ΣI_n·R, one row an element of M. */
export function jacobian(factors: Float64Array, dims: readonly number[], rank: number): Float64Array[] {
  const start = offsets(dims, rank)
  return Array.from({ length: count(dims) }, (_, position) => {
    const index = indices(position, dims)
    const row = new Float64Array(factors.length)
    for (let n = 0; n < dims.length; n++) {
      for (let r = 0; r < rank; r++) {
        row[start[n]! + index[n]! * rank + r] = dims.reduce(
          (term, _dim, k) => (k === n ? term : term * factors[start[k]! + index[k]! * rank + r]!),
          1
        )
      }
    }
    return row
  })
}

/** Jᵀ·x: with x = T, the MTTKRP of all modes one behind the other. */
export function transposedProduct(rows: readonly Float64Array[], x: Float64Array): Float64Array {
  const result = new Float64Array(rows[0]!.length)
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      result[j]! += value * x[i]!
    })
  )
  return result
}

export function product(rows: readonly Float64Array[], x: Float64Array): Float64Array {
  return Float64Array.from(rows, (row) => row.reduce((sum, value, j) => sum + value * x[j]!, 0))
}

export const norm = (x: Float64Array): number => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0))

/** ‖x − y‖ / ‖y‖ */
export function distance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const difference = Float64Array.from({ length: y.length }, (_, i) => x[i]! - y[i]!)
  return norm(difference) / (norm(Float64Array.from(y)) || 1)
}
