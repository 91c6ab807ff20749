import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { runJob } from '../../lib/native/jobs.js'
import { compress } from '../../lib/replacement/compress.js'
import { Session } from '../../lib/runtime/session.js'
import { type FloatTensor, floatTensor } from '../../lib/tensor.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { factorChains } from '../../lib/training/factor-chains.js'
import { balanceFactors, sensitivityOf } from '../../lib/training/sensitivity.js'
import { prepareTraining } from '../../lib/training/trainer.js'
import { bars, toyNetwork, toySize } from './toy.js'

const dims = [1, toySize, toySize] as const
const batchSize = 16
const train = bars(320, 1)
const { graph } = await compress(toyNetwork(3), { layers: { conv1: 3, conv2: 6 }, seed: 1, whenSlower: 'replace' })

function replaced(name: string, change: (value: number, i: number) => number): Graph {
  const tensor = graph.initializers.get(name) as FloatTensor
  return { ...graph, initializers: new Map(graph.initializers).set(name, floatTensor(tensor.data.map(change), tensor.dims)) }
}

async function gradientsWith(sensitivity: number) {
  const { trainer, parameters } = prepareTraining(graph, { batchSize, threads: 1, inputShape: dims, sensitivity })
  const images = train.images.subarray(0, batchSize * toySize * toySize)
  const target = (train.labels as Int32Array).subarray(0, batchSize)
  const result = await runJob(() => trainer.gradients([images], [{ kind: 'cross_entropy', output: 0, target }]))
  trainer.close()
  return { ...result, parameters }
}

t.test('the penalty is the sensitivity, its gradients are numerical differences', async (t) => {
  const weight = 0.5
  const [without, with_] = [await gradientsWith(0), await gradientsWith(weight)]
  const expected = weight * sensitivityOf(graph)
  t.ok(expected > 0)
  t.ok(Math.abs(with_.penalty - expected) < 1e-5 * expected, `${with_.penalty}, ${expected}`)
  t.equal(without.penalty, 0)
  const chains = factorChains(graph)
  t.equal(chains.length, 2)
  for (const { weight: name } of chains.flatMap(({ factors }) => factors)) {
    const index = with_.parameters.findIndex((parameter) => parameter?.initializers.includes(name))
    const { data } = graph.initializers.get(name) as FloatTensor
    const scale = Math.max(...with_.gradients[index]!.map(Math.abs))
    for (const at of [0, Math.floor(data.length / 2), data.length - 1]) {
      // Doubles of a polynomial of degree six: the difference of so large a step is off by some 1e-4 of it.
      const step = 1e-2 * Math.max(Math.abs(data[at] as number), 0.1)
      const moved = (by: number): number => weight * sensitivityOf(replaced(name, (value, i) => (i === at ? value + by : value)))
      const numerical = (moved(step) - moved(-step)) / (2 * step)
      const own = (with_.gradients[index]![at] as number) - (without.gradients[index]![at] as number)
      t.ok(Math.abs(own - numerical) < 1e-3 * scale, `${name}[${at}]: ${own}, ${numerical}`)
    }
  }
})

t.test('balanced factors compute the same and are equally large', async (t) => {
  const [chain] = factorChains(graph)
  const name = chain?.factors[0]?.weight as string
  const other = chain?.factors[1]?.weight as string
  const crooked = { ...replaced(name, (value) => 8 * value) }
  const initializers = new Map(crooked.initializers)
  const tensor = initializers.get(other) as FloatTensor
  initializers.set(
    other,
    floatTensor(
      tensor.data.map((value) => value / 8),
      tensor.dims
    )
  )
  const skewed = { ...crooked, initializers }
  const balanced = balanceFactors(skewed)
  t.ok(sensitivityOf(balanced) < 0.5 * sensitivityOf(skewed), `${sensitivityOf(skewed)} before, ${sensitivityOf(balanced)} after`)
  const outputs = await Promise.all(
    [skewed, balanced].map(async (network) => {
      await using session = await Session.create(network)
      const [input] = network.inputs
      const images = floatTensor(train.images.slice(0, 8 * toySize * toySize), [8, ...dims])
      return Object.values(await session.run({ [input?.name as string]: images }))[0]?.data as Float32Array
    })
  )
  const largest = Math.max(...outputs[0]!.map((value, i) => Math.abs(value - (outputs[1]![i] as number))))
  t.ok(largest < 1e-5, `outputs differ by ${largest}`)
})

t.test('trained with it, factors are less sensitive', async (t) => {
  const options = { train, epochs: 4, batchSize, learningRate: 0.02, threads: 1, seed: 1 } as const
  const [free, held] = [await fineTune(graph, options), await fineTune(graph, { ...options, sensitivity: 1e-2 })]
  t.ok(sensitivityOf(held.graph) < 0.9 * sensitivityOf(free.graph), `${sensitivityOf(free.graph)}, held ${sensitivityOf(held.graph)}`)
})
