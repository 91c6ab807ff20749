import type { Names } from '../arguments.js'
import { cpd, cpdOptions, type CpdOptions } from '../decomposition/cpd.js'
import { checkedOptions, type CpdInit } from '../decomposition/options.js'
import type { Solve } from './decompose.js'

/** How kernels are decomposed, as in `cpd` and with its defaults; the same for every layer unless a layer says otherwise. */
export type SolverOptions = Pick<
  CpdOptions,
  'method' | 'restarts' | 'seed' | 'maxIterations' | 'tolerance' | 'ridge' | 'maxWeight' | 'correction' | 'threads'
> & {
  /** `gevd` is not among them: it asks for ranks that few kernels are replaced at. */
  readonly init?: Exclude<CpdInit, 'gevd'>
}

// The others are a layer's own, or the whole call's.
const { rank: _rank, factors: _factors, metric: _metric, signal: _signal, onProgress: _onProgress, ...shared } = cpdOptions
export const solverOptions: Names<SolverOptions> = shared

/** How `compress` makes the solver of a layer: of its options and, where there are such, the moments of its inputs. */
export type MakeSolve = (options: SolverOptions, moments?: readonly Float64Array[]) => Solve

const inits: readonly CpdInit[] = ['random', 'svd']

/** Throws POLYADIC_ARGUMENT naming the option (with `prefix`) that is out of range, before anything is computed. */
export function checkSolverOptions(prefix: string, options: SolverOptions): void {
  checkedOptions(prefix, options, inits)
}

/**
 * A solver with these options; its jobs stop on `signal`. Each group has seeds of its own. With `moments`, one matrix a
 * group, the error of the output is minimised.
 */
export function solver(options: SolverOptions, signal: AbortSignal | undefined, moments?: readonly Float64Array[]): Solve {
  const { seed = 0, restarts = 1, maxIterations = 200, method = 'nls', init, tolerance, ridge, maxWeight, correction, threads } = options
  const chosen = Object.fromEntries(
    Object.entries({ init, tolerance, ridge, maxWeight, correction, threads, signal }).filter(([, value]) => value !== undefined)
  )
  return async (data, dims, rank, group, onProgress) => {
    // Nothing is random in a singular value decomposition or in greedy's.
    const runs = dims.length === 2 || method === 'greedy' ? 1 : restarts
    const result = await cpd(
      { dtype: 'float64', dims, data },
      {
        ...chosen,
        ...(moments && { metric: { covariance: moments[group] as Float64Array } }),
        rank,
        method,
        maxIterations,
        restarts: runs,
        seed: seed + group * runs,
        onProgress: ({ iteration, relativeError, restart }) =>
          onProgress((restart + Math.min(1, iteration / maxIterations)) / runs, iteration, relativeError)
      }
    )
    return { ...result, factors: result.factors.map((factor) => Float64Array.from(factor.data)) }
  }
}
