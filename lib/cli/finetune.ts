import { writeOnnx } from '../onnx/write.js'
import { formatPercent } from '../report/format.js'
import { evaluate } from '../training/evaluate.js'
import { checkWritable, flag, onePositional, requiredText } from './arguments.js'
import type { Command } from './command.js'
import { loadNetwork } from './network.js'
import { given, measure, quality, train, trainingHelp, trainingOptions, trainingSettings, trainingSummary } from './training.js'
import { trainingData } from './training-data.js'
import { tuningHelp, tuningOptions, tuningSettings } from './tuning-options.js'

const help = `
Train a network further, against labels, towards values (targets.npy, N×… float32, in the place of labels.npy) or
towards another network (--teacher, for which inputs.npy is enough); the best weights by validation are kept.

Usage: polyadic finetune MODEL.onnx --data DIR -o OUT.onnx [--epochs N] [...]

${trainingHelp}
${tuningHelp}
  -o, --output FILE      the trained network
  --json                 print what was reached as JSON
`

export const finetune: Command = {
  name: 'finetune',
  summary: 'train a network further on data',
  help,
  options: { ...trainingOptions, ...tuningOptions, output: { type: 'string', short: 'o' }, json: { type: 'boolean' } },
  async run(args, context) {
    const file = onePositional(args, 'MODEL.onnx')
    const [folder, output] = [requiredText(args, 'data'), requiredText(args, 'output', '-o')]
    const settings = await tuningSettings(args, trainingSettings(args))
    await checkWritable(output)
    const graph = await loadNetwork(file)
    const { inputShape, batchSize, seed } = settings
    const data = await trainingData(args, folder, graph, {
      ...given('shape', inputShape),
      ...given('batchSize', batchSize),
      ...given('seed', seed)
    })
    const result = await train(graph, data, settings, context)
    const test =
      data.test && data.kind === 'labels'
        ? await evaluate(result.graph, data.test, {
            ...given('threads', settings.threads),
            ...given('logits', settings.logits),
            ...given('inputShape', inputShape),
            signal: context.signal
          })
        : undefined
    context.signal.throwIfAborted()
    await writeOnnx(result.graph, output)
    if (flag(args, 'json'))
      return context.print(
        JSON.stringify({ output, ...trainingSummary(result, data), ...(test && { test_accuracy: 100 * test.accuracy }) }, null, 2)
      )
    const tested = test ? `, test accuracy ${formatPercent(100 * test.accuracy)}` : ''
    context.print(`${output} written: ${measure(data)} ${quality(result.best, data)} (epoch ${result.best.epoch})${tested}`)
  }
}
