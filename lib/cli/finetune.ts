import { stat } from 'node:fs/promises'
import { writeOnnx } from '../onnx/write.js'
import { formatPercent } from '../report/format.js'
import { evaluate } from '../training/evaluate.js'
import { checkNetworkFile, checkOutputs, choice, flag, onePositional, requiredText, text } from './arguments.js'
import { type Arguments, type Command, type Context, Interrupted } from './command.js'
import { loadNetwork, weightTypes, withWeights } from './network.js'
import { checkShapeNames, exampleShape, shapeOptions } from './shapes.js'
import {
  checkTrainable,
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
import { trainingData } from './training-data.js'
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
  const weights = choice(args, 'weights', weightTypes)
  const graph = await loadNetwork(file, context.signal)
  const { batchSize, seed } = settings
  checkShapeNames(shapeOptions(args), [graph])
  const shape = exampleShape(graph, shapeOptions(args), 'example')
  const reading = { ...given('shape', shape), ...given('batchSize', batchSize), ...given('seed', seed) }
  const data = await trainingData(args, folder, graph, reading, context)
  checkTrainable(graph, data, settings)
  const result = await train(graph, data, settings, context)
  const test =
    data.test && data.kind === 'labels'
      ? await evaluate(result.graph, data.test, {
          ...given('threads', settings.threads),
          ...given('logits', settings.logits),
          inputShape: data.example,
          signal: context.signal
        })
      : undefined
  context.signal.throwIfAborted()
  await writeOnnx(withWeights(result.graph, weights), output, { signal: context.signal })
  if (flag(args, 'json'))
    return context.printJson({
      output,
      data: data.split,
      ...trainingSummary(result, data),
      ...(test && { test_accuracy: 100 * test.accuracy })
    })
  const tested = test ? `, test accuracy ${formatPercent(100 * test.accuracy)}` : ''
  context.print(`${output} written: ${measure(data)} ${quality(result.best, data)} (epoch ${result.best.epoch})${tested}`)
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
    if (!(error instanceof Interrupted)) throw error
    const now = await modified()
    // One that was there already may be another training's, unless this one has gone on from it.
    throw now !== undefined && (resume || now !== before) ? new Interrupted(error.signal, path) : error
  }
}
