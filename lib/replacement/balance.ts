const deadWeight = 1e-9

/** Factors of one tensor: one row-major I_n×R matrix a mode. */
export type Factors = readonly Float64Array[]

/**
 * Spreads each component's weight evenly over the modes: afterwards the columns of a component have the same norm in
 * every mode and the model is unchanged. Layers of like norm are what lets fine-tuning start at the dense learning rate.
 * Components that vanish (a column of zeros) become all zero.
 */
export function balance(factors: Factors, rank: number): Float64Array[] {
  const result = factors.map((factor) => Float64Array.from(factor))
  for (let r = 0; r < rank; r++) {
    const norms = result.map((factor) => columnNorm(factor, rank, r))
    // In logarithms: a product of six norms may overflow where their geometric mean does not.
    const mean = norms.includes(0) ? 0 : Math.exp(norms.reduce((sum, norm) => sum + Math.log(norm), 0) / norms.length)
    result.forEach((factor, n) => scaleColumn(factor, rank, r, mean === 0 ? 0 : mean / (norms[n] as number)))
  }
  return result
}

/** Which components have a weight (the product of their columns' norms) above 1e-9 of the largest. */
export function liveComponents(factors: Factors, rank: number): number[] {
  const weights = Array.from({ length: rank }, (_, r) => factors.reduce((product, factor) => product * columnNorm(factor, rank, r), 1))
  const largest = Math.max(...weights)
  return weights.flatMap((weight, r) => (weight > deadWeight * largest ? [r] : []))
}

/** The chosen components of a factor, in a matrix `width` columns wide; columns past the chosen ones are zero. */
export function selectColumns(factor: Float64Array, rank: number, chosen: readonly number[], width: number): Float64Array {
  const rows = factor.length / rank
  const result = new Float64Array(rows * width)
  for (let i = 0; i < rows; i++) {
    chosen.forEach((r, column) => {
      result[i * width + column] = factor[i * rank + r] as number
    })
  }
  return result
}

function columnNorm(factor: Float64Array, rank: number, r: number): number {
  let sum = 0
  for (let i = r; i < factor.length; i += rank) sum += (factor[i] as number) ** 2
  return Math.sqrt(sum)
}

function scaleColumn(factor: Float64Array, rank: number, r: number, scale: number): void {
  for (let i = r; i < factor.length; i += rank) factor[i] = (factor[i] as number) * scale
}
