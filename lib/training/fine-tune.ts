import { checkInteger, checkNumber, argumentError } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { type Batches, batchesPerEpoch, sourceOf } from './batches.js'
import { DivergenceGuard, type Rollback } from './guard.js'
import { type EpochRecord, type Evaluation, type LoopSettings, type TrainingEvent, trainLoop } from './loop.js'
import { type NamePattern, weightDecays, writeParameters } from './parameters.js'
import { type Schedule, type ScheduleName, makeSchedule } from './schedule.js'
import { type PrepareTraining, type Training, prepareTraining } from './trainer.js'

export interface FineTuneOptions {
  readonly train: Batches
  /** Measured before the first and after every epoch; the best weights are kept. */
  readonly validation?: Batches
  /** At least one of the two; training ends with whichever comes first. */
  readonly epochs?: number
  readonly steps?: number
  /** Ends an epoch early, as an endless source needs; tells the schedule how long an epoch is. */
  readonly stepsPerEpoch?: number
  /** Default 64. */
  readonly batchSize?: number
  /** Default 0.01. */
  readonly learningRate?: number
  /** Default 0.9, with Nesterov's look-ahead unless `nesterov` is false. */
  readonly momentum?: number
  readonly nesterov?: boolean
  /** Default 5e-4; biases only with `decayBiases`. */
  readonly weightDecay?: number
  readonly decayBiases?: boolean
  /**
   * Largest Euclidean norm of all gradients together; 0: not clipped. Default 1: a chain of factors is stiffer than the layer it
   * replaces, and clipping lets it be tuned at the dense network's rate.
   */
  readonly clipNorm?: number
  /** Part of the target's probability that is spread over all classes; default 0. */
  readonly labelSmoothing?: number
  /** Default `cosine`. */
  readonly schedule?: ScheduleName | Schedule
  /** Part of the training that warms up; see `makeSchedule`. */
  readonly warmUp?: number
  /** Nodes or initializers that keep their values. */
  readonly frozen?: readonly NamePattern[]
  /** Default: `defaultThreads()`, all that the process may use. */
  readonly threads?: number
  /** Of the shuffling; default 0. */
  readonly seed?: number
  /** The value that holds the logits (N×K); default: the graph's first output, before a softmax there. */
  readonly logits?: string
  /** C×H×W of the input, where the graph leaves them open. */
  readonly inputShape?: readonly number[]
  /** How often training may go back to good weights at half the rate; default 6. */
  readonly maxRollbacks?: number
  /** How many times its best the smoothed loss may become; default 2, Infinity switches this off. */
  readonly spikeFactor?: number
  /** Called after every step, and once more an epoch with its validation. What it throws ends the training. */
  readonly onProgress?: (event: TrainingEvent) => void
  readonly signal?: AbortSignal
}

export interface FineTuneResult {
  /** The graph given, with the best weights by validation, or the last ones without a validation set. */
  readonly graph: Graph
  /** Before the first step, when there is a validation set. */
  readonly initial: Evaluation | undefined
  /** One record an epoch. */
  readonly history: readonly EpochRecord[]
  /** The epoch whose weights `graph` has (0: no epoch was better than the start), by validation where there is one. */
  readonly best: { readonly epoch: number; readonly accuracy: number; readonly loss: number }
  readonly steps: number
  /** Whether training had to go back to earlier weights, and each time it did. */
  readonly diverged: boolean
  readonly rollbacks: readonly Rollback[]
}

export const fineTuneDefaults = {
  batchSize: 64,
  learningRate: 0.01,
  momentum: 0.9,
  nesterov: true,
  weightDecay: 5e-4,
  decayBiases: false,
  clipNorm: 1,
  labelSmoothing: 0,
  schedule: 'cosine',
  seed: 0,
  maxRollbacks: 6,
  spikeFactor: 2,
  checkpointEvery: 500
} as const

/**
 * Trains a network further by stochastic gradient descent on softmax cross-entropy. The graph given is not changed.
 * Same data, options and ISA give the same bits, whatever the number of threads.
 *
 * Throws POLYADIC_ARGUMENT or POLYADIC_SHAPE for options or data that do not fit, POLYADIC_UNSUPPORTED for an operator
 * without a gradient, POLYADIC_NUMERIC when it keeps diverging; rejects with `signal.reason` when aborted.
 */
export async function fineTune(graph: Graph, options: FineTuneOptions): Promise<FineTuneResult> {
  return fineTuneWith(prepareTraining, graph, options)
}

/** `fineTune` on a trainer made by `prepare`: for tests. */
export async function fineTuneWith(prepare: PrepareTraining, graph: Graph, options: FineTuneOptions): Promise<FineTuneResult> {
  checkOptions(options)
  options.signal?.throwIfAborted()
  const { batchSize, maxRollbacks, spikeFactor, seed } = withDefaults(options)
  const { threads, logits, inputShape, frozen } = options
  const training = prepare(graph, { batchSize, threads, logits, inputShape, frozen })
  const { trainer, parameters, exampleSize, classes, planInputs } = training
  try {
    const settings = loopSettings(training, options, batchSize)
    const data = {
      train: sourceOf('train', options.train, exampleSize, batchSize, seed),
      validation: options.validation && sourceOf('validation', options.validation, exampleSize, batchSize),
      layout: { batchSize, exampleSize, classes, planInputs }
    }
    const guard = new DivergenceGuard(trainer, { classes, maxRollbacks, spikeFactor })
    const { weights, ...result } = await trainLoop(trainer, data, settings, guard)
    const tuned = writeParameters(graph, parameters, weights, training.rateScale)
    return { graph: tuned, ...result, diverged: guard.rollbacks.length > 0, rollbacks: guard.rollbacks }
  } finally {
    trainer.close()
  }
}

function loopSettings({ parameters, rateScale }: Training, options: FineTuneOptions, batchSize: number): LoopSettings {
  const { learningRate, momentum, nesterov, clipNorm, weightDecay, decayBiases, labelSmoothing, schedule } = withDefaults(options)
  return {
    epochs: options.epochs ?? Infinity,
    steps: options.steps ?? Infinity,
    stepsPerEpoch: options.stepsPerEpoch,
    expectedStepsPerEpoch: batchesPerEpoch(options.train, batchSize),
    schedule: makeSchedule(schedule, options.warmUp === undefined ? {} : { warmUp: options.warmUp }),
    sgd: {
      learningRate,
      momentum,
      nesterov,
      clipNorm,
      weightDecay: weightDecays(parameters, weightDecay, decayBiases),
      rateScale
    },
    labelSmoothing,
    checkpointEvery: fineTuneDefaults.checkpointEvery,
    signal: options.signal,
    onProgress: options.onProgress
  }
}

// An option that is there but undefined is not given.
function withDefaults(
  options: FineTuneOptions
): FineTuneOptions & Required<Pick<FineTuneOptions, keyof typeof fineTuneDefaults & keyof FineTuneOptions>> {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as unknown as FineTuneOptions
  return { ...fineTuneDefaults, ...given }
}

function checkOptions(options: FineTuneOptions): void {
  if (typeof options !== 'object' || options === null) throw argumentError('options', 'an object', options)
  if (options.epochs === undefined && options.steps === undefined) throw argumentError('epochs', 'epochs or steps', undefined)
  for (const name of ['epochs', 'steps', 'stepsPerEpoch', 'batchSize', 'threads'] as const) {
    if (options[name] !== undefined) checkInteger(name, options[name], 1)
  }
  for (const name of ['learningRate', 'weightDecay', 'clipNorm'] as const) {
    if (options[name] !== undefined) checkNumber(name, options[name], 0)
  }
  checkNumber('momentum', options.momentum ?? 0, 0, 1)
  checkNumber('labelSmoothing', options.labelSmoothing ?? 0, 0, 1)
  checkInteger('seed', options.seed ?? 0, 0, 0xffffffff)
  checkInteger('maxRollbacks', options.maxRollbacks ?? 0, 0)
  const { spikeFactor = 2, frozen = [] } = options
  if (!(typeof spikeFactor === 'number' && spikeFactor >= 1)) throw argumentError('spikeFactor', 'a number of at least 1', spikeFactor)
  if (!Array.isArray(frozen)) throw argumentError('frozen', 'an array of names and regular expressions', frozen)
}
