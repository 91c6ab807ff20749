// The options that `cpd` and `compress` share: their defaults and their bounds.
import { checkNames, checkRecord } from '../arguments.js'
import { argumentError, checkChoice, checkInteger, checkNumber } from '../errors.js'
import { definedOnly } from '../options.js'
import type { CpdOptions } from './cpd.js'

export type CpdMethod = 'nls' | 'als' | 'greedy'

/** Where the iterations begin, unless factors are given. */
export type CpdInit = 'random' | 'svd' | 'gevd'

export const cpdMethods: readonly CpdMethod[] = ['nls', 'als', 'greedy']
export const cpdInits: readonly CpdInit[] = ['random', 'svd', 'gevd']
export const maxSeed = 2 ** 53 - 1

const defaults = {
  method: 'nls',
  init: 'random',
  restarts: 1,
  seed: 0,
  maxIterations: 200,
  tolerance: 1e-5,
  ridge: 1e-4,
  correction: 'none',
  threads: 1
} as const

const epcDefault = 1.005

export type SharedOptions = Pick<
  CpdOptions,
  'method' | 'init' | 'restarts' | 'seed' | 'maxIterations' | 'tolerance' | 'ridge' | 'maxWeight' | 'correction' | 'threads'
>

/** The options as native code takes them. */
export interface CheckedOptions {
  readonly method: CpdMethod
  readonly init: CpdInit
  readonly restarts: number
  readonly seed: number
  readonly maxIterations: number
  readonly tolerance: number
  readonly ridge: number
  /** 0: none */
  readonly maxWeight: number
  /** Allowed growth of the error; 0: no correction */
  readonly correction: number
  readonly threads: number
}

/** Defaults filled in. Throws POLYADIC_ARGUMENT naming the option (with `prefix`) that is out of range. */
export function checkedOptions(prefix: string, options: SharedOptions, inits: readonly CpdInit[]): CheckedOptions {
  const { method, init, restarts, seed, maxIterations, tolerance, ridge, correction, threads } = { ...defaults, ...definedOnly(options) }
  return {
    method: checkChoice(`${prefix}method`, method, cpdMethods),
    init: checkChoice(`${prefix}init`, init, inits),
    restarts: checkInteger(`${prefix}restarts`, restarts, 1, 10_000),
    seed: checkInteger(`${prefix}seed`, seed, 0, maxSeed),
    maxIterations: checkInteger(`${prefix}maxIterations`, maxIterations, 1),
    tolerance: checkNumber(`${prefix}tolerance`, tolerance, 0, 1),
    ridge: checkNumber(`${prefix}ridge`, ridge, 0, 1e6),
    maxWeight: maxWeightOf(`${prefix}maxWeight`, options.maxWeight, method),
    correction: correctionFactor(`${prefix}correction`, correction),
    threads: checkInteger(`${prefix}threads`, threads, 1, 1024)
  }
}

function maxWeightOf(name: string, maxWeight: number | undefined, method: CpdMethod): number {
  if (maxWeight === undefined) return 0
  if (method !== 'nls') throw argumentError(name, "no value unless method is 'nls'", maxWeight)
  return checkNumber(name, maxWeight, Number.MIN_VALUE, 1e12)
}

function correctionFactor(name: string, correction: NonNullable<CpdOptions['correction']>): number {
  if (correction === 'none') return 0
  if (correction === 'epc') return epcDefault
  checkRecord(name, correction, "'none', 'epc' or { epc: 1.005 }")
  checkNames(name, correction, { epc: true })
  return checkNumber(`${name}.epc`, correction.epc, 1, 10)
}
