import { performance } from 'node:perf_hooks'
import { PolyadicError } from '../errors.js'
import type { NativeSgd, NativeTrainer } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import { type BatchLayout, type BatchSource, type FullBatch, fullBatches } from './batches.js'
import type { DivergenceGuard, Rollback } from './guard.js'
import { prefetched } from './prefetch.js'
import type { Schedule } from './schedule.js'

/** How well a network does on labelled examples. */
export interface Evaluation {
  /** Part of the examples whose largest logit is the target. */
  readonly accuracy: number
  /** Mean softmax cross-entropy, without label smoothing. */
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
  readonly sgd: NativeSgd
  readonly labelSmoothing: number
  /** A checkpoint is taken at every epoch's end and after so many steps. */
  readonly checkpointEvery: number
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((event: TrainingEvent) => void) | undefined
}

/** The plan's batch; its inputs are `planInputs` times the same. */
export interface TrainingLayout extends Omit<BatchLayout, 'last'> {
  readonly planInputs: number
}

export interface LoopData {
  readonly train: BatchSource
  readonly validation: BatchSource | undefined
  readonly layout: TrainingLayout
}

export interface LoopResult {
  /** Before the first step, when there is a validation set. */
  readonly initial: Evaluation | undefined
  readonly history: readonly EpochRecord[]
  readonly best: { readonly epoch: number; readonly accuracy: number; readonly loss: number }
  readonly steps: number
  /** The best parameters by validation, the last ones without. */
  readonly weights: readonly Float32Array[]
}

/** The training loop proper, on a trainer that is already set up. One native job a step; data is fetched meanwhile. */
export async function trainLoop(
  trainer: NativeTrainer,
  data: LoopData,
  settings: LoopSettings,
  guard: DivergenceGuard
): Promise<LoopResult> {
  const history: EpochRecord[] = []
  const validate = async (epoch: number): Promise<Evaluation | undefined> =>
    data.validation && evaluateTrainer(trainer, data.validation(epoch), data.layout, settings.signal)
  const initial = await validate(0)
  let best = { epoch: 0, accuracy: initial?.accuracy ?? -1, loss: initial?.loss ?? Infinity }
  let weights = trainer.getParameters('weights')
  let expected = settings.stepsPerEpoch ?? settings.expectedStepsPerEpoch
  for (let epoch = 1, step = 0; epoch <= settings.epochs && step < settings.steps; epoch++) {
    const run = new EpochRun(trainer, data.layout, settings, guard, epoch, step, totalSteps(settings, expected))
    const before = guard.rollbacks.length
    await run.train(fullBatches('train', data.train(epoch), { ...data.layout, last: 'drop' }))
    expected ??= run.step - step
    step = run.step
    const validation = await validate(epoch)
    if (validation !== undefined && !Number.isFinite(validation.loss)) guard.rollBack(step, 'not-finite', validation.loss, run.learningRate)
    else guard.checkpoint(step)
    const record = run.record(validation, guard.rollbacks.slice(before))
    history.push(record)
    const { accuracy, loss } = validation ?? record
    if (validation === undefined || accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss)) {
      best = { epoch, accuracy, loss }
      weights = trainer.getParameters('weights')
    }
    if (validation !== undefined) run.report({ validation })
  }
  return { initial, history, best, steps: history.at(-1)?.steps ?? 0, weights }
}

/** Loss and accuracy of a trainer's present weights over some batches; the last one is padded, its padding not counted. */
export async function evaluateTrainer(
  trainer: NativeTrainer,
  batches: ReturnType<BatchSource>,
  layout: TrainingLayout,
  signal?: AbortSignal
): Promise<Evaluation> {
  let [loss, correct, count] = [0, 0, 0]
  for await (const batch of prefetched(fullBatches('validation', batches, { ...layout, last: 'pad' }), signal)) {
    const result = await runJob(() => trainer.evaluate(planInputs(batch, layout), batch.target, batch.count), signal)
    loss += result.loss * batch.count
    correct += result.correct
    count += batch.count
  }
  if (count === 0)
    throw new PolyadicError('POLYADIC_ARGUMENT', 'validation: expected at least one example, got none', { subject: 'validation' })
  return { accuracy: correct / count, loss: loss / count, count }
}

/** One pass over the training data. */
class EpochRun {
  step: number
  learningRate = 0
  readonly #started = performance.now()
  #batches = 0
  #loss = 0
  #correct = 0
  #examples = 0
  #last = NaN

  constructor(
    private readonly trainer: NativeTrainer,
    private readonly layout: TrainingLayout,
    private readonly settings: LoopSettings,
    private readonly guard: DivergenceGuard,
    private readonly epoch: number,
    private readonly firstStep: number,
    private readonly total: number | undefined
  ) {
    this.step = firstStep
  }

  async train(batches: AsyncGenerator<FullBatch>): Promise<void> {
    const { stepsPerEpoch = Infinity, steps, signal } = this.settings
    const end = Math.min(steps, this.firstStep + stepsPerEpoch)
    for await (const batch of prefetched(batches, signal)) {
      await this.takeStep(batch)
      if (this.step >= end) break
    }
    if (this.step > this.firstStep) return
    throw new PolyadicError(
      'POLYADIC_ARGUMENT',
      `train: epoch ${this.epoch} holds no full batch; give more examples or a smaller batchSize`,
      { subject: 'train' }
    )
  }

  report(extra: Pick<TrainingEvent, 'validation' | 'rollback'>): void {
    this.settings.onProgress?.({
      epoch: this.epoch,
      step: this.step,
      steps: this.total,
      loss: this.#last,
      accuracy: this.#correct / Math.max(1, this.#examples),
      learningRate: this.learningRate,
      ...extra
    })
  }

  record(validation: Evaluation | undefined, rollbacks: readonly Rollback[]): EpochRecord {
    return {
      epoch: this.epoch,
      steps: this.step,
      loss: this.#loss / Math.max(1, this.#batches),
      accuracy: this.#correct / Math.max(1, this.#examples),
      learningRate: this.learningRate,
      validation,
      rollbacks,
      seconds: (performance.now() - this.#started) / 1000
    }
  }

  private async takeStep(batch: FullBatch): Promise<void> {
    const { settings, guard } = this
    this.learningRate = settings.sgd.learningRate * settings.schedule(this.progress()) * guard.rateScale
    const sgd = { ...settings.sgd, learningRate: this.learningRate }
    const result = await runJob(
      () => this.trainer.step(planInputs(batch, this.layout), batch.target, settings.labelSmoothing, sgd),
      settings.signal
    )
    this.step++
    this.#last = result.loss
    if (!Number.isFinite(result.loss)) checkFinite(batch)
    const rollback = guard.inspect(this.step, result, this.learningRate)
    if (rollback === undefined) {
      this.#batches++
      this.#loss += result.loss
      this.#correct += result.correct
      this.#examples += batch.count
      if (this.step % settings.checkpointEvery === 0) guard.checkpoint(this.step)
    }
    this.report(rollback === undefined ? {} : { rollback })
  }

  // Without a known number of steps the schedule moves on once an epoch.
  private progress(): number {
    if (this.total !== undefined) return Math.min(1, this.step / this.total)
    return (this.epoch - 1) / this.settings.epochs
  }
}

function planInputs(batch: FullBatch, layout: TrainingLayout): Float32Array[] {
  return new Array<Float32Array>(layout.planInputs).fill(batch.input)
}

function totalSteps(settings: LoopSettings, perEpoch: number | undefined): number | undefined {
  if (perEpoch === undefined || settings.epochs === Infinity) return settings.steps === Infinity ? undefined : settings.steps
  return Math.min(settings.steps, settings.epochs * perEpoch)
}

// A NaN in the data is not for a smaller learning rate to cure.
function checkFinite(batch: FullBatch): void {
  const at = batch.input.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return
  const example = Math.floor(at / (batch.input.length / batch.target.length))
  throw new PolyadicError(
    'POLYADIC_NUMERIC',
    `train: an input holds ${String(batch.input[at])} (example ${example} of a batch), expected finite numbers`,
    { subject: 'train' }
  )
}
