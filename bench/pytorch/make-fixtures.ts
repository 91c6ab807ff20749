// Makes test/training/fixtures/pytorch.json: gradients of the first batch and the losses of 200 steps, by PyTorch.
// Cases that are there stay as they are, but for those named on the command line.
//   npm run fixtures:pytorch [-- NAME…]        (needs a Python with torch and numpy: POLYADIC_PYTHON, else /usr/bin/python3)

import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'
import { elementCount } from '../../lib/tensor.js'
import { findPyTorch, PyTorchPeer } from './peer.js'
import { pytorchCases, pytorchData } from '../../test/training/pytorch-cases.js'

const steps = 200
const python = findPyTorch()
if (python === undefined) throw new Error('no Python with torch and numpy')
const file = path.join(root, 'test', 'training', 'fixtures', 'pytorch.json')
const before = JSON.parse(await readFile(file, 'utf8')) as { readonly pytorch: string; readonly cases: Record<string, unknown> }
const cases: Record<string, unknown> = {}
let version = before.pytorch
for (const item of pytorchCases) {
  const { name, graph, dims, batchSize, batchNorm, labelSmoothing, optimiser, clipNorm } = item
  if (before.cases[name] !== undefined && !process.argv.slice(2).includes(name)) {
    cases[name] = before.cases[name]
    continue
  }
  const { inputs, targets } = pytorchData(item)
  const size = elementCount(dims)
  const first = { inputs: inputs.subarray(0, batchSize * size), targets: targets.subarray(0, batchSize), dims }
  const [forGradients, forCurve] = [
    await PyTorchPeer.start(python, graph, { threads: 1, batchNorm }),
    await PyTorchPeer.start(python, graph, { threads: 1, batchNorm })
  ]
  const { loss, gradients } = await forGradients.gradients(first, labelSmoothing)
  const { losses } = await forCurve.step(steps, { data: { inputs, targets, dims }, batchSize, optimiser, labelSmoothing, clipNorm })
  version = forCurve.version
  cases[name] = {
    loss,
    parameters: forGradients.parameters,
    gradients: Buffer.from(gradients.buffer, gradients.byteOffset, gradients.byteLength).toString('base64'),
    losses: losses.map((value) => Number(value.toPrecision(8)))
  }
  await forGradients.close()
  await forCurve.close()
}
await writeFile(file, `${JSON.stringify({ pytorch: version, cases }, null, 1)}\n`)
console.log(`${file} written by PyTorch ${version}`)
