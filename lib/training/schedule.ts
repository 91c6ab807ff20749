import { argumentError, checkChoice, checkNumber } from '../errors.js'

/** A factor on the base learning rate as a function of progress through training, from 0 (first step) towards 1. */
export type Schedule = (progress: number) => number

/** Lower the rate when the validation loss (without one: the training loss) has not become better for `patience` epochs. */
export interface Plateau {
  /** On the learning rate; default 0.1. */
  readonly factor: number
  /** Default 2. */
  readonly patience: number
}

export type ScheduleName = 'constant' | 'step' | 'cosine' | 'one-cycle'
const names: readonly ScheduleName[] = ['constant', 'step', 'cosine', 'one-cycle']

export interface ScheduleOptions {
  /** Part of the training that warms up linearly from a tenth of the rate; default 0, and 0.3 for `one-cycle`. */
  readonly warmUp?: number
}

/** `one-cycle` starts at 1/25 of the rate and ends at 1/10,000 of that. */
const oneCycle = { start: 1 / 25, end: 1 / 250_000, warmUp: 0.3 } as const

const shapes: Readonly<Record<ScheduleName, (progress: number) => number>> = {
  constant: () => 1,
  // A tenth after half of the training, a hundredth after three quarters.
  step: (progress) => (progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01),
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  'one-cycle': (progress) => between(1, oneCycle.end, progress)
}

/**
 * Makes a schedule: `constant`; `step`, ÷10 at 50 % and at 75 %; `cosine`, down to 0; `one-cycle`, up by a cosine over the
 * warm-up and down by another; or a function of one's own. Throws POLYADIC_ARGUMENT for any other.
 */
export function makeSchedule(schedule: ScheduleName | Schedule = 'cosine', options: ScheduleOptions = {}): Schedule {
  if (typeof schedule === 'function') return checked(schedule)
  const name = checkChoice('schedule', schedule, names)
  const warmUp = checkNumber('warmUp', options.warmUp ?? (name === 'one-cycle' ? oneCycle.warmUp : 0), 0, 1)
  const start = name === 'one-cycle' ? oneCycle.start : 0.1
  const rise = name === 'one-cycle' ? between : linear
  return (progress) => {
    if (progress < warmUp) return rise(start, 1, progress / warmUp)
    return shapes[name](warmUp === 1 ? 1 : Math.min(1, (progress - warmUp) / (1 - warmUp)))
  }
}

function checked(schedule: Schedule): Schedule {
  return (progress) => {
    const factor = schedule(progress)
    if (typeof factor === 'number' && Number.isFinite(factor) && factor >= 0) return factor
    throw argumentError('schedule', `a function that returns a finite number of at least 0 (at progress ${progress})`, factor)
  }
}

function linear(from: number, to: number, t: number): number {
  return from + (to - from) * t
}

// Half a cosine.
function between(from: number, to: number, t: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * t))) / 2
}
