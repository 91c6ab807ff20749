import { performance } from 'node:perf_hooks'
import { argumentError } from '../errors.js'
import { cpu } from './cpu.js'

/** What convolutions, matrix products and CP blocks compute in; sums are float32 in both. */
export type Precision = 'f32' | 'bf16'

/** A precision, or `auto`: bf16 where this processor has it and the network runs faster in it. */
export type PrecisionChoice = Precision | 'auto'

/** What a session computes in, and why when that is not what was asked for. */
export interface UsedPrecision {
  readonly precision: Precision
  readonly reason?: string
}

export function checkPrecision(value: unknown): PrecisionChoice {
  if (value === 'f32' || value === 'bf16' || value === 'auto') return value
  throw argumentError('precision', "'f32', 'bf16' or 'auto'", value)
}

/** What can be used of what was asked for; `undefined`: a measurement has to tell. */
export function usable(wanted: PrecisionChoice): UsedPrecision | undefined {
  if (wanted === 'f32') return { precision: 'f32' }
  const { bf16, bf16Reason } = cpu()
  if (bf16 === undefined) return { precision: 'f32', reason: `no bf16: ${bf16Reason}` }
  return wanted === 'bf16' ? { precision: 'bf16' } : undefined
}

const defaults = { rounds: 7, budgetMs: 300 }

/**
 * Which of two candidates is faster: yields the one to run next and is resumed when it has run. Each runs once unmeasured, then both in turn
 * while the time allows; their fastest runs are compared.
 */
export function* trial(): Generator<0 | 1, 0 | 1, void> {
  const fastest: [number, number] = [Infinity, Infinity]
  const begin = performance.now()
  for (let round = 0; round <= defaults.rounds; round++) {
    for (const candidate of [0, 1] as const) {
      const start = performance.now()
      yield candidate
      if (round > 0) fastest[candidate] = Math.min(fastest[candidate], performance.now() - start)
    }
    if (round > 0 && performance.now() - begin > defaults.budgetMs) break
  }
  return fastest[1] < fastest[0] ? 1 : 0
}
