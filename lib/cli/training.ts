import { PolyadicError, show } from '../errors.js'
import { isFile } from '../formats/dataset.js'
import type { Graph } from '../graph/graph.js'
import { formatPercent, significant } from '../report/format.js'
import { checkTuning, type FineTuneOptions, type FineTuneResult, fineTuneWith } from '../training/fine-tune.js'
import type { Evaluation } from '../training/loop.js'
import { fullWeights } from '../replacement/half-weights.js'
import type { Outline } from '../replacement/outline.js'
import { type CheckpointOptions, fineTuneDefaults } from '../training/options.js'
import type { NamePattern } from '../training/parameters.js'
import { type PrepareTraining, prepareTraining } from '../training/trainer.js'
import { choice, integer, list, number } from './arguments.js'
import { type Arguments, type Command, type Context, UsageError } from './command.js'
import { checkAnswers, dataHelp, dataOptions, type TrainingData } from './training-data.js'

/** Options of everything that trains. */
export const trainingOptions: Command['options'] = {
  ...dataOptions,
  epochs: { type: 'string' },
  batch: { type: 'string' },
  'learning-rate': { type: 'string' },
  momentum: { type: 'string' },
  'weight-decay': { type: 'string' },
  'label-smoothing': { type: 'string' },
  schedule: { type: 'string' },
  freeze: { type: 'string', multiple: true },
  seed: { type: 'string' },
  threads: { type: 'string' }
}

/** Their part of a help text. */
export const trainingHelp = `${dataHelp}
  --epochs N             passes over the data (5)
  --batch N              examples a step (64)
  --learning-rate X      0.01
  --momentum X           0.9
  --weight-decay X       0.0005
  --label-smoothing X    0
  --schedule NAME        constant, step, cosine or one-cycle (cosine)
  --freeze LAYER         keeps a layer's weights; may be repeated
  --seed N               of everything random (0)
  --threads N            one a core by default`

const schedules = ['constant', 'step', 'cosine', 'one-cycle'] as const

export type TrainingSettings = Omit<FineTuneOptions, 'train' | 'validation' | 'signal' | 'onProgress' | 'checkpoint'> & {
  readonly checkpoint?: CheckpointOptions & { readonly path: string }
}

/** Reads them; what is not given is left to the library's defaults. */
export function trainingSettings(args: Arguments): TrainingSettings {
  return {
    epochs: integer(args, 'epochs', 1) ?? 5,
    ...given('batchSize', integer(args, 'batch', 1)),
    ...given('learningRate', number(args, 'learning-rate', 0)),
    ...given('momentum', number(args, 'momentum', 0)),
    ...given('weightDecay', number(args, 'weight-decay', 0)),
    ...given('labelSmoothing', number(args, 'label-smoothing', 0)),
    ...given('schedule', choice(args, 'schedule', schedules)),
    ...given('seed', integer(args, 'seed', 0)),
    ...given('threads', integer(args, 'threads', 1)),
    frozen: list(args, 'freeze')
  }
}

/** `{ [name]: value }`, or nothing when there is no value: options are left out, never `undefined`. */
export function given<K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: T })
}

/**
 * Fails now where `train` would fail at its first step: options out of range, names to freeze that the network does not have, an operator without a
 * gradient, labels that are no classes of the network, targets that are not of its output's size. For who has something else to do before.
 */
export function checkTrainable(graph: Graph, data: TrainingData, settings: TrainingSettings): void {
  checkExamples(data, settings)
  const { batchSize = fineTuneDefaults.batchSize, threads, logits, frozen, batchNorm, dropout = fineTuneDefaults.dropout } = settings
  checkTuning(graph, { ...settings, inputShape: data.example, train: data.train, validation: data.validation })
  try {
    const shape = { batchSize, threads, logits, inputShape: data.example, frozen, batchStatistics: batchNorm === 'batch', dropout }
    preparing(data)(fullWeights(graph), shape).trainer.close()
  } catch (error) {
    // What is too large now may not be when what comes before has let go of its memory.
    if (!(error instanceof PolyadicError && error.code === 'POLYADIC_MEMORY')) throw error
  }
}

/** Throws where there is nothing to learn from, or too little of it. */
function checkExamples({ kind, split }: TrainingData, { distillation, batchSize = fineTuneDefaults.batchSize }: TrainingSettings): void {
  if (kind === 'inputs alone' && distillation === undefined)
    throw new UsageError('the data folder has neither labels.npy nor targets.npy, and there is no --teacher to learn from')
  if (split.train >= batchSize) return
  const message = `${split.train} examples to train on are no whole batch of ${batchSize}: give a smaller --batch`
  throw new PolyadicError('POLYADIC_ARGUMENT', message, { subject: 'batch' })
}

/** Prepares a training, and then looks at what the data say is right: it is known now what the network can. */
function preparing(data: TrainingData): PrepareTraining {
  return (graph, shape) => {
    const training = prepareTraining(graph, shape)
    try {
      checkAnswers(data, training)
    } catch (error) {
      training.trainer.close()
      throw error
    }
    return training
  }
}

/** The settings for a network with other nodes in the place of some layers: whoever freezes a layer freezes those. */
export function frozenIn(settings: TrainingSettings, layers: Outline['layers']): TrainingSettings {
  const nodes = new Map<unknown, readonly string[]>(layers.map((layer) => [layer.name, layer.nodes]))
  return { ...settings, frozen: (settings.frozen ?? []).flatMap((name): readonly NamePattern[] => nodes.get(name) ?? [name]) }
}

/** Trains with progress on the terminal: towards classes, or towards values where the data has those. */
export async function train(
  graph: Graph,
  data: TrainingData,
  settings: TrainingSettings,
  { signal, progress }: Context
): Promise<FineTuneResult> {
  checkExamples(data, settings)
  if (settings.checkpoint?.resume) progress.done(await beginning(settings.checkpoint.path))
  const result = await fineTuneWith(preparing(data), graph, {
    ...settings,
    inputShape: data.example,
    ...(data.kind === 'targets' && { loss: 'mean-squared' }),
    train: data.train,
    validation: data.validation,
    signal,
    onProgress: ({ epoch, step, steps, loss, validation }) => {
      progress.update(
        'fine-tuning',
        step,
        steps ?? step,
        `epoch ${epoch}, loss ${loss.toFixed(3)}${validation ? `, ${quality(validation, data)}` : ''}`
      )
    }
  })
  if (settings.scaleRates) progress.done(dividedRates(result))
  if (result.aborted) return result
  const before = result.initial === undefined ? '' : `${quality(result.initial, data)} → `
  progress.done(`fine-tuned ${result.steps} steps: ${measure(data)} ${before}${quality(result.best, data)}`)
  return result
}

/** What `--scale-rates` did. */
function dividedRates({ stiffness }: FineTuneResult): string {
  if (stiffness.length === 0) return 'no learning rate was divided: there is no stiff chain of factors in the network'
  const divisors = stiffness.map(({ nodes: [first = ''], stiffness: by }) => `${show(first)} ${significant(by, 3)}`)
  return `learning rates were divided, from ${divisors.join(', from ')}`
}

/** What `--resume` does. */
async function beginning(checkpoint: string): Promise<string> {
  if (await isFile(checkpoint)) return `going on from the checkpoint ${show(checkpoint)}`
  return `there is no checkpoint ${show(checkpoint)} yet: training begins at the start`
}

/** What `quality` is the value of. */
export function measure({ kind }: TrainingData): string {
  return kind === 'labels' ? 'validation accuracy' : kind === 'targets' ? 'validation loss' : 'agreement with the teacher'
}

/** Of some examples: the part that comes out right, or the loss where there is no right and wrong. */
export function quality({ accuracy, loss }: Pick<Evaluation, 'accuracy' | 'loss'>, { kind }: TrainingData): string {
  return kind === 'targets' ? significant(loss, 4) : formatPercent(100 * accuracy)
}

/** Accuracies in percent (null where examples have values, not classes), losses, and where training went, for `--json`. */
export function trainingSummary(
  { initial, best, history, rollbacks, steps, stiffness, resumedFrom }: FineTuneResult,
  { kind }: TrainingData
): Record<string, unknown> {
  const percent = (of: { readonly accuracy: number } | undefined): number | null =>
    of === undefined || kind === 'targets' ? null : 100 * of.accuracy
  return {
    validation_accuracy_before: percent(initial),
    validation_accuracy_after: percent(best),
    validation_loss_before: initial?.loss ?? null,
    validation_loss_after: best.loss,
    best_epoch: best.epoch,
    steps,
    resumed_from_step: resumedFrom ?? null,
    rollbacks: rollbacks.length,
    stiffness,
    epochs: history.map((epoch) => ({
      epoch: epoch.epoch,
      loss: epoch.loss,
      accuracy: percent(epoch),
      validation_accuracy: percent(epoch.validation),
      validation_loss: epoch.validation?.loss ?? null,
      seconds: epoch.seconds
    }))
  }
}
