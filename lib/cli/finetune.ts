import { stat } from 'node:fs/promises'
import { show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { formatPercent } from '../report/format.js'
import { evaluate } from '../training/evaluate.js'
import type { Evaluation } from '../training/loop.js'
import { checkNetworkFile, checkOutputs, choice, flag, onePositional, requiredText, text } from './arguments.js'
import { type Arguments, type Command, type Context, Interrupted } from './command.js'
import { loadNetwork } from './network.js'
import { checkWeightType, noting, saving, uninterrupted, weightTypes, writeNetwork } from './saving.js'
import { checkShapeNames, exampleShape, shapeOptions } from './shapes.js'
import {
  given,
  measure,
  quality,
  train,
  trainingHelp,
  trainingOptions,
  type TrainingSettings,
  trainingSettings,
  trainingSummary
} from './training.js'
import { type TrainingData, trainingData } from './training-data.js'
import { tuningHelp, tuningOptions, tuningSettings } from './tuning-options.js'

const help = `
Train a network further, against labels, towards values (targets.npy in the place of labels.npy) or
towards another network (--teacher, for which inputs.npy is enough); the best weights by validation are kept.

Usage: polyadic finetune MODEL.onnx --data DIR -o OUT.onnx [--epochs N] [...]

${trainingHelp}
${tuningHelp}
  -o, --output FILE      the trained network
  --weights TYPE         how they are stored, whatever MODEL.onnx has: float32, bfloat16 or float16, behind Cast nodes (float32)
  --json                 print what was reached as JSON
`

export const finetune: Command = {
  name: 'finetune',
  summary: 'train a network further on data',
  help,
  options: {
    ...trainingOptions,
    ...tuningOptions,
    output: { type: 'string', short: 'o' },
    weights: { type: 'string' },
    json: { type: 'boolean' }
  },
  async run(args, context) {
    const file = onePositional(args, 'MODEL.onnx')
    const [folder, output] = [requiredText(args, 'data'), requiredText(args, 'output', '-o')]
    shapeOptions(args) // whether they can be read at all
    const settings = await tuningSettings(args, trainingSettings(args))
    const teacher = text(args, 'teacher')
    await checkNetworkFile(output)
    await checkOutputs({ '--output': output, '--checkpoint': settings.checkpoint?.path }, [
      file,
      ...(teacher === undefined ? [] : [teacher])
    ])
    await resumable(settings.checkpoint, () => tune(args, settings, { file, folder, output }, context))
  }
}

interface Files {
  readonly file: string
  readonly folder: string
  readonly output: string
}

async function tune(args: Arguments, settings: TrainingSettings, { file, folder, output }: Files, context: Context): Promise<void> {
  const target = { output, weights: choice(args, 'weights', weightTypes), signal: context.signal }
  const graph = await loadNetwork(file, context.signal)
  checkWeightType(graph, target)
  const { batchSize, seed } = settings
  checkShapeNames(shapeOptions(args), [graph])
  const shape = exampleShape(graph, shapeOptions(args), 'example')
  const reading = { ...given('shape', shape), ...given('batchSize', batchSize), ...given('seed', seed) }
  const data = await trainingData(args, folder, graph, reading, context)
  // A checkpoint is more than the best weights: with one, training goes on later.
  const kept = settings.checkpoint === undefined ? ({ ...settings, onAbort: 'keep' } as const) : settings
  const result = await train(graph, data, kept, context)
  if (result.aborted) {
    const done = `the network, trained up to epoch ${result.best.epoch},`
    if (result.best.epoch > 0) await saving(result.graph, done, target, async () => context.signal.throwIfAborted())
    context.signal.throwIfAborted()
  }
  // All that was asked for is there: an interruption that comes only now does not lose it.
  await writeNetwork(result.graph, uninterrupted(target))
  const test = await tested(result.graph, data, settings, context).catch((error: unknown) => {
    throw noting(error, `the network is trained and written to ${show(output)}`)
  })
  if (flag(args, 'json'))
    return context.printJson({
      output,
      data: data.split,
      ...trainingSummary(result, data),
      ...(test && { test_accuracy: 100 * test.accuracy })
    })
  const accuracy = test ? `, test accuracy ${formatPercent(100 * test.accuracy)}` : ''
  context.print(`${output} written: ${measure(data)} ${quality(result.best, data)} (epoch ${result.best.epoch})${accuracy}`)
}

/** On the test set, where there is one with labels. */
async function tested(
  network: Graph,
  data: TrainingData,
  { threads, logits }: TrainingSettings,
  { signal }: Context
): Promise<Evaluation | undefined> {
  if (data.test === undefined || data.kind !== 'labels') return undefined
  return evaluate(network, data.test, { ...given('threads', threads), ...given('logits', logits), inputShape: data.example, signal })
}

/** An interruption says which checkpoint there is to go on from. */
async function resumable(checkpoint: TrainingSettings['checkpoint'], work: () => Promise<void>): Promise<void> {
  if (checkpoint === undefined) return work()
  const { path, resume } = checkpoint
  const modified = (): Promise<number | undefined> =>
    stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined
    )
  const before = await modified()
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Interrupted) || error.left !== undefined) throw error
    const now = await modified()
    // One that was there already may be another training's, unless this one has gone on from it.
    if (now === undefined || (!resume && now === before)) throw error
    throw noting(error, `${show(path)} is a checkpoint, from which --resume goes on`)
  }
}
