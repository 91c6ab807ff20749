import { PolyadicError } from '../errors.js'
import { elementCount, type Tensor } from '../tensor.js'
import type { CpdResult } from './cpd.js'

/**
 * The least rank whose decomposition has a relative error of at most `bound`: doubled until one has, then halved in
 * between. Errors need not fall strictly with the rank (each is a local minimum), so the least is that of this path.
 * Throws `POLYADIC_NUMERIC` when not even the rank at which every tensor of the shape is exact reaches the bound.
 */
export async function searchRank(tensor: Tensor, bound: number, solve: (rank: number) => Promise<CpdResult>): Promise<CpdResult> {
  const { result, isReached, tried } = await leastRank(exactRank(tensor.dims), bound, solve, ({ relativeError }) => relativeError)
  if (!isReached) throw unreachable(bound, result)
  return { ...result, ranksTried: tried.map(({ rank, error }) => ({ rank, relativeError: error })) }
}

/** What a search for a rank came to. */
export interface RankSearch<T> {
  /** Of the least rank whose error is small enough; of the largest one where none is. */
  readonly result: T
  readonly rank: number
  readonly isReached: boolean
  /** In order. */
  readonly tried: readonly { readonly rank: number; readonly error: number }[]
}

/** The least rank up to `most` at which `solve` leaves an error of at most `bound`, on the path that `searchRank` takes. */
export async function leastRank<T>(
  most: number,
  bound: number,
  solve: (rank: number) => Promise<T>,
  errorOf: (result: T) => number
): Promise<RankSearch<T>> {
  const tried: { rank: number; error: number }[] = []
  const attempt = async (rank: number): Promise<T> => {
    const result = await solve(rank)
    tried.push({ rank, error: errorOf(result) })
    return result
  }
  let below = 0
  let rank = 1
  let best = await attempt(rank)
  while (errorOf(best) > bound) {
    if (rank >= most) return { result: best, rank, isReached: false, tried }
    below = rank
    rank = Math.min(2 * rank, most)
    best = await attempt(rank)
  }
  while (rank - below > 1) {
    const middle = Math.floor((below + rank) / 2)
    const result = await attempt(middle)
    if (errorOf(result) <= bound) [best, rank] = [result, middle]
    else below = middle
  }
  return { result: best, rank, isReached: true, tried }
}

// One component for each fibre along the longest mode.
function exactRank(dims: readonly number[]): number {
  return Math.max(1, elementCount(dims) / Math.max(1, ...dims))
}

function unreachable(bound: number, { relativeError, weights }: CpdResult): PolyadicError {
  return new PolyadicError(
    'POLYADIC_NUMERIC',
    `rank: an error of ${bound} was not reached, at rank ${weights.length} it is ${relativeError}; use a smaller ridge or more iterations`,
    { subject: 'rank' }
  )
}
