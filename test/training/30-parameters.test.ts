import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { asFloat32, floatTensor, int64Tensor } from '../../lib/tensor.js'
import { initialise } from '../../lib/training/initialise.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { rateScales, weightDecays, writeParameters } from '../../lib/training/parameters.js'
import { linearGraph } from './softmax-trainer.js'

const parameters = [
  { initializers: ['w'], nodes: ['fc'], role: 'weight', transposed: true },
  { initializers: ['b'], nodes: ['fc'], role: 'bias', transposed: false },
  { initializers: ['conv1.weight'], nodes: ['conv1'], role: 'weight', transposed: false }
] as const

t.test('frozen names and patterns', async (t) => {
  t.strictSame([...rateScales(parameters)], [1, 1, 1])
  t.strictSame([...rateScales(parameters, ['fc'])], [0, 0, 1])
  t.strictSame([...rateScales(parameters, ['b', /^conv/g])], [1, 0, 0])
  t.strictSame([...rateScales([undefined, ...parameters], ['fc'])], [0, 0, 0, 1], 'a constant of the plan is never trained')
  t.throws(() => rateScales(parameters, ['conv']), { code: 'POLYADIC_ARGUMENT', message: /"conv" matches no node.*; did you mean "conv1"/ })
  t.throws(() => rateScales(parameters, ['dense']), { code: 'POLYADIC_ARGUMENT', message: /"dense" matches no node.*fc, conv1/ })
  t.throws(() => rateScales(parameters, [/./]), { code: 'POLYADIC_ARGUMENT', message: /nothing to train/ })
  t.throws(() => rateScales(parameters, [1 as never]), { code: 'POLYADIC_ARGUMENT' })
})

t.test('biases do not decay unless asked', async (t) => {
  t.strictSame([...weightDecays(parameters, 0.5, false)], [0.5, 0, 0.5])
  t.strictSame([...weightDecays(parameters, 0.5, true)], [0.5, 0.5, 0.5])
})

t.test('weights are written back, matrices transposed', async (t) => {
  const graph = linearGraph()
  const weights = Float32Array.from({ length: 12 }, (_, i) => i)
  const written = writeParameters(graph, parameters.slice(0, 2), [weights, Float32Array.of(7, 8, 9)], Float32Array.of(1, 0))
  t.strictSame([...asFloat32(written.initializers.get('w') as never, 'w')], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
  t.strictSame(written.initializers.get('w')?.dims, [4, 3])
  t.equal(written.initializers.get('b'), graph.initializers.get('b'), 'frozen: the same tensor')
  t.ok(
    graph.initializers.get('w')?.data.every((value) => Number(value) === 0),
    'the graph given is not changed'
  )
  t.throws(() => writeParameters(graph, parameters.slice(0, 1), [new Float32Array(11)], Float32Array.of(1)), {
    code: 'POLYADIC_GRAPH',
    subject: 'w'
  })
})

t.test('initial weights: variance by fan-in and by what follows', async (t) => {
  const zeros = (...dims: number[]) => floatTensor(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims)
  const graph = makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 16, 8, 8] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: undefined }],
    initializers: new Map([
      ['w1', zeros(64, 16, 3, 3)],
      ['b1', floatTensor(new Float32Array(64).fill(3), [64])],
      ['w2', zeros(64, 64, 3, 3)],
      ['shape', int64Tensor([-1, 16, 4, 8, 8])],
      ['flat', int64Tensor([-1, 1024])],
      ['w3', zeros(1024, 50)]
    ]),
    nodes: [
      makeNode({ name: 'conv1', opType: 'Conv', inputs: ['x', 'w1', 'b1'], outputs: ['c1'], attributes: { pads: [1, 1, 1, 1] } }),
      makeNode({ opType: 'Relu', inputs: ['c1'], outputs: ['r1'] }),
      makeNode({ name: 'conv2', opType: 'Conv', inputs: ['r1', 'w2'], outputs: ['c2'], attributes: { pads: [1, 1, 1, 1] } }),
      makeNode({ opType: 'Reshape', inputs: ['c2', 'shape'], outputs: ['pieces'] }),
      makeNode({ opType: 'ReduceMax', inputs: ['pieces'], outputs: ['m2'], attributes: { axes: [2] } }),
      makeNode({ opType: 'Reshape', inputs: ['m2', 'flat'], outputs: ['f'] }),
      makeNode({ name: 'fc', opType: 'Gemm', inputs: ['f', 'w3'], outputs: ['y'] })
    ]
  })
  const fresh = initialise(graph, { seed: 5 })
  const variance = (name: string): number => {
    const data = asFloat32(fresh.initializers.get(name) as never, name)
    return data.reduce((sum, value) => sum + value * value, 0) / data.length
  }
  const near = (name: string, expected: number): unknown =>
    t.ok(Math.abs(variance(name) / expected - 1) < 0.05, `${name}: ${variance(name)}, expected ${expected}`)
  near('w1', 2 / 144)
  near('w2', 1 / 1.5513 / 576)
  near('w3', 1 / 1024)
  t.equal(variance('b1'), 0)
  t.equal(fresh.initializers.get('shape'), graph.initializers.get('shape'))
  // A deep comparison of thousands of elements takes tap seconds.
  const start = (from: Graph): unknown => asFloat32(from.initializers.get('w1') as never, 'w1').slice(0, 50)
  t.strictSame(start(initialise(graph, { seed: 5 })), start(fresh))
  t.notSame(start(initialise(graph, { seed: 6 })), start(fresh))
})

t.test('initialise: both matrices of a recurrent layer by their own inputs, its biases zero', async (t) => {
  const b = new NetworkBuilder(17, 1)
  const weights = [b.weight(2, 256, 36), b.weight(2, 256, 64), b.weight(2, 512)]
  const [y = ''] = b.nodeOf('LSTM', [b.input([5, 3, 36], 'x'), ...weights], { hidden_size: int(64), direction: 'bidirectional' }, 1)
  const fresh = initialise(b.graph(y))
  const power = weights.map((name) => {
    const data = asFloat32(fresh.initializers.get(name) as never, name)
    return data.reduce((sum, value) => sum + value * value, 0) / data.length
  })
  t.ok(Math.abs((power[0] as number) * 36 - 1) < 0.05, `W: ${power[0]}`)
  t.ok(Math.abs((power[1] as number) * 64 - 1) < 0.05, `R: ${power[1]}`)
  t.equal(power[2], 0)
})
