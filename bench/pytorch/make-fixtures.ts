// Makes test/training/fixtures/pytorch.json: gradients of the first batch and the losses of 200 steps, by PyTorch.
//   npm run fixtures:pytorch        (needs a Python with torch and numpy: POLYADIC_PYTHON, else /usr/bin/python3)

import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'
import { findPyTorch, PyTorchPeer } from './peer.js'
import { pytorchCases, pytorchData } from '../../test/training/pytorch-cases.js'

const steps = 200
const python = findPyTorch()
if (python === undefined) throw new Error('no Python with torch and numpy')
const cases: Record<string, unknown> = {}
let version = ''
for (const item of pytorchCases) {
  const { name, graph, dims, batchSize, batchNorm, labelSmoothing, optimiser, clipNorm } = item
  const { inputs, targets } = pytorchData(item)
  const size = dims[0] * dims[1] * dims[2]
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
const file = path.join(root, 'test', 'training', 'fixtures', 'pytorch.json')
await writeFile(file, `${JSON.stringify({ pytorch: version, cases }, null, 1)}\n`)
console.log(`${file} written by PyTorch ${version}`)
