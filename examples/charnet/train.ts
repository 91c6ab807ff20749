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
      epochs: { type: 'string', default: String(denseTraining.epochs) },
      count: { type: 'string', default: String(defaultCounts.train) },
      seed: { type: 'string', default: '1' },
      threads: { type: 'string' },
      out: { type: 'string', default: charnetFile }
    }
  })
  const progress = createProgress()
  const [epochs, count, seed] = [Number(values.epochs), Number(values.count), Number(values.seed)]
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
  const result = await fineTune(createCharNet(seed), {
    ...denseTraining,
    epochs,
    batchSize,
    ...(values.threads !== undefined && { threads: Number(values.threads) }),
    train,
    validation,
    seed,
    onProgress: ({ epoch, step, steps, loss, accuracy, validation: validated }) => {
      progress.update('training', step, steps ?? step, `epoch ${epoch}, loss ${loss.toFixed(3)}, ${(100 * accuracy).toFixed(1)} %`)
      if (validated) progress.done(`epoch ${epoch}: validation accuracy ${(100 * validated.accuracy).toFixed(2)} %`)
    }
  })
  const { accuracy } = await evaluate(result.graph, test)
  await writeOnnx(result.graph, values.out)
  progress.done(`test accuracy ${(100 * accuracy).toFixed(2)} %, ${values.out} written`)
}

await main()
