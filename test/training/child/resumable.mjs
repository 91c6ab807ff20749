// A training that can be killed at any moment: `resumable.mjs FOLDER OUT`. FOLDER holds model.onnx and data; OUT gets the checkpoint, from
// which it goes on where there is one, and at the end result.json: the trained weights' bytes and the history. A line to standard output
// after every step. Plain JavaScript over the compiled package, which starts twenty times faster than TypeScript.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fineTune, readDataset, readOnnx } from '../../../dist/lib/index.js'

const [, , folder, out] = process.argv
const set = ({ inputs, labels }) => ({ images: inputs.data, labels, count: labels.length })
const data = await readDataset(path.join(folder, 'data'))
const tuned = await fineTune(await readOnnx(path.join(folder, 'model.onnx')), {
  train: set(data.train),
  validation: set(data.validation),
  epochs: 4,
  batchSize: 16,
  optimiser: 'adamw',
  learningRate: 0.01,
  averageDecay: 0.9,
  batchNorm: 'batch',
  schedule: { factor: 0.5, patience: 0 },
  augment: (example, random) => {
    const shift = 0.2 * random.normal()
    for (let i = 0; i < example.length; i++) example[i] += shift
  },
  threads: 1,
  seed: 5,
  checkpoint: { path: path.join(out, 'checkpoint'), everySteps: 7, resume: true },
  onProgress: ({ step }) => process.stdout.write(`${step}\n`)
})
const weights = [...tuned.graph.initializers].map(([name, { data: values }]) => [
  name,
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')
])
const history = tuned.history.map(({ seconds: _, ...record }) => record)
writeFileSync(
  path.join(out, 'result.json'),
  JSON.stringify({ weights, history, best: tuned.best, steps: tuned.steps, rollbacks: tuned.rollbacks })
)
