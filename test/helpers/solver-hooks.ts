import { native } from '../../lib/native/binding.js'

interface Model {
  readonly dims: readonly number[]
  readonly rank: number
  readonly factors: Float64Array
}

/** Single pieces of the native solver (native/binding/cpd_test_binding.cpp). Factors lie one behind the other. */
export interface CpdTestHooks {
  gemm(spec: {
    m: number
    n: number
    k: number
    a: Float64Array
    b: Float64Array
    transposeA: boolean
    transposeB: boolean
    threads: number
  }): Float64Array
  mttkrp(spec: Model & { readonly tensor: Float64Array; readonly packed: boolean; readonly threads: number }): Float64Array
  /** Seconds of the two products of a gradient, the least of `rounds`. */
  productSeconds(spec: {
    readonly dims: readonly number[]
    readonly rank: number
    readonly threads: number
    readonly rounds: number
  }): number
  gradient(spec: Model & { readonly tensor: Float64Array; readonly ridge: number }): Float64Array
  jacobianProduct(spec: Model & { readonly direction: Float64Array }): Float64Array
  eigen(spec: { n: number; a: Float64Array }): [values: Float64Array, vectors: Float64Array]
}

export function cpdTest(): CpdTestHooks {
  return (native() as unknown as { readonly cpdTest: CpdTestHooks }).cpdTest
}
