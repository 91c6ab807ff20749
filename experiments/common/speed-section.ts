import { formatMilliseconds, formatRatio } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import { float32Runtimes, type Timing } from './latency.js'

/** The times of one batch size. */
export interface TimedBatch {
  readonly batch: number
  readonly timings: readonly Timing[]
}

/** How many times as fast as the dense network in the fastest float32 engine polyadic runs a network; NaN where either was not timed. */
export function speedUpOf(name: string, { timings }: TimedBatch): number {
  const ours = timings.find((one) => one.name === name && one.runtime === 'polyadic')
  return fastestDenseMs(timings) / (ours?.ms ?? Number.NaN)
}

/** The dense network in whichever engine runs it fastest in float32. */
export function fastestDense(timings: readonly Timing[]): Timing | undefined {
  const dense = timings.filter(({ name, runtime }) => name === 'dense' && float32Runtimes.includes(runtime))
  return dense.reduce<Timing | undefined>((a, b) => (a !== undefined && a.ms <= b.ms ? a : b), undefined)
}

export function fastestDenseMs(timings: readonly Timing[]): number {
  return fastestDense(timings)?.ms ?? Number.NaN
}

/** Every network in every runtime; `title`: what the names of networks are. No section without times. */
export function speedSection(title: string, batches: readonly TimedBatch[]): Section[] {
  const rows = batches.flatMap(({ batch, timings }) => {
    const fastest = fastestDenseMs(timings)
    return timings.map(({ name, runtime, version, ms }) => [
      name,
      `${runtime} ${version}`.trim(),
      String(batch),
      formatMilliseconds(ms / batch),
      formatRatio(fastest / ms)
    ])
  })
  if (rows.length === 0) return []
  const numbers = ['batch', 'ms an image', '× fastest dense float32']
  return [
    {
      kind: 'table',
      heading: 'Speed',
      columns: [{ title }, { title: 'runtime' }, ...numbers.map((number) => ({ title: number, align: 'right' as const }))],
      rows
    }
  ]
}
