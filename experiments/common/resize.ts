import type { CharacterSet } from '../../examples/charnet/dataset.js'
import { patch } from '../../examples/charnet/architecture.js'

const made = new WeakMap<CharacterSet, Map<number, CharacterSet>>()

/** The same characters as count × 1 × side × side, by bilinear interpolation: larger pictures, not more detail. */
export function resized(set: CharacterSet, side: number): CharacterSet {
  const known = made.get(set) ?? new Map<number, CharacterSet>()
  made.set(set, known)
  const result = known.get(side) ?? resize(set, side)
  known.set(side, result)
  return result
}

function resize({ images, labels, count }: CharacterSet, side: number): CharacterSet {
  const steps = Array.from({ length: side }, (_, i) => step(i, side))
  const larger = new Float32Array(count * side * side)
  for (let n = 0; n < count; n++) {
    const from = images.subarray(n * patch * patch, (n + 1) * patch * patch)
    const at = (y: number, x: number): number => from[y * patch + x] as number
    let to = n * side * side
    for (const y of steps)
      for (const x of steps) {
        const above = at(y.low, x.low) * (1 - x.part) + at(y.low, x.high) * x.part
        const below = at(y.high, x.low) * (1 - x.part) + at(y.high, x.high) * x.part
        larger[to++] = above * (1 - y.part) + below * y.part
      }
  }
  return { images: larger, labels, count }
}

/** Where output pixel i lies between two input pixels, centres aligned, edges repeated. */
function step(i: number, side: number): { low: number; high: number; part: number } {
  const place = Math.min(patch - 1, Math.max(0, ((i + 0.5) * patch) / side - 0.5))
  const low = Math.floor(place)
  return { low, high: Math.min(patch - 1, low + 1), part: place - low }
}
