import { filePath } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import type { NativeOptimiser } from '../native/binding.js'
import { defaultThreads } from '../runtime/threads.js'
import { type Batches, batchesPerEpoch, checkSource, sourceOf } from './batches.js'
import { readCheckpoint, writeCheckpoint } from './checkpoint.js'
import { DivergenceGuard, type Rollback } from './guard.js'
import { differences, type Identity, identityOf } from './identity.js'
import { type EpochRecord, type Evaluation, type LoopSettings, type Progress, TrainingLoop } from './loop.js'
import { exampleDims, singleInput, withLogits } from './network.js'
import { Objective } from './objective.js'
import { checkOptions, type FineTuneOptions, fineTuneDefaults, withDefaults } from './options.js'
import { parameterOf, weightDecays, writeParameters } from './parameters.js'
import { random } from '../random.js'
import { fullWeights } from '../replacement/half-weights.js'
import { makeSchedule, type Plateau } from './schedule.js'
import { balanceFactors } from './sensitivity.js'
import { type LayerStiffness, stiffnessOf, stiffnessRates } from './stiffness.js'
import { type PrepareTraining, prepareTraining, type Training } from './trainer.js'

export type { CheckpointOptions, FineTuneOptions } from './options.js'

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
  /** Whether an abort ended it (with `onAbort: 'keep'`). */
  readonly aborted: boolean
  /**
   * Initializers that look like weights but were not trained: those of another type than float32, and those of which the network only uses values
   * computed from them.
   */
  readonly untrained: readonly string[]
  /** With `scaleRates`: what the learning rates of which convolutions were divided by. Otherwise empty. */
  readonly stiffness: readonly LayerStiffness[]
  /** With `checkpoint.resume`: the step that the checkpoint was at; `undefined` where there was none and training began at the start. */
  readonly resumedFrom: number | undefined
}

/**
 * Trains a network further. The graph given is not changed; weights that it has in 16 bits behind a Cast (`halfWeights`) are float32 in the one
 * that comes out. Same data, options and ISA give the same bits, whatever the number of
 * threads, and whether or not the run was killed and resumed in between.
 *
 * Throws POLYADIC_ARGUMENT or POLYADIC_SHAPE for options or data that do not fit, POLYADIC_UNSUPPORTED for a network that
 * cannot be trained, POLYADIC_NUMERIC when it keeps diverging, POLYADIC_FORMAT for a checkpoint that is damaged or of another training,
 * POLYADIC_IO when one cannot be written; rejects with `signal.reason` when aborted.
 */
export async function fineTune(graph: Graph, options: FineTuneOptions): Promise<FineTuneResult> {
  return fineTuneWith(prepareTraining, graph, options)
}

/**
 * What `fineTune` checks of its options and data before it compiles the network, whose layers may have other names by then (`frozen`, `groups` and
 * features of a distillation are not looked up). For who is to call it later, after hours of something else.
 */
export function checkTuning(graph: Graph, options: FineTuneOptions): void {
  checkForm(graph)
  checkOptions(options)
  const example = exampleDims(singleInput(graph), options.inputShape)
  withLogits(graph, options.logits)
  for (const name of ['train', 'validation'] as const) {
    const batches = options[name]
    if (name === 'validation' && batches === undefined) continue
    checkSource(name, batches as Batches, example)
    sourceOf(name, batches as Batches, example, withDefaults(options).batchSize)
  }
}

/** `fineTune` on a trainer made by `prepare`: for tests, and for who looks at the training before it begins. */
export async function fineTuneWith(prepare: PrepareTraining, given: Graph, options: FineTuneOptions): Promise<FineTuneResult> {
  checkForm(given)
  checkOptions(options)
  options.signal?.throwIfAborted()
  const { batchSize, maxRollbacks, spikeFactor, balance, batchNorm, scaleRates, ...rest } = withDefaults(options)
  const { threads = defaultThreads(), logits, inputShape, frozen, groups, dropout, sensitivity } = rest
  const full = fullWeights(given)
  const graph = balance ? balanceFactors(full) : full
  const features = options.distillation?.features?.map(({ teacher, student = teacher }) => student) ?? []
  const batchStatistics = batchNorm === 'batch'
  const chains = scaleRates ? await stiffnessUnlessAborted(graph, threads, options) : []
  const rates = stiffnessRates(chains)
  const shape = { batchSize, threads, logits, inputShape, frozen, groups, rates, batchStatistics, dropout, features, sensitivity }
  const training = prepare(graph, shape)
  const { trainer, parameters, example, classes } = training
  let objective: Objective | undefined
  try {
    const { loss, distillation, labelSmoothing } = withDefaults(options)
    objective = await Objective.create({ loss, distillation, labelSmoothing, example, batchSize, threads, student: training.outputs })
    const guard = new DivergenceGuard(trainer, { classes: objective.isRegression ? 2 : classes, maxRollbacks, spikeFactor })
    const data = loopData(training, options, objective)
    const identity = options.checkpoint && identityOf(graph, training, options)
    const loop = new TrainingLoop(trainer, objective, data, loopSettings(training, options, identity), guard)
    const saved = identity && (await resumed(options, identity))
    const { weights, ...result } = await loop.run(saved)
    const tuned = writeParameters(graph, parameters, weights, training.rateScale)
    const { rollbacks } = guard
    return {
      graph: tuned,
      ...result,
      diverged: rollbacks.length > 0,
      rollbacks,
      untrained: training.untrained,
      stiffness: divided(chains, training),
      resumedFrom: saved?.step
    }
  } finally {
    objective?.close()
    trainer.close()
  }
}

/** None where an abort is to end training as if it were done. */
async function stiffnessUnlessAborted(graph: Graph, threads: number, { signal, onAbort }: FineTuneOptions) {
  try {
    return await stiffnessOf(graph, threads, signal)
  } catch (error) {
    if (signal?.aborted === true && onAbort === 'keep') return []
    throw error
  }
}

/** The chains whose learning rates were divided: they are stiff, and not frozen. */
function divided(chains: Awaited<ReturnType<typeof stiffnessOf>>, { parameters, rateScale }: Training): LayerStiffness[] {
  const isTrained = (name: string): boolean => (rateScale[parameterOf(parameters, name)] ?? 0) !== 0
  return chains
    .filter(({ stiffness, weights }) => stiffness > 1 && weights.some(isTrained))
    .map(({ nodes, stiffness }) => ({ nodes, stiffness }))
}

function loopData({ example, classes, outputSize, planInputs }: Training, options: FineTuneOptions, { isRegression }: Objective) {
  const { batchSize, seed, augment } = withDefaults(options)
  for (const name of ['train', 'validation'] as const) {
    const batches = options[name]
    if (batches !== undefined) checkSource(name, batches, example, isRegression ? undefined : classes)
  }
  return {
    train: sourceOf('train', options.train, example, batchSize, seed),
    validation: options.validation === undefined ? undefined : sourceOf('validation', options.validation, example, batchSize),
    layout: { batchSize, example, classes, planInputs, ...(isRegression && { targetSize: outputSize }) },
    augment:
      augment &&
      ((epoch: number) => (values: Float32Array, place: number) =>
        augment(values, random((seed ^ Math.imul(epoch, 0x9e3779b1)) >>> 0, place)))
  }
}

function loopSettings({ parameters, rateScale }: Training, options: FineTuneOptions, identity: Identity | undefined): LoopSettings {
  const all = withDefaults(options)
  const plateau = typeof all.schedule === 'object' ? plateauOf(all.schedule) : undefined
  const schedule = typeof all.schedule === 'object' ? 'constant' : all.schedule
  const optimiser: NativeOptimiser = {
    kind: all.optimiser,
    learningRate: all.learningRate,
    momentum: all.momentum,
    nesterov: all.nesterov,
    beta1: all.betas[0],
    beta2: all.betas[1],
    epsilon: all.epsilon,
    clipNorm: all.clipNorm,
    averageDecay: all.averageDecay,
    weightDecay: weightDecays(parameters, all.weightDecay, all.decayBiases, all.groups),
    rateScale
  }
  const { everySteps = fineTuneDefaults.checkpointEvery } = options.checkpoint ?? {}
  return {
    epochs: options.epochs ?? Infinity,
    steps: options.steps ?? Infinity,
    stepsPerEpoch: options.stepsPerEpoch,
    expectedStepsPerEpoch: batchesPerEpoch(options.train, all.batchSize),
    schedule: makeSchedule(schedule, options.warmUp === undefined ? {} : { warmUp: options.warmUp }),
    plateau,
    optimiser,
    seed: all.seed,
    snapshotEvery: fineTuneDefaults.snapshotEvery,
    checkpoint: identity && { everySteps, write: (progress) => writeCheckpoint(checkpointPath(options), { identity, progress }) },
    signal: options.signal,
    keepOnAbort: options.onAbort === 'keep',
    onProgress: options.onProgress
  }
}

function plateauOf({ factor = 0.1, patience = 2 }: Partial<Plateau>): Plateau {
  return { factor, patience }
}

function checkpointPath({ checkpoint }: FineTuneOptions): string {
  return filePath('checkpoint.path', checkpoint?.path)
}

/** Where the checkpoint was; `undefined` where none is asked for, or there is none yet. */
async function resumed(options: FineTuneOptions, identity: Identity): Promise<Progress | undefined> {
  if (options.checkpoint?.resume !== true) return undefined
  const path = checkpointPath(options)
  const saved = (await readCheckpoint(path)) as { readonly identity: Identity; readonly progress: Progress } | undefined
  if (saved === undefined) return undefined
  const other = differences(saved.identity, identity)
  if (other.length === 0) return saved.progress
  throw new PolyadicError(
    'POLYADIC_FORMAT',
    `checkpoint.path: ${show(path)} was made by another training: ${other.join(', ')} ${other.length > 1 ? 'differ' : 'differs'}; begin again without resume, or elsewhere`,
    { subject: path }
  )
}
