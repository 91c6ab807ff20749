import { PolyadicError } from '../errors.js'
import { elementCount, type Tensor } from '../tensor.js'
import type { CpdResult } from './cpd.js'

/**
 * The least rank whose decomposition has a relative error of at most `bound`: doubled until one has, then halved in
 * between. Errors need not fall strictly with the rank (each is a local minimum), so the least is that of this path.
 * Throws `POLYADIC_NUMERIC` when not even the rank at which every tensor of the shape is exact reaches the bound.
 */
export async function searchRank(tensor: Tensor, bound: number, solve: (rank: number) => Promise<CpdResult>): Promise<CpdResult> {
  const tried: { rank: number; relativeError: number }[] = []
  const attempt = async (rank: number): Promise<CpdResult> => {
    const result = await solve(rank)
    tried.push({ rank, relativeError: result.relativeError })
    return result
  }
  const most = exactRank(tensor.dims)
  let below = 0
  let rank = 1
  let best = await attempt(rank)
  while (best.relativeError > bound) {
    if (rank >= most) throw unreachable(bound, best)
    below = rank
    rank = Math.min(2 * rank, most)
    best = await attempt(rank)
  }
  while (rank - below > 1) {
    const middle = Math.floor((below + rank) / 2)
    const result = await attempt(middle)
    if (result.relativeError <= bound) [best, rank] = [result, middle]
    else below = middle
  }
  return { ...best, ranksTried: tried }
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
