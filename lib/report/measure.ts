import { definedOnly } from '../options.js'

/** One of several things whose times are compared. */
export interface Candidate {
  readonly name: string
  readonly run: () => unknown
  /** Milliseconds of one of so many runs, where the candidate takes the time itself: one in another process. */
  readonly time?: (runs: number) => Promise<number>
}

export interface MeasureOptions {
  /** Samples of each candidate. */
  readonly runs?: number
  /** A sample repeats a short run until it lasts this long, so that each candidate runs from its own caches, not from what the one before left. */
  readonly sampleMs?: number
  /**
   * Milliseconds for which a candidate runs before each of its samples without counting; default 0. Runtimes with several threads keep theirs
   * spinning for a while after a run, on the cores of whoever comes next. A rest would end that as well, but processors are slow after one.
   */
  readonly settleMs?: number
  /** Runs of each candidate before anything counts. */
  readonly warmup?: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

export interface Measured {
  readonly name: string
  /** Milliseconds of one run: the median of the samples. */
  readonly medianMs: number
  readonly samplesMs: readonly number[]
}

const defaults = { runs: 15, sampleMs: 40, settleMs: 0, warmup: 2 } as const

/**
 * Times candidates in turn, round after round, so that a machine that slows down for a while slows all of them; each
 * round begins with another one. Compare the medians, and only within one call.
 */
export async function measureInterleaved(candidates: readonly Candidate[], options: MeasureOptions = {}): Promise<Measured[]> {
  const { runs, sampleMs, settleMs, warmup, signal, onProgress } = { ...defaults, ...definedOnly(options) }
  const repeats: number[] = []
  for (const candidate of candidates) repeats.push(await calibrate(candidate, warmup, sampleMs))
  const samples = candidates.map((): number[] => [])
  for (let round = 0; round < runs; round++) {
    for (let turn = 0; turn < candidates.length; turn++) {
      signal?.throwIfAborted()
      const i = (round + turn) % candidates.length
      const [candidate, count] = [candidates[i], repeats[i]]
      if (!candidate || !count) continue
      if (settleMs > 0) {
        const settled = performance.now() + settleMs
        while (performance.now() < settled) await time(candidate, 1)
      }
      samples[i]?.push(await time(candidate, count))
    }
    onProgress?.(round + 1, runs)
  }
  return candidates.map(({ name }, i) => ({ name, medianMs: median(samples[i] ?? []), samplesMs: samples[i] ?? [] }))
}

/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

async function calibrate(candidate: Candidate, warmup: number, sampleMs: number): Promise<number> {
  for (let i = 0; i < warmup; i++) await candidate.run()
  const once = Math.min(await time(candidate, 1), await time(candidate, 1))
  return Math.min(1000, Math.max(1, Math.ceil(sampleMs / Math.max(once, 1e-4))))
}

async function time(candidate: Candidate, repeats: number): Promise<number> {
  if (candidate.time !== undefined) return candidate.time(repeats)
  const start = performance.now()
  for (let i = 0; i < repeats; i++) await candidate.run()
  return (performance.now() - start) / repeats
}
