// A small generator of pseudo-random numbers that is exact on every machine: integer steps and IEEE division only.

import { mulberry32 } from '../../lib/random.js'

/** Mulberry32 (passes gjrand); its period of 2³² is ample for one image. */
export class Random {
  /** 0…2³² − 1. */
  readonly bits: () => number

  /** Every combination of the parts gives a stream of its own. */
  constructor(...parts: readonly number[]) {
    let hash = 0x9e3779b9
    for (const part of parts) hash = mix(hash ^ mix(part | 0))
    this.bits = mulberry32(hash)
  }

  /** [0, 1). */
  unit(): number {
    return this.bits() / 4294967296
  }

  /** [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.unit()
  }

  /** (−reach, reach), more often near zero: the mean of two uniform draws. */
  around(reach: number): number {
    return reach * (this.unit() - this.unit())
  }

  /** 0…n − 1. */
  below(n: number): number {
    return Math.floor(this.unit() * n)
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  /** Nearly normal with mean 0 and deviation 1, from one draw: the sum of its four bytes. */
  normal(): number {
    const b = this.bits()
    return ((b & 255) + ((b >>> 8) & 255) + ((b >>> 16) & 255) + (b >>> 24) - 510) / 147.8
  }
}

/** Finaliser of MurmurHash3 with an added constant, so that 0 does not stay 0. */
function mix(x: number): number {
  let h = (x + 0x7f4a7c15) | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
