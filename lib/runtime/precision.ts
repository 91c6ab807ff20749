import { argumentError } from '../errors.js'
import { cpu } from './cpu.js'

/** What convolutions, matrix products and CP blocks compute in; sums are float32 in both. */
export type Precision = 'f32' | 'bf16'

/** A precision, or `auto`: bf16 where this processor has it and the network runs faster in it. */
export type PrecisionChoice = Precision | 'auto'

/** What a plan computes in, and why when that is not what was asked for. */
export interface UsedPrecision {
  readonly precision: Precision
  readonly reason?: string
}

export const precisionChoices = ['f32', 'bf16', 'auto'] as const

export function checkPrecision(value: unknown): PrecisionChoice {
  if (precisionChoices.includes(value as PrecisionChoice)) return value as PrecisionChoice
  throw argumentError('precision', "'f32', 'bf16' or 'auto'", value)
}

/** What this machine can use of what was asked for; `undefined`: a measurement has to tell. */
export function usable(wanted: PrecisionChoice): UsedPrecision | undefined {
  if (wanted === 'f32') return { precision: 'f32' }
  const { bf16, bf16Reason } = cpu()
  if (bf16 === undefined) return { precision: 'f32', reason: `no bf16: ${bf16Reason}` }
  return wanted === 'bf16' ? { precision: 'bf16' } : undefined
}
