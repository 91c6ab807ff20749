/** Maps data to pixels, with ticks at round values. */
export interface Scale {
  readonly map: (value: number) => number
  readonly ticks: readonly Tick[]
  /** The ends after rounding outwards to ticks. */
  readonly domain: readonly [number, number]
}

export interface Tick {
  readonly value: number
  readonly label: string
}

/** A linear axis whose ends are rounded outwards to multiples of 1, 2 or 5 times a power of ten. */
export function linearScale(low: number, high: number, range: readonly [number, number], wanted = 6): Scale {
  const span = high > low ? high - low : Math.abs(high) || 1
  const step = roundStep(span / Math.max(1, wanted - 1))
  const first = Math.floor(low / step + 1e-9)
  const last = Math.max(first + 1, Math.ceil((high > low ? high : low + span) / step - 1e-9))
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    const value = Number(((first + i) * step).toFixed(decimals))
    return { value, label: value.toFixed(decimals) }
  })
  const domain = [first * step, last * step] as const
  return { domain, ticks, map: interpolate(domain, range, (x) => x) }
}

/** A logarithmic axis from power of ten to power of ten; with fewer than two decades also 2 and 5 times each. */
export function logScale(low: number, high: number, range: readonly [number, number], wanted = 6): Scale {
  if (!(low > 0) || !(high >= low)) throw new RangeError(`logScale: needs 0 < low <= high, got ${low} and ${high}`)
  if (Math.log10(high / low) < 1.5) return narrowLogScale(low, high, range)
  const first = Math.floor(Math.log10(low) + 1e-9)
  const last = Math.max(first + 1, Math.ceil(Math.log10(high) - 1e-9))
  const stride = Math.max(1, Math.ceil((last - first) / wanted))
  const ticks: Tick[] = []
  for (let power = first; power <= last; power += stride) ticks.push({ value: 10 ** power, label: powerLabel(power) })
  const domain = [10 ** first, 10 ** last] as const
  return { domain, ticks, map: interpolate(domain, range, Math.log10) }
}

// Less than a decade and a half: ticks at 1, 2, 3, 5, 7 times a power of ten; below a factor of 2, those of a linear axis.
function narrowLogScale(low: number, high: number, range: readonly [number, number]): Scale {
  const linear = linearScale(low, high, range).ticks.filter(({ value }) => value > 0)
  const ticks = high / low < 2 && linear.length > 1 && (linear[0]?.value ?? high) <= low ? linear : digitTicks(low, high)
  const domain = [ticks[0]?.value ?? low, ticks.at(-1)?.value ?? high] as const
  return { domain, ticks, map: interpolate(domain, range, Math.log10) }
}

function digitTicks(low: number, high: number): Tick[] {
  const from = Math.floor(Math.log10(low)) - 1
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - from + 2 }, (_, i) => from + i)
  const candidates = powers.flatMap((power) => [1, 2, 3, 5, 7].map((digit) => Number(`${digit}e${power}`)))
  const begin = candidates.findLastIndex((value) => value <= low * (1 + 1e-9))
  const reached = candidates.findIndex((value) => value >= high * (1 - 1e-9))
  return candidates.slice(begin, Math.max(begin + 1, reached) + 1).map((value) => ({ value, label: plainLabel(value) }))
}

function interpolate(domain: readonly [number, number], range: readonly [number, number], warp: (x: number) => number): Scale['map'] {
  const [from, to] = [warp(domain[0]), warp(domain[1])]
  return (value) => range[0] + ((warp(value) - from) / (to - from)) * (range[1] - range[0])
}

function roundStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw))
  const digit = raw / power
  return (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10) * power
}

const superscripts = '⁰¹²³⁴⁵⁶⁷⁸⁹'

function powerLabel(power: number): string {
  if (power >= -3 && power <= 3) return plainLabel(10 ** power)
  const digits = [...String(Math.abs(power))].map((digit) => superscripts[Number(digit)]).join('')
  return `10${power < 0 ? '⁻' : ''}${digits}`
}

function plainLabel(value: number): string {
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential().replace('e+', 'e')
  return String(Number(value.toPrecision(6)))
}
