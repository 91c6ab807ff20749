/** Those of `known` that somebody may have meant by `typed`, the nearest first; none where nothing is near. */
export function nearest(typed: string, known: readonly string[], most = 3): string[] {
  const word = typed.toLowerCase()
  return known
    .map((name) => ({ name, distance: distanceOf(word, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(1, Math.floor(word.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ name }) => name)
}

/** `; did you mean "conv1", "conv2" or "conv3"?`, or nothing. */
export function didYouMean(names: readonly string[]): string {
  if (names.length === 0) return ''
  return `; did you mean ${[names.slice(0, -1).join(', '), names.at(-1)].filter((part) => part !== '').join(' or ')}?`
}

/** Characters to insert, delete, replace or swap with their neighbour; half a one where one text holds the other. */
function distanceOf(a: string, b: string): number {
  if (a.length >= 3 && b.length >= 3 && (a.includes(b) || b.includes(a))) return Math.min(0.5, edits(a, b))
  return edits(a, b)
}

function edits(a: string, b: string): number {
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      let least = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] as number) + 1)
      next.push(least)
    }
    ;[before, row] = [row, next]
  }
  return row[b.length] as number
}
