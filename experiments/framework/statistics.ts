/** The mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Half of what lies between the smallest and the largest: with three seeds more honest than a standard deviation. */
export function halfRange(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : (Math.max(...values) - Math.min(...values)) / 2
}

/** `89.61 ± 0.12 %`, the mean and half of the range; without a spread of one value. */
export function spread(values: readonly number[], digits = 2, unit = ' %'): string {
  if (values.length === 0) return '-'
  const text = mean(values).toFixed(digits)
  return values.length === 1 ? `${text}${unit}` : `${text} ± ${halfRange(values).toFixed(digits)}${unit}`
}

/** Values by a key, in the order in which keys first appear. */
export function groupBy<T>(values: readonly T[], key: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) groups.set(key(value), [...(groups.get(key(value)) ?? []), value])
  return groups
}
