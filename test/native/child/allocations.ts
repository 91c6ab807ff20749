import { readFileSync } from 'node:fs'
import t from 'tap'
import { alexNet, resNet18 } from '../../../bench/networks.js'
import { GraphBuilder } from '../../../bench/graphs.js'
import type { Graph } from '../../../lib/graph/graph.js'
import { floatTensor } from '../../../lib/tensor.js'
import { Session } from '../../../lib/runtime/session.js'
import { charNet } from '../../helpers/charnet.js'
import { float, int, NetworkBuilder } from '../../helpers/network-builder.js'
import { generator } from '../../helpers/plan-builder.js'

// Runs in a process of its own with allocation-counter.c preloaded: what native code asks for is in the file.
const file = process.env.ALLOCATION_COUNT as string
const allocations = (): number => Number(readFileSync(file).readBigInt64LE())

function layer(groups: number): Graph {
  const b = new GraphBuilder('cp')
  return b.graph(
    'layer',
    b.convolution('conv', b.input, { inputs: 32, outputs: 48, kernel: 5, pad: 2, groups, rank: 24 }),
    [32, 19, 19],
    [48, 19, 19]
  )
}

/** Pooling, normalisation, transposed convolutions (by positions: mostly padding), resizing, and what works on row-major tensors. */
function mixed(): Graph {
  const b = new NetworkBuilder()
  const x = b.input(['n', 16, 12, 12])
  const pooled = b.node('AveragePool', [b.node('LRN', [b.conv(x, [32, 16, 3, 3])], { size: int(3) })], { kernel_shape: [2, 2] })
  const large = b.node('ConvTranspose', [pooled, b.weight(32, 16, 9, 9)], { pads: [4, 4, 4, 4] })
  const resized = b.node('Resize', [large, '', b.constant(floatTensor(Float32Array.of(1, 1, 2, 2), [4]))])
  const flat = b.node('ReduceMean', [resized], { axes: [3], keepdims: int(0) })
  const normal = b.node('Softmax', [b.node('MatMul', [flat, b.weight(18, 10)])], { axis: int(-1) })
  return b.graph(b.node('LeakyRelu', [b.node('Transpose', [normal], { perm: [0, 2, 1] })], { alpha: float(0.1) }))
}

const cases: readonly [string, Graph, readonly number[], number][] = [
  ['CharNet', charNet(), [1, 24, 24], 1],
  ['CharNet, a batch in slices', charNet(), [1, 24, 24], 70],
  ['a CP block', layer(1), [32, 19, 19], 1],
  ['a grouped CP block, many images', layer(2), [32, 19, 19], 9],
  ['AlexNet of CP blocks', alexNet('cp'), [3, 227, 227], 1],
  ['ResNet-18', resNet18('dense'), [3, 224, 224], 1],
  ['one of all sorts', mixed(), [16, 12, 12], 3]
]

for (const threads of [1, 2]) {
  for (const [name, graph, dims, batch] of cases) {
    await using session = await Session.create(graph, { threads })
    const input = floatTensor(generator(1).normal(batch * dims.reduce((a, b) => a * b, 1)), [batch, ...dims])
    // The first run makes the plan; the second of each kind what its calls keep.
    const outputs = session.runSync(input)
    for (let i = 0; i < 2; i++) {
      await session.run(input, { outputs })
      session.runSync(input, { outputs })
    }
    const before = allocations()
    t.ok(before > 0, 'the counter counts')
    for (let i = 0; i < 5; i++) session.runSync(input, { outputs })
    t.equal(allocations() - before, 0, `${name}, ${threads} threads: runSync() allocates nothing`)
    for (let i = 0; i < 5; i++) await session.run(input, { outputs })
    t.equal(allocations() - before, 0, `${name}, ${threads} threads: run() allocates nothing`)
  }
}
