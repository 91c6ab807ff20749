import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { elementCount, floatTensor } from '../../lib/tensor.js'
import { fineTune } from '../../lib/training/fine-tune.js'
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

t.test('what has no gradient is refused by name, unless nothing before it is trained', async (t) => {
  const b = new NetworkBuilder(17, 3)
  const sequence = b.node('Transpose', [b.conv(b.input(['N', 3, 7], 'wave'), [5, 3, 1], {}, false)], { perm: [2, 0, 1] })
  const [states] = b.nodeOf('GRU', [sequence, b.weight(1, 12, 5), b.weight(1, 12, 4)], { hidden_size: int(4) }, 1) as [string]
  const last = b.node('Reshape', [b.node('Slice', [states, b.ints(6), b.ints(7), b.ints(0)]), b.ints(-1, 4)])
  const built = b.graph(b.node('MatMul', [last, b.weight(4, modernClasses)]))
  const graph: Graph = {
    ...built,
    nodes: built.nodes.map((node, i) => ({ ...node, name: node.opType === 'GRU' ? 'memory' : `node${i}` }))
  }
  const images = b.random.normal(elementCount([32, 3, 7]))
  const train = { images, labels: Int32Array.from({ length: 32 }, (_, i) => i % modernClasses), count: 32 }
  const options = { train, batchSize: 8, epochs: 1, inputShape: [3, 7], learningRate: 0.1, threads: 1 }
  await t.rejects(fineTune(graph, options), {
    code: 'POLYADIC_UNSUPPORTED',
    message: /node "memory" \(GRU, opset 17\).*freeze/,
    subject: 'memory'
  })
  const tuned = await fineTune(graph, { ...options, frozen: ['node0'] })
  t.ok(tuned.steps > 0)
  t.same(
    [...graph.initializers.keys()].filter((name) => tuned.graph.initializers.get(name) !== graph.initializers.get(name)).length,
    1,
    'the matrix behind it is trained'
  )
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
