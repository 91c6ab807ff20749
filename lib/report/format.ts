/** Numbers as people read them; one home, so that a table, a chart and a log line never disagree. */

/** Three significant digits with a thousands prefix: 35960000 → `36.0 M`, 512 → `512`. */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const [divisor, prefix] = Math.abs(value) >= 999.5e6 ? [1e9, ' G'] : Math.abs(value) >= 999.5e3 ? [1e6, ' M'] : [1e3, ' k']
  if (Math.abs(value) < 10_000) return String(Math.round(value * 100) / 100)
  return `${significant(value / divisor, 3)}${prefix}`
}

/** Milliseconds with three significant digits: 0.01234 → `0.0123`, 12.345 → `12.3`, 1234.5 → `1235`. */
export function formatMilliseconds(value: number): string {
  return Number.isFinite(value) ? significant(value, 3) : '-'
}

/** A percentage that is already in percent: 91.234 → `91.23 %`. */
export function formatPercent(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)} %` : '-'
}

/** A ratio: 9.637 → `9.64×`. */
export function formatRatio(value: number): string {
  return Number.isFinite(value) ? `${significant(value, 3)}×` : '-'
}

/** How many fewer there are than before, or more: `9.64× fewer`, `1.03× more`, `243 more` where that is next to nothing, `as many as before`. */
export function formatChange(before: number, after: number): string {
  if (!(before > 0 && after > 0)) return '-'
  if (before === after) return 'as many as before'
  const word = before > after ? 'fewer' : 'more'
  const ratio = Math.max(before / after, after / before)
  return ratio < 1.005 ? `${formatCount(Math.abs(after - before))} ${word}` : `${formatRatio(ratio)} ${word}`
}

/** The same of a time: `9.64× faster`, `1.03× slower`. */
export function formatSpeed(beforeMs: number, afterMs: number): string {
  if (!(Number.isFinite(beforeMs) && Number.isFinite(afterMs))) return '-'
  return beforeMs >= afterMs ? `${formatRatio(beforeMs / afterMs)} faster` : `${formatRatio(afterMs / beforeMs)} slower`
}

/** `value` with at least `digits` significant digits and no exponent; whole digits are never dropped. */
export function significant(value: number, digits: number): string {
  if (value === 0) return '0'
  const magnitude = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))))
  return value.toFixed(Math.min(20, Math.max(0, digits - 1 - magnitude)))
}

/** Seconds as a clock: 75 → `1:15`, 3675 → `1:01:15`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}
