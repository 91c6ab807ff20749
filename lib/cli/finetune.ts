import { exampleSet, readDataset } from '../formats/dataset.js'
import { writeOnnx } from '../onnx/write.js'
import { formatPercent } from '../report/format.js'
import { evaluate } from '../training/evaluate.js'
import { checkWritable, flag, onePositional, requiredText } from './arguments.js'
import type { Command } from './command.js'
import { loadNetwork } from './network.js'
import { given, train, trainingHelp, trainingOptions, trainingSettings, trainingSummary } from './training.js'
import { tuningHelp, tuningOptions, tuningSettings } from './tuning-options.js'

const help = `
Train a network further, against labels or towards another network; the best weights by validation are kept.

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
    const data = await readDataset(folder)
    const result = await train(graph, data, settings, context)
    const test =
      data.test && (await evaluate(result.graph, exampleSet(data.test), { ...given('threads', settings.threads), signal: context.signal }))
    context.signal.throwIfAborted()
    await writeOnnx(result.graph, output)
    if (flag(args, 'json'))
      return context.print(
        JSON.stringify({ output, ...trainingSummary(result), ...(test && { test_accuracy: 100 * test.accuracy }) }, null, 2)
      )
    const tested = test ? `, test accuracy ${formatPercent(100 * test.accuracy)}` : ''
    context.print(
      `${output} written: validation accuracy ${formatPercent(100 * result.best.accuracy)} (epoch ${result.best.epoch})${tested}`
    )
  }
}
