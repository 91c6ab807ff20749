// Trains the dense CharNet from scratch with polyadic and writes charnet.onnx:
//   npm run train:charnet -- [--epochs N] [--count N] [--seed N] [--threads N] [--out FILE]

import { parseArgs } from 'node:util'
import { evaluate, fineTune, writeOnnx } from '../../lib/index.js'
import { createProgress } from '../../lib/report/progress.js'
import { createCharNet } from './architecture.js'
import { createCharacters, defaultCounts } from './dataset.js'
import { denseTraining } from './hyper-parameters.js'
import { charnetFile } from './paths.js'

const batchSize = 64

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      epochs: { type: 'string' },
      count: { type: 'string', default: String(defaultCounts.train) },
      seed: { type: 'string', default: '1' },
      threads: { type: 'string' },
      out: { type: 'string', default: charnetFile }
    }
  })
  const progress = createProgress()
  const [count, seed] = [Number(values.count), Number(values.seed)]
  const create = (split: 'validation' | 'test') =>
    createCharacters({
      split,
      count: defaultCounts[split],
      onProgress: (done, total) => progress.update(`drawing ${split} characters`, done, total)
    })
  const [validation, test] = [await create('validation'), await create('test')]
  const train = await createCharacters({
    split: 'train',
    count,
    onProgress: (done, total) => progress.update('drawing train characters', done, total)
  })
  let graph = createCharNet(seed)
  for (const [index, cycle] of denseTraining.entries()) {
    const name = `cycle ${index + 1}`
    const result = await fineTune(graph, {
      ...cycle,
      ...(values.epochs !== undefined && { epochs: Number(values.epochs) }),
      ...(values.threads !== undefined && { threads: Number(values.threads) }),
      batchSize,
      train,
      validation,
      onProgress: ({ epoch, step, steps, loss, accuracy, validation: validated }) => {
        progress.update(name, step, steps ?? step, `epoch ${epoch}, loss ${loss.toFixed(3)}, ${(100 * accuracy).toFixed(1)} %`)
        if (validated) progress.done(`${name}, epoch ${epoch}: validation accuracy ${(100 * validated.accuracy).toFixed(2)} %`)
      }
    })
    graph = result.graph
  }
  const { accuracy } = await evaluate(graph, test)
  await writeOnnx(graph, values.out)
  progress.done(`test accuracy ${(100 * accuracy).toFixed(2)} %, ${values.out} written`)
}

await main()
