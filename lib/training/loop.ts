import { performance } from 'node:perf_hooks'
import { PolyadicError } from '../errors.js'
import type { NativeOptimiser, NativeTrainer } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import { type BatchLayout, type BatchSource, type FullBatch, fullBatches } from './batches.js'
import type { DivergenceGuard, GuardState, Rollback } from './guard.js'
import type { Objective } from './objective.js'
import { prefetched } from './prefetch.js'
import { random } from '../random.js'
import type { Plateau, Schedule } from './schedule.js'
import { finalWeights, giveState, takeState, type TrainerState } from './state.js'

/** How well a network does on examples. */
export interface Evaluation {
  /** Part of the examples whose largest logit is the target (without labels: the teacher's largest); NaN for `mean-squared`, where nothing is right or wrong. */
  readonly accuracy: number
  /** Mean loss, without label smoothing: cross-entropy, squared error or the divergence from the teacher. */
  readonly loss: number
  readonly count: number
}

export interface TrainingEvent {
  /** From 1. */
  readonly epoch: number
  /** Steps done so far, and in all where that is known. */
  readonly step: number
  readonly steps: number | undefined
  /** Of this step's batch, before its update. */
  readonly loss: number
  /** Over the epoch so far. */
  readonly accuracy: number
  readonly learningRate: number
  /** On the last event of an epoch, when there is a validation set. */
  readonly validation?: Evaluation
  /** When this step made training go back. */
  readonly rollback?: Rollback
}

export interface EpochRecord {
  /** From 1. */
  readonly epoch: number
  /** Steps done by the end of this epoch. */
  readonly steps: number
  /** Mean over the epoch's batches, each before its update. */
  readonly loss: number
  readonly accuracy: number
  /** Of the epoch's last step. */
  readonly learningRate: number
  readonly validation: Evaluation | undefined
  readonly rollbacks: readonly Rollback[]
  readonly seconds: number
}

export interface LoopSettings {
  readonly epochs: number
  /** Infinity when only epochs count. */
  readonly steps: number
  /** A cap on an epoch's steps, and how many are expected for the schedule. */
  readonly stepsPerEpoch: number | undefined
  readonly expectedStepsPerEpoch: number | undefined
  readonly schedule: Schedule
  readonly plateau: Plateau | undefined
  readonly optimiser: NativeOptimiser
  readonly seed: number
  /** The guard remembers the weights at every epoch's end and after so many steps. */
  readonly snapshotEvery: number
  /** Writes a checkpoint after every so many steps and at every epoch's end. */
  readonly checkpoint: { readonly everySteps: number; readonly write: (progress: Progress) => Promise<void> } | undefined
  readonly signal: AbortSignal | undefined
  /** An abort ends training as if it were done. */
  readonly keepOnAbort: boolean
  readonly onProgress: ((event: TrainingEvent) => void) | undefined
}

/** The plan's batch; its inputs are `planInputs` times the same. */
export interface TrainingLayout extends Omit<BatchLayout, 'last' | 'augment'> {
  readonly planInputs: number
}

export interface LoopData {
  readonly train: BatchSource
  readonly validation: BatchSource | undefined
  readonly layout: TrainingLayout
  readonly augment: ((epoch: number) => NonNullable<BatchLayout['augment']>) | undefined
}

export interface LoopResult {
  /** Before the first step, when there is a validation set. */
  readonly initial: Evaluation | undefined
  readonly history: readonly EpochRecord[]
  readonly best: { readonly epoch: number; readonly accuracy: number; readonly loss: number }
  readonly steps: number
  readonly aborted: boolean
  /** The best parameters by validation, the last ones without. */
  readonly weights: readonly Float32Array[]
}

/** What an epoch has come to so far. */
interface EpochState {
  /** Full batches taken. */
  batches: number
  counted: number
  loss: number
  correct: number
  examples: number
  last: number
  learningRate: number
  /** Before the present process. */
  seconds: number
  /** Rollbacks before this epoch. */
  rollbacks: number
}

/** Everything that training depends on: a run that continues from it takes the same steps, to the same bits. */
export interface Progress {
  readonly epoch: number
  readonly step: number
  readonly updates: number
  readonly expected: number | undefined
  readonly within: Readonly<EpochState>
  readonly plateau: { readonly scale: number; readonly waited: number; readonly best: number }
  readonly initial: Evaluation | undefined
  readonly history: readonly EpochRecord[]
  readonly best: LoopResult['best']
  readonly bestWeights: readonly Float32Array[]
  readonly trainer: TrainerState
  readonly guard: GuardState
}

const freshEpoch = (rollbacks: number): EpochState => ({
  batches: 0,
  counted: 0,
  loss: 0,
  correct: 0,
  examples: 0,
  last: Number.NaN,
  learningRate: 0,
  seconds: 0,
  rollbacks
})

/** The training loop proper, on a trainer that is already set up. One native job a step; data is fetched meanwhile. */
export class TrainingLoop {
  #epoch = 1
  #step = 0
  #updates = 0
  #expected: number | undefined
  #within = freshEpoch(0)
  #plateau = { scale: 1, waited: 0, best: Infinity }
  #initial: Evaluation | undefined
  #history: EpochRecord[] = []
  #best = { epoch: 0, accuracy: -1, loss: Infinity }
  #weights: readonly Float32Array[] = []
  #started = performance.now()

  constructor(
    private readonly trainer: NativeTrainer,
    private readonly objective: Objective,
    private readonly data: LoopData,
    private readonly settings: LoopSettings,
    private readonly guard: DivergenceGuard
  ) {
    this.#expected = settings.stepsPerEpoch ?? settings.expectedStepsPerEpoch
  }

  /** From the start, or from where an earlier run was. */
  async run(from?: Progress): Promise<LoopResult> {
    try {
      if (from === undefined) await this.#begin()
      else this.#restore(from)
      const { epochs, steps } = this.settings
      while (this.#epoch <= epochs && this.#step < steps) await this.#runEpoch()
    } catch (error) {
      const { signal, keepOnAbort } = this.settings
      if (!(signal?.aborted && error === signal.reason)) throw error
      await this.#checkpoint()
      if (!keepOnAbort) throw error
      if (this.#weights.length === 0 || this.data.validation === undefined) this.#weights = finalWeights(this.trainer)
      return this.#result(true)
    }
    return this.#result(false)
  }

  async #begin(): Promise<void> {
    this.#initial = await this.#validate()
    if (this.#initial !== undefined) this.#best = { epoch: 0, accuracy: this.#initial.accuracy, loss: this.#initial.loss }
    this.#plateau.best = this.#initial?.loss ?? Infinity
    this.#weights = finalWeights(this.trainer)
  }

  #restore(saved: Progress): void {
    giveState(this.trainer, saved.trainer)
    this.guard.restore(saved.guard)
    this.#epoch = saved.epoch
    this.#step = saved.step
    this.#updates = saved.updates
    this.#expected = saved.expected
    this.#within = { ...saved.within }
    this.#plateau = { ...saved.plateau }
    this.#initial = saved.initial
    this.#history = [...saved.history]
    this.#best = { ...saved.best }
    this.#weights = saved.bestWeights
  }

  #save(): Progress {
    const within = { ...this.#within, seconds: this.#seconds() }
    return {
      epoch: this.#epoch,
      step: this.#step,
      updates: this.#updates,
      expected: this.#expected,
      within,
      plateau: { ...this.#plateau },
      initial: this.#initial,
      history: this.#history,
      best: this.#best,
      bestWeights: this.#weights,
      trainer: takeState(this.trainer),
      guard: this.guard.save()
    }
  }

  async #checkpoint(): Promise<void> {
    await this.settings.checkpoint?.write(this.#save())
  }

  async #runEpoch(): Promise<void> {
    const { settings, guard } = this
    this.#started = performance.now()
    const first = this.#step - this.#within.batches
    await this.#train(Math.min(settings.steps, first + (settings.stepsPerEpoch ?? Infinity)))
    this.#expected ??= this.#step - first
    const validation = await this.#validate()
    if (validation !== undefined && !Number.isFinite(validation.loss))
      guard.rollBack(this.#step, 'not-finite', validation.loss, this.#within.learningRate)
    else guard.snapshot(this.#step)
    const record = this.#record(validation)
    this.#history.push(record)
    const { accuracy, loss } = validation ?? record
    const best = this.#best
    const isBetter = this.objective.isRegression
      ? loss < best.loss
      : accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss)
    if (validation === undefined || isBetter) {
      this.#best = { epoch: this.#epoch, accuracy, loss }
      this.#weights = finalWeights(this.trainer)
    }
    this.#wait(loss)
    if (validation !== undefined) this.#report({ validation })
    this.#epoch++
    this.#within = freshEpoch(guard.rollbacks.length)
    this.#started = performance.now()
    await this.#checkpoint()
  }

  async #train(end: number): Promise<void> {
    const { layout, augment, train } = this.data
    const { signal } = this.settings
    const skipped = this.#within.batches
    const batches = fullBatches('train', train(this.#epoch), {
      ...layout,
      last: 'drop',
      ...(augment && { augment: augment(this.#epoch) })
    })
    let seen = 0
    for await (const batch of prefetched(batches, signal)) {
      // A resumed epoch: the data it has already seen goes by.
      if (seen++ < skipped) continue
      if (this.#step >= end) break
      await this.#takeStep(batch)
      if (this.#step >= end) break
    }
    if (this.#within.batches > 0) return
    throw new PolyadicError(
      'POLYADIC_ARGUMENT',
      `train: epoch ${this.#epoch} holds no full batch; give more examples or a smaller batchSize`,
      { subject: 'train' }
    )
  }

  async #takeStep(batch: FullBatch): Promise<void> {
    const { settings, guard } = this
    const within = this.#within
    within.learningRate = settings.optimiser.learningRate * settings.schedule(this.#done()) * guard.rateScale * this.#plateau.scale
    const optimiser: NativeOptimiser = {
      ...settings.optimiser,
      learningRate: within.learningRate,
      step: this.#updates + 1,
      seed: Math.floor(random(settings.seed, this.#step).next() * 2 ** 32)
    }
    const losses = await this.objective.training(batch)
    const result = await runJob(() => this.trainer.step(planInputs(batch, this.data.layout), losses, optimiser), settings.signal)
    this.#step++
    within.batches++
    within.last = result.loss
    if (!Number.isFinite(result.loss)) checkFinite(batch)
    if (Number.isFinite(result.loss) && Number.isFinite(result.gradientNorm)) this.#updates++
    const rollback = guard.inspect(this.#step, result, within.learningRate)
    if (rollback === undefined) {
      within.counted++
      within.loss += result.loss
      within.correct += result.correct
      within.examples += batch.count
      if (this.#step % settings.snapshotEvery === 0) guard.snapshot(this.#step)
    }
    this.#report(rollback === undefined ? {} : { rollback })
    if (settings.checkpoint !== undefined && this.#step % settings.checkpoint.everySteps === 0) await this.#checkpoint()
  }

  async #validate(): Promise<Evaluation | undefined> {
    const { validation, layout } = this.data
    if (validation === undefined) return undefined
    // The average, where one is kept, is what is judged and given back.
    this.trainer.swapAverage()
    try {
      return await evaluateTrainer(this.trainer, this.objective, validation(this.#epoch), layout, this.settings.signal)
    } finally {
      this.trainer.swapAverage()
    }
  }

  #wait(loss: number): void {
    const { plateau } = this.settings
    if (plateau === undefined) return
    const state = this.#plateau
    if (loss < state.best) {
      state.best = loss
      state.waited = 0
    } else if (++state.waited > plateau.patience) {
      state.scale *= plateau.factor
      state.waited = 0
    }
  }

  #report(extra: Pick<TrainingEvent, 'validation' | 'rollback'>): void {
    const { last, correct, examples, learningRate } = this.#within
    this.settings.onProgress?.({
      epoch: this.#epoch,
      step: this.#step,
      steps: this.#total(),
      loss: last,
      accuracy: this.#accuracy(correct, examples),
      learningRate,
      ...extra
    })
  }

  #record(validation: Evaluation | undefined): EpochRecord {
    const { loss, counted, correct, examples, learningRate, rollbacks } = this.#within
    return {
      epoch: this.#epoch,
      steps: this.#step,
      loss: loss / Math.max(1, counted),
      accuracy: this.#accuracy(correct, examples),
      learningRate,
      validation,
      rollbacks: this.guard.rollbacks.slice(rollbacks),
      seconds: this.#seconds()
    }
  }

  #result(aborted: boolean): LoopResult {
    return { initial: this.#initial, history: this.#history, best: this.#best, steps: this.#step, aborted, weights: this.#weights }
  }

  #accuracy(correct: number, examples: number): number {
    return this.objective.isRegression ? Number.NaN : correct / Math.max(1, examples)
  }

  #seconds(): number {
    return this.#within.seconds + (performance.now() - this.#started) / 1000
  }

  // Without a known number of steps the schedule moves on once an epoch.
  #done(): number {
    const total = this.#total()
    if (total !== undefined) return Math.min(1, this.#step / total)
    return (this.#epoch - 1) / this.settings.epochs
  }

  #total(): number | undefined {
    const { epochs, steps } = this.settings
    // What the first epoch teaches counts from the second on.
    const perEpoch = this.#expected
    if (perEpoch === undefined || epochs === Infinity) return steps === Infinity ? undefined : steps
    return Math.min(steps, epochs * perEpoch)
  }
}

/** Loss and accuracy of a trainer's present weights over some batches; the last one is padded, its padding not counted. */
export async function evaluateTrainer(
  trainer: NativeTrainer,
  objective: Objective,
  batches: ReturnType<BatchSource>,
  layout: TrainingLayout,
  signal?: AbortSignal
): Promise<Evaluation> {
  let [loss, correct, count] = [0, 0, 0]
  for await (const batch of prefetched(fullBatches('validation', batches, { ...layout, last: 'pad' }), signal)) {
    const losses = await objective.evaluation(batch)
    const result = await runJob(() => trainer.evaluate(planInputs(batch, layout), losses, batch.count), signal)
    loss += result.loss * batch.count
    correct += result.correct
    count += batch.count
  }
  if (count === 0)
    throw new PolyadicError('POLYADIC_ARGUMENT', 'validation: expected at least one example, got none', { subject: 'validation' })
  return { accuracy: objective.isRegression ? Number.NaN : correct / count, loss: loss / count, count }
}

function planInputs(batch: FullBatch, layout: TrainingLayout): Float32Array[] {
  return new Array<Float32Array>(layout.planInputs).fill(batch.input)
}

// A NaN in the data is not for a smaller learning rate to cure.
function checkFinite(batch: FullBatch): void {
  const at = batch.input.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return
  const example = Math.floor(at / (batch.input.length / batch.count))
  throw new PolyadicError(
    'POLYADIC_NUMERIC',
    `train: an input holds ${String(batch.input[at])} (example ${example} of a batch), expected finite numbers`,
    { subject: 'train' }
  )
}
