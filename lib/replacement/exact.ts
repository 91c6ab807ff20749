import { elementCount } from '../tensor.js'
import type { Decomposition } from './decompose.js'

/** The rank from which on every tensor of these extents has an exact decomposition that can be written down: Π I_n without the largest. */
export function fullRank(dims: readonly number[]): number {
  return elementCount(dims) / Math.max(...dims)
}

/** The largest rank at which a chain has fewer weights than the kernel of these extents; at least 1, even where that one has as many (`isSaving`). */
export function mostSaving(dims: readonly number[]): number {
  const most = Math.ceil(elementCount(dims) / dims.reduce((sum, dim) => sum + dim, 0)) - 1
  return Math.max(1, Math.min(most, fullRank(dims)))
}

/** Whether a chain of this rank has fewer weights than the kernel of these extents; a tiny kernel has fewer than any chain. */
export function isSaving(dims: readonly number[], rank: number): boolean {
  return rank * dims.reduce((sum, dim) => sum + dim, 0) < elementCount(dims)
}

/**
 * The exact decomposition of a row-major tensor into `fullRank(dims)` components: each is one fibre along the largest mode, with a unit
 * vector in every other mode. Nothing has to be solved, and nothing is lost but float32 rounding.
 */
export function exactDecomposition(tensor: Float64Array, dims: readonly number[]): Decomposition {
  const rank = fullRank(dims)
  const along = dims.indexOf(Math.max(...dims))
  const stride = elementCount(dims.slice(along + 1))
  const extent = dims[along] as number
  const factors = dims.map((dim) => new Float64Array(dim * rank))
  let weights = 0
  for (let r = 0; r < rank; r++) {
    // Component r belongs to the r-th fibre: the elements before and after the mode, counted through.
    const [outer, inner] = [Math.floor(r / stride), r % stride]
    let norm = 0
    for (let i = 0; i < extent; i++) {
      const value = tensor[(outer * extent + i) * stride + inner] as number
      ;(factors[along] as Float64Array)[i * rank + r] = value
      norm += value * value
    }
    // The others are unit vectors: balanced over N modes, Π over N − 1 of them has the square ‖fibre‖^(2(N−1)/N).
    weights += Math.sqrt(norm) ** ((2 * (dims.length - 1)) / dims.length)
    let rest = r
    for (let n = dims.length - 1; n >= 0; n--) {
      if (n === along) continue
      const dim = dims[n] as number
      ;(factors[n] as Float64Array)[(rest % dim) * rank + r] = 1
      rest = Math.floor(rest / dim)
    }
  }
  const sensitivity = weights * dims.reduce((sum, dim) => sum + dim, 0)
  const none = { relativeError: 0, iterations: 0, stopReason: 'exact' as const, congruence: 0, trace: [] }
  return { ...none, factors, sensitivity, sensitivityBefore: sensitivity }
}
