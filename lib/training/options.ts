import {
  checkArray,
  checkFunction,
  checkNames,
  checkOptions as checkRecordOfOptions,
  checkRecord,
  filePath,
  isRecord,
  type Names
} from '../arguments.js'
import { argumentError, checkChoice, checkInteger, checkNumber } from '../errors.js'
import type { Augment, Batches } from './batches.js'
import type { TrainingEvent } from './loop.js'
import { checkDistillation, type Distillation, type LossName } from './objective.js'
import type { NamePattern, ParameterGroup } from './parameters.js'
import type { Plateau, Schedule, ScheduleName } from './schedule.js'

export interface CheckpointOptions {
  /** A file, or its `file:` URL; written in whole or not at all, and read again with `resume`. */
  readonly path: string | URL
  /** Steps between two of them; default 500. One more is written at every epoch's end and on an abort. */
  readonly everySteps?: number
  /**
   * Goes on from the file where there is one (`resumedFrom` in the result says where), and begins at the start where there is none. One made with another
   * network, other first weights, data (as far as can be told without going through it), losses or teacher, or another `batchSize`, `seed` or
   * `optimiser` is refused; rates, schedule, decay, `epochs` and the like may differ. Default false.
   */
  readonly resume?: boolean
}

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
  /** What `train`'s targets are judged by: class indices (default `cross-entropy`) or values (`mean-squared`). */
  readonly loss?: LossName
  /** Trains towards another network, with or without labels. */
  readonly distillation?: Distillation
  /** Default `sgd`. */
  readonly optimiser?: 'sgd' | 'adamw'
  /** Default 0.01 for `sgd`, 0.001 for `adamw`. */
  readonly learningRate?: number
  /** Of `sgd`; default 0.9, with Nesterov's look-ahead unless `nesterov` is false. */
  readonly momentum?: number
  readonly nesterov?: boolean
  /** Of `adamw`: decay of the two moments, default 0.9 and 0.999, and what keeps from dividing by zero, default 1e-8. */
  readonly betas?: readonly [number, number]
  readonly epsilon?: number
  /** Default 5e-4; biases only with `decayBiases`. */
  readonly weightDecay?: number
  readonly decayBiases?: boolean
  /** Parameters with a learning rate or weight decay of their own. */
  readonly groups?: readonly ParameterGroup[]
  /** Of an exponential moving average of the weights, which then is validated and given back; 0, the default: none. */
  readonly averageDecay?: number
  /**
   * Largest Euclidean norm of all gradients together; 0: not clipped. Default 1: a chain of factors is stiffer than the layer it
   * replaces, and clipping lets it be tuned at the dense network's rate. From scratch 10 learns faster.
   */
  readonly clipNorm?: number
  /** Part of the target's probability that is spread over all classes; default 0. */
  readonly labelSmoothing?: number
  /** Default `cosine`. `{ factor, patience }` waits for a plateau. */
  readonly schedule?: ScheduleName | Schedule | Partial<Plateau>
  /** Part of the training that warms up; see `makeSchedule`. */
  readonly warmUp?: number
  /** Nodes or initializers that keep their values. */
  readonly frozen?: readonly NamePattern[]
  /** `frozen` (default): running statistics as they are. `batch`: each batch's own, and the running ones follow. */
  readonly batchNorm?: 'frozen' | 'batch'
  /** Whether Dropout nodes drop; default true. */
  readonly dropout?: boolean
  /** Weight in the loss of the CP sensitivity of every decomposed layer; default 0. Some 1e-6 is a beginning. */
  readonly sensitivity?: number
  /**
   * Of `sgd` (refused with `adamw`): divides the learning rate of each decomposed convolution, and with it its weight decay, by the stiffness of its
   * factors as they are at the start (see `LayerStiffness`), so that plain factors, too, bear the rate that the dense network bears. A decomposed Gemm
   * or MatMul keeps its rate. Default false.
   */
  readonly scaleRates?: boolean
  /** Spreads the weight of each component evenly over its layer's factors first, which changes nothing else; default true. */
  readonly balance?: boolean
  /** Changes examples before they are trained on. */
  readonly augment?: Augment
  /** Default: `defaultThreads()`, all that the process may use. */
  readonly threads?: number
  /** Of shuffling, augmentation and dropout; default 0. */
  readonly seed?: number
  /** The value that holds the logits (N×K); default: the graph's first output, before a softmax there. */
  readonly logits?: string
  /** C×H×W of the input, where the graph leaves them open. */
  readonly inputShape?: readonly number[]
  /** How often training may go back to good weights at half the rate; default 6. */
  readonly maxRollbacks?: number
  /** How many times its best the smoothed loss may become; default 2, Infinity switches this off. */
  readonly spikeFactor?: number
  readonly checkpoint?: CheckpointOptions
  /** Called after every step, and once more an epoch with its validation. What it throws ends the training. */
  readonly onProgress?: (event: TrainingEvent) => void
  readonly signal?: AbortSignal
  /** `reject` (default) with the signal's reason, or `keep`: end as if done, with the best weights so far. */
  readonly onAbort?: 'reject' | 'keep'
}

/** The names of all options. */
export const fineTuneOptions: Names<FineTuneOptions> = {
  train: true,
  validation: true,
  epochs: true,
  steps: true,
  stepsPerEpoch: true,
  batchSize: true,
  loss: true,
  distillation: true,
  optimiser: true,
  learningRate: true,
  momentum: true,
  nesterov: true,
  betas: true,
  epsilon: true,
  weightDecay: true,
  decayBiases: true,
  groups: true,
  averageDecay: true,
  clipNorm: true,
  labelSmoothing: true,
  schedule: true,
  warmUp: true,
  frozen: true,
  batchNorm: true,
  dropout: true,
  sensitivity: true,
  scaleRates: true,
  balance: true,
  augment: true,
  threads: true,
  seed: true,
  logits: true,
  inputShape: true,
  maxRollbacks: true,
  spikeFactor: true,
  checkpoint: true,
  onProgress: true,
  signal: true,
  onAbort: true
}

const checkpointOptions: Names<CheckpointOptions> = { path: true, everySteps: true, resume: true }
const groupOptions: Names<ParameterGroup> = { match: true, learningRate: true, weightDecay: true }
const plateauOptions: Names<Plateau> = { factor: true, patience: true }

export const fineTuneDefaults = {
  batchSize: 64,
  optimiser: 'sgd',
  momentum: 0.9,
  nesterov: true,
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 5e-4,
  decayBiases: false,
  averageDecay: 0,
  clipNorm: 1,
  labelSmoothing: 0,
  schedule: 'cosine',
  batchNorm: 'frozen',
  dropout: true,
  sensitivity: 0,
  scaleRates: false,
  balance: true,
  seed: 0,
  maxRollbacks: 6,
  spikeFactor: 2,
  snapshotEvery: 500,
  checkpointEvery: 500
} as const

export type WithDefaults = FineTuneOptions &
  Required<Pick<FineTuneOptions, Extract<keyof typeof fineTuneDefaults, keyof FineTuneOptions> | 'learningRate'>>

/** An option that is there but undefined is not given. */
export function withDefaults(options: FineTuneOptions): WithDefaults {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as unknown as FineTuneOptions
  return { ...fineTuneDefaults, learningRate: given.optimiser === 'adamw' ? 0.001 : 0.01, ...given }
}

/** Throws POLYADIC_ARGUMENT for the first option that is wrong. */
export function checkOptions(options: FineTuneOptions): void {
  checkRecordOfOptions(options, fineTuneOptions)
  if (options.epochs === undefined && options.steps === undefined) throw argumentError('epochs', 'epochs or steps', undefined)
  for (const name of ['epochs', 'steps', 'stepsPerEpoch', 'batchSize', 'threads'] as const) {
    if (options[name] !== undefined) checkInteger(name, options[name], 1)
  }
  const all = withDefaults(options)
  for (const name of ['learningRate', 'weightDecay', 'clipNorm', 'epsilon', 'sensitivity'] as const) checkNumber(name, all[name], 0)
  for (const name of ['momentum', 'labelSmoothing'] as const) checkNumber(name, all[name], 0, 1)
  for (const name of ['nesterov', 'decayBiases', 'dropout', 'scaleRates', 'balance'] as const) {
    if (typeof all[name] !== 'boolean') throw argumentError(name, 'true or false', all[name])
  }
  checkNumber('averageDecay', all.averageDecay, 0, 1 - Number.EPSILON)
  checkInteger('seed', all.seed, 0, 0xffffffff)
  checkInteger('maxRollbacks', all.maxRollbacks, 0)
  checkChoice('optimiser', all.optimiser, ['sgd', 'adamw'])
  checkChoice('batchNorm', all.batchNorm, ['frozen', 'batch'])
  checkChoice('onAbort', all.onAbort ?? 'reject', ['reject', 'keep'])
  // AdamW's steps are of one size, however stiff what they move.
  if (all.scaleRates && all.optimiser !== 'sgd') throw argumentError('scaleRates', `false with the optimiser ${all.optimiser}`, true)
  checkStructured(all)
}

function checkStructured({
  spikeFactor,
  frozen = [],
  groups = [],
  betas,
  checkpoint,
  augment,
  loss,
  distillation,
  schedule
}: WithDefaults): void {
  if (!(typeof spikeFactor === 'number' && spikeFactor >= 1)) throw argumentError('spikeFactor', 'a number of at least 1', spikeFactor)
  if (!Array.isArray(frozen)) throw argumentError('frozen', 'an array of names and regular expressions', frozen)
  checkArray('groups', groups, '{ match, learningRate, weightDecay }', isRecord)
  for (const group of groups) {
    checkNames('groups', group, groupOptions)
    if (!Array.isArray(group.match)) throw argumentError('groups.match', 'an array of names and regular expressions', group.match)
    checkNumber('groups.learningRate', group.learningRate ?? 1, 0)
    checkNumber('groups.weightDecay', group.weightDecay ?? 0, 0)
  }
  if (!Array.isArray(betas) || betas.length !== 2) throw argumentError('betas', 'two numbers', betas)
  for (const beta of betas) checkNumber('betas', beta, 0, 1 - Number.EPSILON)
  if (typeof schedule !== 'string' && typeof schedule !== 'function') {
    checkRecord('schedule', schedule, 'a name, a function or { factor, patience }')
    checkNames('schedule', schedule, plateauOptions)
  }
  if (augment !== undefined) checkFunction('augment', augment)
  if (distillation !== undefined) checkDistillation(distillation)
  if (loss === 'mean-squared' && distillation !== undefined) throw argumentError('loss', 'cross-entropy with distillation', loss)
  if (checkpoint === undefined) return
  checkRecord('checkpoint', checkpoint, 'an object with a path')
  checkNames('checkpoint', checkpoint, checkpointOptions)
  filePath('checkpoint.path', checkpoint.path)
  checkInteger('checkpoint.everySteps', checkpoint.everySteps ?? 1, 1)
  if (typeof (checkpoint.resume ?? false) !== 'boolean') throw argumentError('checkpoint.resume', 'true or false', checkpoint.resume)
}
