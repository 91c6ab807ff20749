/** A stream of numbers that depends on its seed only: the same on every machine. */
export interface Random {
  /** Uniform in [0, 1), 32 bits of it. */
  next(): number
  /** Standard normal. */
  normal(): number
}

/** Mulberry32: 32 bits at a time of a period of 2³², from any 32-bit state; integer steps only, so it is exact everywhere. */
export function mulberry32(state: number): () => number {
  let at = state | 0
  return () => {
    at = (at + 0x6d2b79f5) | 0
    return scramble(at) >>> 0
  }
}

/** Mulberry32 with a scrambled start, so that neighbouring seeds give unrelated streams. */
export function random(seed: number, stream = 0): Random {
  const bits = mulberry32(scramble(scramble(seed >>> 0) ^ Math.imul(stream + 1, 0x9e3779b9)))
  const next = (): number => bits() / 4294967296
  // Box–Muller; 1 − u is never 0.
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return { next, normal }
}

/** 0 … count − 1 in random order (Fisher–Yates). */
export function permutation(count: number, source: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(source.next() * (i + 1))
    const moved = order[i] as number
    order[i] = order[j] as number
    order[j] = moved
  }
  return order
}

function scramble(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return (t ^ (t >>> 14)) | 0
}
