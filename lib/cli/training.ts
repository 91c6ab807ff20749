import { type Dataset, exampleSet } from '../formats/dataset.js'
import type { Graph } from '../graph/graph.js'
import { formatPercent } from '../report/format.js'
import { fineTune, type FineTuneOptions, type FineTuneResult } from '../training/fine-tune.js'
import { choice, integer, list, number } from './arguments.js'
import type { Arguments, Command, Context } from './command.js'

/** Options of everything that trains. */
export const trainingOptions: Command['options'] = {
  data: { type: 'string' },
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
export const trainingHelp = `  --data DIR             inputs.npy (N×C×H×W float32) and labels.npy (N, int32, int64 or uint8), in DIR itself or in
                         its folders train, validation and test; without validation every tenth example is held out
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

export type TrainingSettings = Omit<FineTuneOptions, 'train' | 'validation' | 'signal' | 'onProgress'>

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

/** Trains with progress on the terminal. */
export async function train(
  graph: Graph,
  data: Dataset,
  settings: TrainingSettings,
  { signal, progress }: Context
): Promise<FineTuneResult> {
  const result = await fineTune(graph, {
    ...settings,
    train: exampleSet(data.train),
    validation: exampleSet(data.validation),
    signal,
    onProgress: ({ epoch, step, steps, loss, validation }) => {
      progress.update(
        'fine-tuning',
        step,
        steps ?? step,
        `epoch ${epoch}, loss ${loss.toFixed(3)}${validation ? `, ${formatPercent(100 * validation.accuracy)}` : ''}`
      )
    }
  })
  progress.done(
    `fine-tuned ${result.steps} steps: validation accuracy ${formatPercent(100 * (result.initial?.accuracy ?? Number.NaN))} → ${formatPercent(100 * result.best.accuracy)}`
  )
  return result
}

/** Accuracies in percent and where training went, for `--json`. */
export function trainingSummary({ initial, best, history, rollbacks, steps }: FineTuneResult): Record<string, unknown> {
  return {
    validation_accuracy_before: initial === undefined ? null : 100 * initial.accuracy,
    validation_accuracy_after: 100 * best.accuracy,
    best_epoch: best.epoch,
    steps,
    rollbacks: rollbacks.length,
    epochs: history.map(({ epoch, loss, accuracy, validation, seconds }) => ({
      epoch,
      loss,
      accuracy: 100 * accuracy,
      validation_accuracy: validation === undefined ? null : 100 * validation.accuracy,
      seconds
    }))
  }
}
