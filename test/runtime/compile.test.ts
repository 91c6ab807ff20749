import { exportedGelus, noGelus } from '../helpers/exported-gelus.js'
import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { float, int } from '../../lib/graph/rewrite.js'
import { compile } from '../../lib/runtime/compile.js'
import type { PlanStep } from '../../lib/runtime/plan-spec.js'
import { charNet } from '../helpers/charnet.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor } from '../../lib/tensor.js'
import { type Build, chain, graphOf, opsOf, stepsOf } from '../helpers/compiled.js'
import { throwsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

void t.test('an option that is undefined is left to its default', (t) => {
  const graph = graphOf([1, 2, 4, 4], (b, x) => b.norm(b.conv(x, [3, 2, 1, 1]), 3))
  const names = ['inputShapes', 'inputValues', 'threads', 'training', 'batchStatistics', 'dropout', 'fusion', 'cpBlocks', 'precision']
  t.same(compile(graph, Object.fromEntries(names.map((name) => [name, undefined]))), compile(graph))
  t.end()
})

void t.test('batch normalisation is folded into weights and bias', (t) => {
  const graph = graphOf([1, 2, 4, 4], (b, x) => b.norm(b.conv(x, [3, 2, 1, 1]), 3))
  const { spec, parameters } = compile(graph)
  t.same(
    spec.steps.map((step) => step.op),
    ['convolution']
  )
  t.same(parameters, [
    { initializers: [], layout: 'derived' },
    { initializers: [], layout: 'derived' }
  ])
  const data = [...graph.initializers.values()].map((tensor) => tensor.data as Float32Array)
  const [weight, bias, scale, shift, mean, variance] = data as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array
  ]
  const factor = scale.map((value, c) => value / Math.sqrt(variance[c]! + 1e-5))
  spec.parameters[0]!.data.forEach((value, i) => t.ok(Math.abs(value - weight[i]! * factor[i >> 1]!) < 1e-6))
  spec.parameters[1]!.data.forEach((value, c) => t.ok(Math.abs(value - ((bias[c]! - mean[c]!) * factor[c]! + shift[c]!)) < 1e-6))
  t.same(
    opsOf([1, 2, 4, 4], (b, x) => b.norm(b.norm(x, 2), 2)),
    ['affine'],
    'two of them become one'
  )
  t.same(
    opsOf([1, 2, 4, 4], (b, x) => b.norm(b.node('Relu', [b.conv(x, [3, 2, 1, 1])]), 3)),
    ['convolution', 'affine'],
    'not behind an activation'
  )
  t.end()
})

void t.test('a weight that another node reads is not changed by folding', (t) => {
  const { spec, parameters } = compile(
    graphOf([1, 2, 4, 4], (b, x) => {
      const w = b.weight(2, 2, 1, 1)
      return b.node('Relu', [b.node('Conv', [b.node('Sigmoid', [b.norm(b.node('Conv', [x, w]), 2)]), w])])
    })
  )
  const [first, second] = spec.steps as [PlanStep & { weight: number }, PlanStep & { weight: number }]
  t.same(parameters[first.weight]?.layout, 'derived')
  t.same(parameters[second.weight], { initializers: ['w0'], layout: 'same' })
  t.end()
})

void t.test('activation, maxout and residual join their convolution', (t) => {
  const [step] = stepsOf([1, 4, 6, 6], (b, x) => b.node('LeakyRelu', [b.conv(x, [8, 4, 3, 3])], { alpha: float(0.25) }))
  t.match(step, { op: 'convolution', activation: { kind: 'leaky_relu', alpha: 0.25 } })
  t.same(
    opsOf([1, 4, 6, 6], (b, x) => b.node('Relu', [b.node('Relu', [b.conv(x, [8, 4, 3, 3])])])),
    ['convolution', 'activation'],
    'one activation only'
  )
  t.same(
    opsOf([1, 4, 6, 6], (b, x) => {
      const y = b.conv(x, [8, 4, 3, 3])
      return [b.node('Relu', [y]), y]
    }),
    ['convolution', 'activation'],
    'not where the sum itself is needed'
  )
  const residual = stepsOf([1, 4, 6, 6], (b, x) => b.node('Relu', [b.node('Add', [x, b.conv(x, [4, 4, 1, 1])])]))
  t.match(residual, [{ op: 'convolution', residual: 0, activation: { kind: 'relu' } }])
  t.end()
})

void t.test('a GELU as exporters write it is one activation, and what looks like one is none', (t) => {
  const ofRows = (body: (b: NetworkBuilder, x: string) => string): string[] =>
    opsOf([2, 3, 4], (b, x) => body(b, b.node('MatMul', [x, b.weight(4, 4)]))).map(String)
  for (const [name, gelu] of exportedGelus) {
    t.match(
      stepsOf([1, 4, 6, 6], (b, x) => gelu(b, b.conv(x, [8, 4, 3, 3]))),
      [{ op: 'convolution', activation: { kind: 'gelu' } }],
      name
    )
    t.same(ofRows(gelu), ['matmul', 'activation'], `${name}, rows`)
  }
  for (const [name, body] of noGelus) {
    t.notOk(opsOf([1, 4, 6, 6], (b, x) => body(b, b.conv(x, [8, 4, 3, 3]))).includes('activation'), name)
    t.notOk(ofRows(body).includes('activation'), `${name}, rows`)
  }
  t.end()
})

void t.test('no chain of sums is too long to be looked at', (t) => {
  const ops = opsOf([1, 3, 4], (b, x) => {
    let y = x
    for (let i = 0; i < 20_000; i++) y = b.node('Add', [y, b.scalar(1)])
    return b.node('Mul', [y, b.scalar(2)])
  })
  t.ok(ops.length > 0)
  t.end()
})

void t.test('gates join as one activation', (t) => {
  const swish = stepsOf([1, 4, 6, 6], (b, x) => {
    const y = b.conv(x, [8, 4, 3, 3])
    return b.node('Mul', [b.node('Sigmoid', [y]), y])
  })
  t.match(swish, [{ op: 'convolution', activation: { kind: 'swish', alpha: 1 } }])
  const hard = stepsOf([1, 4, 6, 6], (b, x) => {
    const y = b.conv(x, [8, 4, 3, 3])
    const gate = b.node('Clip', [b.node('Add', [y, b.scalar(3)]), b.scalar(0), b.scalar(6)])
    return b.node('Div', [b.node('Mul', [y, gate]), b.scalar(6)])
  })
  t.equal(hard.length, 1)
  t.match(hard, [{ op: 'convolution', activation: { kind: 'hard_swish' } }])
  const other = opsOf([1, 4, 6, 6], (b, x) => {
    const y = b.conv(x, [8, 4, 3, 3])
    const gate = b.node('Sigmoid', [y])
    return [b.node('Mul', [gate, y]), gate]
  })
  t.same(other, ['convolution', 'activation', 'multiply'], 'not where the gate itself is needed')
  t.end()
})

void t.test('a maximum over zeros of a Pad node', async (t) => {
  // onnxruntime 1.30 takes such zeros for padding of the pool and gives −1.
  const graph = graphOf([1, 1, 2, 2], (b, x) =>
    b.node('MaxPool', [b.node('Pad', [x, b.ints(0, 0, 1, 1, 0, 0, 1, 1)])], { kernel_shape: [3, 3] })
  )
  await using session = await Session.create(graph)
  const [output] = Object.values(await session.run(floatTensor(Float32Array.of(-1, -2, -3, -4), [1, 1, 2, 2])))
  t.same(output?.data, new Float32Array(4))
})

void t.test('of two convolutions the later one adds', (t) => {
  const steps = stepsOf([1, 4, 6, 6], (b, x) => {
    const [first, second] = [b.conv(x, [4, 4, 1, 1]), b.conv(x, [4, 4, 3, 3], { pads: [1, 1, 1, 1] })]
    return b.node('Add', [first, second])
  })
  t.match(steps, [
    { op: 'convolution', kernel: [1, 1] },
    { op: 'convolution', kernel: [3, 3], residual: 1 }
  ])
  const late = stepsOf([1, 4, 6, 6], (b, x) => {
    const y = b.conv(x, [4, 4, 1, 1])
    return b.node('Add', [y, b.node('Sigmoid', [x])])
  })
  t.match(late, [{ op: 'activation' }, { op: 'convolution', residual: late[0]!.output }], 'a convolution waits for what is added to it')
  t.end()
})

void t.test('CharNet: four convolutions with maxout', (t) => {
  const { spec, inputs, outputs } = compile(charNet(), { inputShapes: { patches: [64, 1, 24, 24] } })
  t.match(spec.steps, [
    { op: 'convolution', maxout: { pieces: 2, order: 'adjacent' } },
    { op: 'convolution', maxout: { pieces: 2, order: 'adjacent' } },
    { op: 'convolution', maxout: { pieces: 4, order: 'adjacent' } },
    { op: 'convolution', maxout: { pieces: 4, order: 'adjacent' } },
    { op: 'softmax' }
  ])
  t.same(inputs, [{ name: 'patches', dims: [64, 1, 24, 24], dtype: 'float32' }])
  t.same(outputs, [{ name: graphOutput(charNet()), dims: [64, 36], dtype: 'float32' }])
  t.same(spec.values.at(-1), { n: 64, c: 36, h: 1, w: 1 })
  t.end()
})

function graphOutput(graph: Graph): string | undefined {
  return graph.outputs[0]?.name
}

void t.test('maxout needs all channels', (t) => {
  const slices = (b: NetworkBuilder, x: string, ...ranges: [number, number][]): string =>
    b.node(
      'Max',
      ranges.map(([from, to]) => b.node('Slice', [x, b.ints(from), b.ints(to), b.ints(1)]))
    )
  t.match(
    stepsOf([1, 6, 2, 2], (b, x) => slices(b, x, [3, 6], [0, 3])),
    [{ op: 'maxout', pieces: 2, order: 'strided' }],
    'in any order'
  )
  for (const ranges of [
    [
      [0, 3],
      [0, 3]
    ],
    [
      [0, 2],
      [3, 5]
    ],
    [
      [0, 2],
      [2, 4]
    ]
  ] as [number, number][][]) {
    t.match(opsOf([1, 6, 2, 2], (b, x) => slices(b, x, ...ranges)).at(-1), 'elementwise', 'otherwise it is a maximum')
  }
  t.end()
})

void t.test('views that a step does not take over are copied', (t) => {
  const ops = (build: Build): string[] => opsOf([1, 6, 4, 4], build)
  const half = (b: NetworkBuilder, x: string): string => b.node('Slice', [x, b.ints(0), b.ints(3), b.ints(1)])
  const pads = (b: NetworkBuilder): string => b.ints(0, 0, 1, 1, 0, 0, 1, 1)
  const conv = (b: NetworkBuilder, x: string): string => b.conv(x, [6, 6, 1, 1])
  t.same(
    ops((b, x) => b.node('Relu', [half(b, conv(b, x))])),
    ['convolution', 'channels', 'activation'],
    'a part of the channels'
  )
  t.same(
    ops((b, x) => b.conv(b.node('Pad', [x, pads(b)]), [6, 6, 3, 3])),
    ['convolution'],
    'a convolution pads by itself'
  )
  t.same(
    ops((b, x) => b.node('Relu', [b.node('Pad', [x, pads(b)])])),
    ['copy', 'activation']
  )
  t.same(
    ops((b, x) => b.node('MaxPool', [b.node('Pad', [x, pads(b)])], { kernel_shape: [2, 2] })),
    ['copy', 'to_blocked', 'max_pool'],
    'zeros are not what a maximum pads with'
  )
  t.same(
    ops((b, x) => b.node('Relu', [b.node('Reshape', [conv(b, x), b.ints(1, 3, 8, 4)])])),
    ['convolution', 'to_dense', 'activation']
  )
  t.same(
    ops((b, x) => conv(b, b.node('Transpose', [b.node('Transpose', [x], { perm: [0, 2, 3, 1] })], { perm: [0, 3, 1, 2] }))),
    ['to_blocked', 'convolution'],
    'to N×H×W×C and back is nothing'
  )
  t.same(
    ops((b, x) => b.node('Add', [conv(b, x), b.node('GlobalAveragePool', [x])])),
    ['convolution', 'global_average_pool', 'elementwise'],
    'blocks are broadcast over the map'
  )
  t.same(
    ops((b, x) => [b.node('Relu', [half(b, x)]), b.node('Tanh', [half(b, x)])]),
    ['channels', 'activation', 'activation'],
    'a copy is made once'
  )
  t.end()
})

void t.test('training goes through dense values', (t) => {
  const trained = (build: Build): boolean[] =>
    compile(graphOf([1, 6, 4, 4], build), { training: true }).spec.parameters.map(({ trainable }) => trainable)
  const transposed = (b: NetworkBuilder, x: string): string => b.node('Transpose', [x], { perm: [0, 2, 3, 1] })
  t.same(
    opsOf([1, 6, 4, 4], (b, x) => b.conv(b.node('Exp', [b.node('Transpose', [x], { perm: [0, 3, 2, 1] })]), [2, 4, 3, 3]), {
      training: true
    }),
    ['elementwise', 'to_blocked', 'convolution']
  )
  t.same(
    opsOf([1, 6, 4, 4], (b, x) => b.node('MatMul', [transposed(b, x), b.weight(6, 3)]), { training: true }),
    ['copy', 'matmul', 'to_blocked'],
    'losses are taken of blocked values'
  )
  t.same(
    trained((b, x) => b.node('MatMul', [transposed(b, x), b.weight(6, 3)])),
    [true],
    'the matrix of a product'
  )
  t.same(
    trained((b, x) => b.node('Mul', [b.weight(6), transposed(b, b.conv(x, [6, 6, 1, 1], {}, false))])),
    [true, true],
    'behind a weight'
  )
  t.same(
    trained((b, x) => b.node('MatMul', [b.node('Sub', [transposed(b, x), b.weight(6)]), b.weight(6, 3)])),
    [false, true],
    'what prepares the input stays'
  )
  t.same(
    trained((b, x) => b.node('Add', [transposed(b, b.conv(x, [6, 6, 1, 1], {}, false)), b.scalar(0.5)])),
    [true, false],
    'a single number is a constant'
  )
  const masks = (b: NetworkBuilder): string => b.constant(floatTensor(Float32Array.of(0, -Infinity, 0, 0, 0, 0), [6]))
  t.same(
    trained((b, x) => b.node('Add', [transposed(b, b.conv(x, [6, 6, 1, 1], {}, false)), masks(b)])),
    [true, false],
    'infinity masks'
  )
  t.end()
})

void t.test('constants', (t) => {
  const { spec, outputs, constants } = compile(
    graphOf([2, 6, 4, 4], (b, x) => [
      b.node('Shape', [x]),
      b.node('Identity', [b.weight(2, 2)]),
      b.conv(x, [4, 6, 1, 1]),
      b.conv(x, [4, 6, 1, 1], {}, false),
      b.node('Conv', [x, b.node('Exp', [b.weight(5, 6, 1, 1)])])
    ])
  )
  t.same([...constants.keys()], ['shape0', 'identity1'])
  t.equal(outputs.length, 3)
  t.same(
    spec.steps.map((step) => step.op),
    ['convolution', 'convolution', 'convolution'],
    'weights that are computed from others are computed once, when the plan is made'
  )
  t.end()
})

void t.test('training keeps parameters', (t) => {
  const graph = graphOf([4, 3, 6, 6], (b, x) => {
    const y = b.node('Relu', [b.norm(b.conv(x, [8, 3, 3, 3]), 8)])
    const w = b.weight(128, 5)
    return b.node('Softmax', [b.node('Add', [b.node('MatMul', [b.node('Flatten', [y]), w]), b.weight(5)])])
  })
  const { spec, parameters } = compile(graph, { training: true })
  t.same(
    spec.steps.map((step) => step.op),
    ['convolution', 'batch_norm', 'flatten', 'convolution'],
    'logits are the output'
  )
  t.equal(spec.outputs[0], spec.steps.at(-1)?.output)
  t.same(
    parameters.map(({ initializers, layout }) => [initializers[0], layout]),
    [
      ['w0', 'same'],
      ['w1', 'same'],
      ['w2', 'same'],
      ['w3', 'same'],
      ['w4', 'same'],
      ['w5', 'same'],
      ['w6', 'transposed'],
      ['w7', 'same']
    ]
  )
  t.same(
    spec.parameters.map((parameter) => parameter.trainable),
    [true, true, true, true, false, false, true, true],
    'the running statistics are not trained'
  )
  t.equal(spec.parameters[6]?.data[1], graph.initializers.get('w6')?.data[5])
  t.same(
    opsOf([1, 4, 9, 9], (b, x) => chain(b, x), { training: true }),
    Array(4).fill('convolution')
  )
  t.end()
})

void t.test('a shared initializer is one parameter', (t) => {
  const shared: Build = (b, x) => {
    const w = b.weight(6, 6)
    return b.node('Gemm', [b.node('Gemm', [x, b.node('Identity', [w])], { transB: int(1) }), w], { transB: int(1) })
  }
  t.same(compile(graphOf([2, 6], shared), { training: true }).parameters, [{ initializers: ['w0'], layout: 'same' }])
  const both: Build = (b, x) => {
    const w = b.weight(6, 6)
    return b.node('MatMul', [b.node('Gemm', [x, w], { transB: int(1) }), w])
  }
  t.same(
    compile(graphOf([2, 6], both)).parameters.map(({ layout }) => layout),
    ['same', 'transposed']
  )
  throwsError(t, () => compile(graphOf([2, 6], both), { training: true }), 'POLYADIC_UNSUPPORTED', '"w0"', 'transposed')
  t.end()
})

void t.test('inputs', (t) => {
  const b = new NetworkBuilder()
  const [unused, flat] = [b.input([1, 2]), b.input(['n', 12])]
  const graph = b.graph(b.node('Relu', [b.node('Reshape', [flat, b.ints(-1, 3, 2, 2)])]), b.node('Relu', [flat]))
  const { spec, inputs } = compile(graph, { inputShapes: { [flat]: [5, 12] } })
  t.same(
    inputs.map((input) => input.name),
    [flat, flat],
    `${unused} is not read, ${flat} in two shapes`
  )
  t.same(
    spec.inputs.map((value) => spec.values[value]),
    [
      { n: 5, c: 12, h: 1, w: 1 },
      { n: 5, c: 3, h: 2, w: 2 }
    ]
  )
  throwsError(t, () => compile(graph, { threads: 0 }), 'POLYADIC_ARGUMENT', 'threads')
  t.end()
})

void t.test('two initializers made from one array stay two parameters', (t) => {
  const b = new NetworkBuilder()
  const zeros = new Float32Array(4)
  const biases = [b.constant(floatTensor(zeros, [4])), b.constant(floatTensor(zeros, [4]))] as const
  const layer = (x: string, bias: string): string => b.node('Conv', [x, b.weight(4, 4, 1, 1), bias])
  const { parameters } = compile(b.graph(layer(layer(b.input([1, 4, 2, 2]), biases[0]), biases[1])), { training: true })
  t.same(parameters.map(({ initializers }) => initializers[0]).sort(), [...b.initializers.keys()].sort())
  t.end()
})

void t.test('dimensions written as 0 or -1 are free', (t) => {
  const b = new NetworkBuilder()
  const graph = b.graph(b.node('Relu', [b.input([0, 3, -1, 4], 'x')]))
  t.same(compile(graph, { inputShapes: { x: [2, 3, 5, 4] } }).outputs[0]?.dims, [2, 3, 5, 4])
  throwsError(t, () => compile(graph), 'POLYADIC_SHAPE', '?×3×?×4')
  t.end()
})
