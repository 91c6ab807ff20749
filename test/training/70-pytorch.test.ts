import { readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { runJob } from '../../lib/native/jobs.js'
import { elementCount } from '../../lib/tensor.js'
import { weightDecays } from '../../lib/training/parameters.js'
import { prepareTraining, type Training } from '../../lib/training/trainer.js'
import { type PyTorchCase, pytorchCases, pytorchData } from './pytorch-cases.js'

interface Fixture {
  readonly loss: number
  readonly parameters: readonly string[]
  readonly gradients: string
  readonly losses: readonly number[]
}
const { cases } = JSON.parse(readFileSync(path.join(import.meta.dirname, 'fixtures', 'pytorch.json'), 'utf8')) as {
  cases: Record<string, Fixture>
}

function prepare({ graph, dims, batchSize, batchNorm }: PyTorchCase, threads: number): Training {
  return prepareTraining(graph, { batchSize, threads, inputShape: dims, batchStatistics: batchNorm === 'batch' })
}

/** PyTorch's gradients by initializer. */
function gradientsOf(item: PyTorchCase, fixture: Fixture): Map<string, Float32Array> {
  const bytes = Buffer.from(fixture.gradients, 'base64')
  const all = new Float32Array(new Uint8Array(bytes).buffer)
  let at = 0
  return new Map(
    fixture.parameters.map((name) => {
      const length = item.graph.initializers.get(name)?.data.length as number
      return [name, all.subarray(at, (at += length))]
    })
  )
}

for (const item of pytorchCases) {
  const fixture = cases[item.name] as Fixture
  const { inputs, targets } = pytorchData(item)
  const size = elementCount(item.dims)
  const batch = (i: number): [Float32Array, Int32Array] => {
    const from = (i % item.batches) * item.batchSize
    return [inputs.subarray(from * size, (from + item.batchSize) * size), targets.subarray(from, from + item.batchSize)]
  }
  const losses = (target: Int32Array) => [{ kind: 'cross_entropy', output: 0, target, smoothing: item.labelSmoothing }] as const

  t.test(`${item.name}: gradients as PyTorch's`, async (t) => {
    const { trainer, parameters } = prepare(item, 2)
    const [input, target] = batch(0)
    const { loss, gradients } = await runJob(() => trainer.gradients([input], losses(target)))
    trainer.close()
    t.ok(Math.abs(loss - fixture.loss) < 1e-5 * Math.max(1, loss), `loss ${loss}, PyTorch's ${fixture.loss}`)
    const theirs = gradientsOf(item, fixture)
    const compared = new Set<string>()
    parameters.forEach((parameter, i) => {
      if (parameter === undefined || parameter.role === 'statistics') return
      const [name = ''] = parameter.initializers
      const wanted = theirs.get(name) as Float32Array
      const [rows = 1, columns = 1] = item.graph.initializers.get(name)?.dims ?? []
      const ours = gradients[i] as Float32Array
      const scale = Math.max(...wanted.map(Math.abs), 1e-4)
      // Float32 sums in two orders: some 1e-6 of the largest was seen.
      let worst = 0
      wanted.forEach((value, k) => {
        const own = parameter.transposed ? ours[(k % columns) * rows + Math.floor(k / columns)] : ours[k]
        worst = Math.max(worst, Math.abs(value - (own as number)) / scale)
      })
      t.ok(worst < 1e-5, `${name}: ${worst.toExponential(1)}`)
      compared.add(name)
    })
    t.strictSame([...compared].sort(), [...fixture.parameters].sort())
  })

  t.test(`${item.name}: 200 steps follow PyTorch's loss`, async (t) => {
    const { trainer, parameters, rateScale } = prepare(item, 1)
    const { weightDecay, ...optimiser } = item.optimiser
    let worst = 0
    for (let i = 0; i < fixture.losses.length; i++) {
      const [input, target] = batch(i)
      const options = {
        ...optimiser,
        weightDecay: weightDecays(parameters, weightDecay, false),
        rateScale,
        clipNorm: item.clipNorm,
        step: i + 1
      }
      const { loss } = await runJob(() => trainer.step([input], losses(target), options))
      worst = Math.max(worst, Math.abs(loss - (fixture.losses[i] as number)))
    }
    trainer.close()
    t.ok(worst < 1e-3, `largest difference ${worst.toExponential(1)} of losses from ${fixture.losses[0]} to ${fixture.losses.at(-1)}`)
    t.ok((fixture.losses.at(-1) as number) < 0.8 * (fixture.losses[0] as number), 'PyTorch learned something')
  })
}
