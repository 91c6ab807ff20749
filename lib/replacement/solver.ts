import { checkChoice, checkInteger, checkNumber } from '../errors.js'
import { native } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import type { Solve } from './decompose.js'

/** How kernels are decomposed; the same for every layer unless a layer says otherwise. */
export interface SolverOptions {
  readonly method?: 'nls' | 'als' | 'greedy'
  readonly seed?: number
  readonly threads?: number
  readonly ridge?: number
  readonly correction?: number
  readonly maxIterations?: number
  readonly tolerance?: number
}

const methods = ['nls', 'als', 'greedy'] as const

/** Throws POLYADIC_ARGUMENT naming the option (with `prefix`) that is out of range. */
export function checkSolverOptions(prefix: string, options: SolverOptions): void {
  const { method, seed, threads, ridge, correction, maxIterations, tolerance } = options
  if (method !== undefined) checkChoice(`${prefix}method`, method, methods)
  if (seed !== undefined) checkInteger(`${prefix}seed`, seed, 0, 0xffffffff)
  if (threads !== undefined) checkInteger(`${prefix}threads`, threads, 1, 1024)
  if (ridge !== undefined) checkNumber(`${prefix}ridge`, ridge, 0)
  if (correction !== undefined) checkNumber(`${prefix}correction`, correction, 0)
  if (maxIterations !== undefined) checkInteger(`${prefix}maxIterations`, maxIterations, 1)
  if (tolerance !== undefined) checkNumber(`${prefix}tolerance`, tolerance, 0)
}

/** A solver with these options; its jobs stop on `signal`. Each group gets a seed of its own. */
export function solver(options: SolverOptions, signal: AbortSignal | undefined): Solve {
  const { method = 'nls', seed = 0, threads = 1, ridge = 0, correction = 0, maxIterations = 200, tolerance = 1e-8 } = options
  return async (tensor, dims, rank, group, onIteration) => runJob(() => native().cpd({
    tensor, dims, rank, method, init: 'random', seed: seed + group, maxIterations, tolerance, ridge, correction, threads
  }, onIteration), signal)
}
