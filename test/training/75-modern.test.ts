import t from 'tap'
import { floatTensor } from '../../lib/tensor.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { prepareTraining } from '../../lib/training/trainer.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { modernBatch, modernClasses, modernNetworks } from './modern-networks.js'
import { pytorchCases, pytorchData } from './pytorch-cases.js'

for (const { name, dims, graph } of modernNetworks) {
  t.test(`fineTune trains ${name}`, async (t) => {
    const item = pytorchCases.find((other) => other.name === name)
    const { inputs, targets } = pytorchData(item as (typeof pytorchCases)[number])
    const train = { images: inputs, labels: targets, count: targets.length }
    const options = {
      train,
      validation: train,
      batchSize: modernBatch,
      inputShape: dims,
      learningRate: 0.01,
      optimiser: 'adamw' as const,
      seed: 1
    }
    const run = async (threads: number) => fineTune(graph, { ...options, epochs: 24, threads })
    const tuned = await run(1)
    t.ok(tuned.best.loss < 0.8 * (tuned.initial?.loss as number), `${tuned.initial?.loss} → ${tuned.best.loss}`)
    t.same(tuned.untrained, [])
    const still = [...graph.initializers].filter(([key, { dtype, data }]) => {
      return dtype === 'float32' && data.length > 1 && tuned.graph.initializers.get(key)?.data === data
    })
    const given = graph.nodes.flatMap(({ opType, inputs: own }) =>
      opType === 'Resize' ? own.slice(1) : opType === 'BatchNormalization' ? own.slice(3) : []
    )
    t.same(
      still.map(([key]) => key).filter((key) => !given.includes(key)),
      [],
      'every weight was trained'
    )
    t.same([...(await run(2)).graph.initializers], [...tuned.graph.initializers], 'the same bits on two threads')
    const next = await fineTune(tuned.graph, { ...options, epochs: 1, learningRate: 1e-6 })
    t.ok(Math.abs((next.initial?.loss as number) - tuned.best.loss) < 1e-5, 'written back as it was trained')
  })
}

t.test('recurrent layers: weights are trained with nothing trained before them, states of a batch stay', async (t) => {
  const b = new NetworkBuilder(17, 3)
  const [size, hidden] = [3, 4]
  const sequence = b.node('Transpose', [b.input(['N', 7, size], 'wave')], { perm: [1, 0, 2] })
  const states = b.constant(floatTensor(b.random.normal(8 * hidden), [1, 8, hidden]))
  const bias = b.weight(1, 6 * hidden)
  const weights = [b.weight(1, 3 * hidden, size), b.weight(1, 3 * hidden, hidden), bias]
  const [, last = ''] = b.nodeOf('GRU', [sequence, ...weights, '', states], { hidden_size: int(hidden) }, 2)
  const graph = b.graph(b.node('MatMul', [b.node('Reshape', [last, b.ints(-1, hidden)]), b.weight(hidden, modernClasses)]))
  const images = b.random.normal(32 * 7 * size)
  const train = { images, labels: Int32Array.from({ length: 32 }, (_, i) => i % modernClasses), count: 32 }
  const options = { train, batchSize: 8, epochs: 1, inputShape: [7, size], learningRate: 0.1, threads: 1 }
  const { graph: tuned } = await fineTune(graph, options)
  const kept = [...graph.initializers].filter(
    ([name, { dtype }]) => dtype === 'float32' && tuned.initializers.get(name) === graph.initializers.get(name)
  )
  t.same(
    kept.map(([name]) => name),
    [states]
  )
  const { parameters, trainer } = prepareTraining(graph, { batchSize: 8, threads: 1, inputShape: [7, size] })
  trainer.close()
  t.same(
    parameters.flatMap((parameter) => (parameter?.role === 'bias' ? parameter.initializers : [])),
    [bias],
    'no weight decay for its biases'
  )
})

t.test('what is not finite behind the end of a sequence does not reach the gradients', async (t) => {
  const b = new NetworkBuilder(17, 3)
  const [size, hidden] = [3, 4]
  const sequence = b.node('Transpose', [b.node('Log', [b.input(['N', 5, size], 'power')])], { perm: [1, 0, 2] })
  const lengths = b.node('Cast', [b.ints(5, 2, 3, 1)], { to: int(6) })
  const weights = [b.weight(1, 4 * hidden, size), b.weight(1, 4 * hidden, hidden), '', lengths]
  const [, last = ''] = b.nodeOf('LSTM', [sequence, ...weights], { hidden_size: int(hidden) }, 2)
  const graph = b.graph(b.node('MatMul', [b.node('Reshape', [last, b.ints(-1, hidden)]), b.weight(hidden, modernClasses)]))
  const { trainer } = prepareTraining(graph, { batchSize: 4, threads: 1, inputShape: [5, size] })
  const gradientsOf = async (padding: number): Promise<readonly Float32Array[]> => {
    const power = Float32Array.from({ length: 4 * 5 * size }, (_, i) => 1 + (i % 7))
    for (const [image, length] of [5, 2, 3, 1].entries()) power.fill(padding, (image * 5 + length) * size, (image + 1) * 5 * size)
    const loss = { kind: 'cross_entropy', output: 0, target: Int32Array.of(0, 1, 2, 3) } as const
    return (await trainer.gradients([power], [loss]).promise).gradients
  }
  const gradients = await gradientsOf(0)
  t.ok(gradients.every((gradient) => gradient.every(Number.isFinite)))
  t.same(gradients, await gradientsOf(1), 'whatever stands there')
  trainer.close()
})

t.test('masks and grids that trained values meet keep their values; what training begins with does not', async (t) => {
  const b = new NetworkBuilder(17, 3)
  const conv = b.conv(b.input(['N', 3, 7], 'wave'), [7, 3, 1], {}, false)
  const square = b.node('MatMul', [conv, b.weight(7, 7)])
  const constant = (value: (row: number, column: number) => number): string =>
    b.constant(
      floatTensor(
        Float32Array.from({ length: 49 }, (_, i) => value(Math.floor(i / 7), i % 7)),
        [7, 7]
      )
    )
  const [mask, grid, table] = [constant((i, j) => (j > i ? -100 : 0)), constant((_, j) => j), constant(() => 0)]
  const met = [mask, grid, table].reduce((value, other) => b.node('Add', [b.node('MatMul', [value, b.weight(7, 7)]), other]), square)
  const graph = b.graph(b.node('ReduceMean', [met], { axes: [2], keepdims: int(0) }))
  const train = { images: b.random.normal(32 * 21), labels: new Int32Array(32), count: 32 }
  const { graph: tuned } = await fineTune(graph, { train, batchSize: 8, epochs: 1, inputShape: [3, 7], threads: 1 })
  const kept = [...graph.initializers.keys()].filter((name) => tuned.initializers.get(name) === graph.initializers.get(name))
  t.same(kept, [mask, grid])
})
