import { PolyadicError } from '../errors.js'
import type { NativeStepResult, NativeTrainer } from '../native/binding.js'
import { giveState, takeState, type TrainerState } from './state.js'

/** A trainer at one moment, and the lowest smoothed loss by then. */
interface Snapshot {
  readonly step: number
  readonly lowest: number
  readonly state: TrainerState
}

/** All that a guard knows, for checkpoints. */
export interface GuardState {
  readonly older: Snapshot
  readonly newer: Snapshot
  readonly sum: number
  readonly weight: number
  readonly seen: number
  readonly lowest: number
  readonly rateScale: number
  readonly rollbacks: readonly Rollback[]
}

/** One return to earlier weights because training had diverged. */
export interface Rollback {
  /** The step that showed it, and the one whose weights were taken again (0: those at the start). */
  readonly step: number
  readonly toStep: number
  readonly reason: 'not-finite' | 'loss-spike'
  readonly loss: number
  /** Factor on the learning rate from here on. */
  readonly rateScale: number
}

export interface GuardOptions {
  readonly classes: number
  /** How many rollbacks are tried before POLYADIC_NUMERIC. */
  readonly maxRollbacks: number
  /** How many times its best the smoothed loss may become before it counts as a spike; Infinity switches that off. */
  readonly spikeFactor: number
}

/** Memory of the smoothed loss, and the steps after which it is trusted as a new low. */
const smoothing = 0.9
const settled = 10
/** Weights that are this young when training diverges may already be spoilt. */
const youngest = 20

/**
 * Watches the loss, and takes training back to the last good weights and momentum at half the rate when it is no longer
 * finite or far above what it was. Keeps two snapshots, as the newest may have been taken on the way down.
 */
export class DivergenceGuard {
  readonly rollbacks: Rollback[] = []
  rateScale = 1
  #older: Snapshot
  #newer: Snapshot
  #sum = 0
  #weight = 0
  #seen = 0
  #lowest = Infinity

  readonly #trainer: NativeTrainer
  readonly #options: GuardOptions

  constructor(trainer: NativeTrainer, options: GuardOptions) {
    this.#trainer = trainer
    this.#options = options
    this.#older = this.#newer = takeSnapshot(trainer, 0, Infinity)
  }

  save(): GuardState {
    const [older, newer, sum, weight, seen, lowest] = [this.#older, this.#newer, this.#sum, this.#weight, this.#seen, this.#lowest]
    return { older, newer, sum, weight, seen, lowest, rateScale: this.rateScale, rollbacks: [...this.rollbacks] }
  }

  restore(saved: GuardState): void {
    this.#older = saved.older
    this.#newer = saved.newer
    this.#sum = saved.sum
    this.#weight = saved.weight
    this.#seen = saved.seen
    this.#lowest = saved.lowest
    this.rateScale = saved.rateScale
    this.rollbacks.splice(0, Infinity, ...saved.rollbacks)
  }

  /** Judges a step's result: `undefined` when all is well. Throws POLYADIC_NUMERIC when rollbacks do not help. */
  inspect(step: number, result: NativeStepResult, learningRate: number): Rollback | undefined {
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradientNorm))
      return this.rollBack(step, 'not-finite', result.loss, learningRate)
    this.#sum = smoothing * this.#sum + (1 - smoothing) * result.loss
    this.#weight = smoothing * this.#weight + (1 - smoothing)
    if (this.#seen++ === 0 && this.#lowest === Infinity) this.#lowest = result.loss
    const average = this.#sum / this.#weight
    if (average > this.#limit()) return this.rollBack(step, 'loss-spike', result.loss, learningRate)
    if (this.#seen >= settled) this.#lowest = Math.min(this.#lowest, average)
    return undefined
  }

  /** Remembers the weights of now as good, unless the loss is on its way up. */
  snapshot(step: number): void {
    if (this.#seen === 0 || this.#sum / this.#weight > 1.5 * this.#lowest + 0.1 * this.#chance) return
    this.#older = this.#newer
    this.#newer = takeSnapshot(this.#trainer, step, this.#lowest)
  }

  rollBack(step: number, reason: Rollback['reason'], loss: number, learningRate: number): Rollback {
    const { maxRollbacks } = this.#options
    if (this.rollbacks.length >= maxRollbacks) {
      throw new PolyadicError(
        'POLYADIC_NUMERIC',
        `training diverged at step ${step} (loss ${loss}, learning rate ${learningRate}) and ${maxRollbacks} rollbacks at half the rate each did not help; ` +
          'try a smaller learningRate or clipNorm, or a decomposition with a ridge or correction',
        { subject: 'learningRate' }
      )
    }
    if (step - this.#newer.step < youngest) this.#newer = this.#older
    this.rateScale /= 2
    giveState(this.#trainer, this.#newer.state)
    this.#sum = this.#weight = this.#seen = 0
    this.#lowest = this.#newer.lowest
    const rollback = { step, toStep: this.#newer.step, reason, loss, rateScale: this.rateScale }
    this.rollbacks.push(rollback)
    return rollback
  }

  // Loss of a guess: what a network that knows nothing has.
  get #chance(): number {
    return Math.log(this.#options.classes)
  }

  // Half of a guess' loss is the leeway of a net that is nearly right on noisy batches; a collapse to guessing is above it.
  #limit(): number {
    return this.#options.spikeFactor * Math.max(this.#lowest, 0.1 * this.#chance) + 0.5 * this.#chance
  }
}

function takeSnapshot(trainer: NativeTrainer, step: number, lowest: number): Snapshot {
  return { step, lowest, state: takeState(trainer) }
}
