import { checkNames, checkOptions, checkRecord, type Names } from '../arguments.js'
import { PolyadicError, argumentError, checkInteger, checkNumber, show } from '../errors.js'
import { native, type NativeCpdResult, type NativeCpdSpec, type NativeCpdTrace } from '../native/binding.js'
import { runReporting } from '../native/jobs.js'
import { checkDims, elementCount, isDataOf, type Tensor } from '../tensor.js'
import { checkFactors, componentWeights, type Factor } from './factors.js'
import { checkedOptions, cpdInits, type CpdInit, type CpdMethod, maxSeed } from './options.js'
import { searchRank } from './rank-search.js'

export interface CpdOptions {
  /**
   * R, the number of rank-one components; or `{ error }` for the least one with a relative error of at most that, found by
   * doubling and halving (each trial is a run of its own: take a loose `tolerance` where that is long).
   */
  readonly rank: number | { readonly error: number }
  /**
   * `nls` (default): Levenberg–Marquardt with a structured Jacobian and preconditioned CG. `als`: alternating least
   * squares with extrapolation. `greedy`: R deflated rank-one terms; takes no initial values and no ridge.
   * A matrix (order 2) always gets its truncated singular value decomposition.
   */
  readonly method?: CpdMethod
  /**
   * `random` (default): seeded normal columns. `svd`: leading singular vectors of each unfolding, then random columns.
   * `gevd`: generalised eigenvectors of two slices, exact for a tensor of exactly that rank; asks for two dimensions of at
   * least R and more than one slice of them.
   */
  readonly init?: CpdInit
  /** Start from these instead: I_n×R, one a mode. */
  readonly factors?: readonly Factor[]
  /** Runs with seeds `seed`, `seed + 1`, …; the best error wins. Default 1. */
  readonly restarts?: number
  /** Seed of the random numbers. Same seed, same ISA: same bits, whatever `threads` is. Default 0. */
  readonly seed?: number
  /** Outer iterations: NLS steps (tried or taken), ALS sweeps, sweeps of one greedy term. Default 200. */
  readonly maxIterations?: number
  /** Stop when the error changes by less than this, relatively, twice running. Default 1e-5. */
  readonly tolerance?: number
  /**
   * γ of the term ½γ·Σ‖A_n‖² that keeps components from growing without bound and cancelling, relative to ‖T‖^(2−2/N).
   * Default 1e-4: on convolution kernels it costs nothing in error and saves a factor of 10 to 1000 in sensitivity.
   * Use 0 to recover an exact low-rank tensor to full accuracy.
   */
  readonly ridge?: number
  /**
   * Bound on the weight λ_r = Π_n ‖a_n,r‖ of every component, relative to ‖T‖ (1, say): where components would grow and
   * cancel each other without end, it stops them. Method `nls` only. Default: none, as the ridge keeps them small.
   */
  readonly maxWeight?: number
  /**
   * `epc`: error-preserving correction, the least sensitive factors whose error is at most 1.005 (or the factor given)
   * times the error just reached. Default `none`.
   */
  readonly correction?: 'none' | 'epc' | { readonly epc: number }
  /**
   * Measures the error in tr((T−M)·C·(T−M)ᵀ), T and M as I_1×D matrices with D = I_2·…·I_N, instead of ‖T−M‖²: with C the
   * second moment of a layer's input patches, D×D, that is the error of the layer's output. The plain solution is found
   * first and refined. Method `nls` only; no correction with it.
   */
  readonly metric?: { readonly covariance: Float64Array }
  /** Threads of the compute team. Default 1. */
  readonly threads?: number
  readonly signal?: AbortSignal
  /** Called with the iteration, the relative error and the restart, at most once in 50 ms. What it throws ends the decomposition. */
  readonly onProgress?: (progress: CpdProgress) => void
}

/** The names of all options. */
export const cpdOptions: Names<CpdOptions> = {
  rank: true,
  method: true,
  init: true,
  factors: true,
  restarts: true,
  seed: true,
  maxIterations: true,
  tolerance: true,
  ridge: true,
  maxWeight: true,
  correction: true,
  metric: true,
  threads: true,
  signal: true,
  onProgress: true
}

export interface CpdProgress {
  /** From 1; counts on through a restart's outer iterations. */
  readonly iteration: number
  readonly relativeError: number
  /** From 0. */
  readonly restart: number
}

export interface CpdResult {
  /** A_n as I_n×R, in the dtype of the tensor; columns of equal norm over modes, weights absorbed. */
  readonly factors: readonly Factor[]
  /** λ_r = Π_n ‖a_n,r‖; zero for a component that has died, see `effectiveRank`. */
  readonly weights: Float64Array
  /** Components with a weight above 1e-9 of the largest. */
  readonly effectiveRank: number
  /** ‖T − M‖ / ‖T‖, recomputed from the factors (before they are rounded to float32). */
  readonly relativeError: number
  /** √(tr(E·C·Eᵀ) / tr(T·C·Tᵀ)) for E = T − M, with a `metric` only. */
  readonly outputError?: number
  /** The same of the plain solution that the refinement began with. */
  readonly outputErrorBefore?: number
  /** tr(T·C·Tᵀ), with a `metric` only. */
  readonly outputPower?: number
  readonly iterations: number
  /** One entry an outer iteration. */
  readonly trace: readonly NativeCpdTrace[]
  readonly stopReason: NativeCpdResult['stopReason']
  /**
   * Σ_n I_n Σ_r Π_{m≠n} ‖a_m,r‖²: the expected squared change of the model for unit noise on the factors (Phan et al.,
   * "Stable low-rank tensor decomposition for compression of convolutional neural network", 2020).
   */
  readonly sensitivity: number
  /** The same before the correction. */
  readonly sensitivityBefore: number
  /** Largest |cosine| between two components: near 1, they cancel each other. */
  readonly congruence: number
  /** Σ_r λ_r² */
  readonly componentNorm: number
  /** The seed of the winning restart. */
  readonly seed: number
  /** The relative error of each restart. */
  readonly restartErrors: readonly number[]
  /** With rank `{ error }`: what was tried, in order. */
  readonly ranksTried?: readonly { readonly rank: number; readonly relativeError: number }[]
}

const deadWeight = 1e-9

/**
 * Canonical polyadic decomposition of a float32 or float64 tensor of order 2 to 6:
 * T(i_1, …, i_N) ≈ Σ_r Π_n A_n(i_n, r), by the methods of Sorber, Van Barel and De Lathauwer, "Optimization-based
 * algorithms for tensor decompositions" (2013) for `nls`. Computes in float64 off the event loop.
 *
 * Throws `POLYADIC_ARGUMENT` for a bad option, `POLYADIC_SHAPE` for a tensor or factors that do not fit, and
 * `POLYADIC_NUMERIC` for values that are not finite; rejects with `signal.reason` when aborted.
 */
export async function cpd(tensor: Tensor, options: CpdOptions): Promise<CpdResult> {
  checkOptions(options, cpdOptions)
  const { rank } = options
  if (typeof rank !== 'object' || rank === null) return cpdOfRank(tensor, { ...options, rank })
  checkNames('rank', rank, { error: true })
  const bound = checkNumber('rank.error', rank.error, 0, 1)
  if (options.factors !== undefined) throw argumentError('factors', 'no value when the rank is searched', options.factors)
  return searchRank(tensor, bound, (candidate) => cpdOfRank(tensor, { ...options, rank: candidate }))
}

async function cpdOfRank(tensor: Tensor, options: CpdOptions & { readonly rank: number }): Promise<CpdResult> {
  const spec = nativeSpec(tensor, options)
  const restarts = checkRestarts(options, spec)
  options.signal?.throwIfAborted()
  const errors: number[] = []
  let best: NativeCpdResult | undefined
  let bestSeed = spec.seed
  for (let restart = 0; restart < restarts; restart++) {
    const seed = spec.seed + restart
    const report = options.onProgress
    const onProgress = report && ((iteration: number, relativeError: number) => report({ iteration, relativeError, restart }))
    const result = await runReporting((tell) => native().cpd({ ...spec, seed }, tell), onProgress, options.signal)
    errors.push(result.relativeError)
    if (best === undefined || merit(result, spec) < merit(best, spec)) {
      best = result
      bestSeed = seed
    }
  }
  return publicResult(best as NativeCpdResult, tensor, spec, bestSeed, errors)
}

// What restarts compete for.
function merit(result: NativeCpdResult, spec: NativeCpdSpec): number {
  return spec.covariance ? result.outputError : result.relativeError
}

function nativeSpec(tensor: Tensor, options: CpdOptions & { readonly rank: number }): NativeCpdSpec {
  const data = checkTensor(tensor)
  const rank = checkInteger('rank', options.rank, 1, 2 ** 31 - 1)
  const given = options.factors === undefined ? {} : { factors: givenFactors(options, tensor.dims, rank) }
  const metric = checkMetric(options, tensor.dims)
  const { restarts: _, init, ...numbers } = checkedOptions('', options, cpdInits)
  return {
    tensor: data,
    dims: [...tensor.dims],
    rank,
    ...numbers,
    init: options.factors === undefined ? init : 'given',
    ...given,
    ...metric
  }
}

// A float64 copy: the caller may go on writing to the tensor while native code reads.
function checkTensor(tensor: Tensor): Float64Array {
  if (tensor === null || typeof tensor !== 'object') throw argumentError('tensor', 'a tensor { dtype, dims, data }', tensor)
  const { dtype, dims, data } = tensor
  checkDims('tensor.dims', dims)
  if (dims.length < 2 || dims.length > 6) throw argumentError('tensor.dims', '2 to 6 dimensions', dims)
  if (dims.some((dim) => dim < 1)) throw argumentError('tensor.dims', 'positive dimensions', dims)
  const fits = (dtype === 'float32' || dtype === 'float64') && isDataOf(dtype, data)
  if (!fits) {
    throw new PolyadicError('POLYADIC_SHAPE', `tensor: expected float32 or float64 data, got ${show(dtype)} with ${show(data)}`, {
      subject: 'tensor'
    })
  }
  if (data.length !== elementCount(dims)) {
    throw new PolyadicError('POLYADIC_SHAPE', `tensor: dims ${show(dims)} hold ${elementCount(dims)} elements, got ${data.length}`, {
      subject: 'tensor'
    })
  }
  return checkFinite('tensor', Float64Array.from(data as Float32Array | Float64Array))
}

function checkFinite(name: string, values: Float64Array): Float64Array {
  const bad = values.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0)
    throw new PolyadicError('POLYADIC_NUMERIC', `${name}: expected finite values, element ${bad} is ${values[bad]}`, { subject: name })
  return values
}

function givenFactors(options: CpdOptions, dims: readonly number[], rank: number): Float64Array[] {
  const factors = options.factors as readonly Factor[]
  if (options.init !== undefined) throw argumentError('init', 'no value when `factors` are given', options.init)
  checkFactors('factors', factors)
  if (factors.length !== dims.length) throw argumentError('factors', `${dims.length} matrices, one a dimension`, factors)
  return factors.map((factor, n) => {
    if (factor.dims[0] !== dims[n] || factor.dims[1] !== rank) {
      throw new PolyadicError('POLYADIC_SHAPE', `factors[${n}]: expected dims [${dims[n]}, ${rank}], got ${show(factor.dims)}`, {
        subject: `factors[${n}]`
      })
    }
    return checkFinite(`factors[${n}]`, Float64Array.from(factor.data))
  })
}

// Not copied, large as it is: the caller leaves it alone until the promise settles.
function checkMetric({ metric, method, correction }: CpdOptions, dims: readonly number[]): { covariance?: Float64Array } {
  if (metric === undefined) return {}
  checkRecord('metric', metric, 'an object { covariance: Float64Array }')
  checkNames('metric', metric, { covariance: true })
  const covariance: unknown = metric.covariance
  if (!isDataOf('float64', covariance)) throw argumentError('metric', 'an object { covariance: Float64Array }', metric)
  if (method !== undefined && method !== 'nls') throw argumentError('metric', "no value unless method is 'nls'", metric)
  if (correction !== undefined && correction !== 'none') throw argumentError('correction', "'none' with a metric", correction)
  const size = elementCount(dims.slice(1))
  if (covariance.length !== size * size) {
    throw new PolyadicError('POLYADIC_SHAPE', `metric.covariance: expected ${size}×${size} elements, got ${covariance.length}`, {
      subject: 'metric.covariance'
    })
  }
  return { covariance: checkFinite('metric.covariance', covariance as Float64Array) }
}

function checkRestarts(options: CpdOptions, spec: NativeCpdSpec): number {
  const { restarts } = checkedOptions('', options, cpdInits)
  const seeded = spec.init !== 'given' && spec.init !== 'gevd' && spec.method !== 'greedy' && spec.dims.length > 2
  if (restarts > 1 && !seeded)
    throw argumentError('restarts', '1 where nothing is random (given factors, gevd, greedy, a matrix)', restarts)
  if (spec.seed + restarts - 1 > maxSeed)
    throw argumentError('seed', `at most ${maxSeed - restarts + 1} with ${restarts} restarts`, spec.seed)
  return restarts
}

function publicResult(
  result: NativeCpdResult,
  tensor: Tensor,
  spec: NativeCpdSpec,
  seed: number,
  restartErrors: readonly number[]
): CpdResult {
  const factors = result.factors.map(
    (data, n): Factor => ({
      data: tensor.dtype === 'float32' ? Float32Array.from(data) : data,
      dims: [spec.dims[n] as number, spec.rank]
    })
  )
  const weights = componentWeights(factors)
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0)
  const { relativeError, iterations, trace, stopReason, sensitivity, sensitivityBefore, congruence, componentNorm } = result
  const { outputError, outputErrorBefore, outputPower } = result
  return {
    factors,
    weights,
    effectiveRank: weights.filter((weight) => weight > deadWeight * largest).length,
    relativeError,
    ...(spec.covariance && { outputError, outputErrorBefore, outputPower }),
    iterations,
    trace,
    stopReason,
    sensitivity,
    sensitivityBefore,
    congruence,
    componentNorm,
    seed,
    restartErrors
  }
}
