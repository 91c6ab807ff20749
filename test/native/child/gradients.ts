import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import type { PlanActivation, PlanSpec } from '../../../lib/runtime/plan-spec.js'
import { compareGradients, lossesOf } from '../../helpers/gradient-check.js'
import { PlanBuilder, generator } from '../../helpers/plan-builder.js'

/** Adds a last convolution over the whole map, so that any map leads to logits; then compares all gradients. */
async function check(name: string, b: PlanBuilder, output: number, threads = 1, elements: 'dozen' | 'all' = 'dozen'): Promise<void> {
  const shape = b.shape(output)
  // Not an average over the map: that would hide gradients of the wrong pixel.
  const logits = b.convolution(output, 3, { kernel: [shape.h, shape.w] })
  await compareGradients(name, b.spec(logits, threads), b.inputData(), b.random, elements)
}

function begin(seed: number, channels = 5, size = 9): { b: PlanBuilder; x: number } {
  const b = new PlanBuilder(generator(seed), true)
  const input = b.input(3, 3, size, size)
  return { b, x: b.convolution(input, channels, { kernel: [3, 2], pads: [1, 0, 1, 1] }) }
}

for (let seed = 0; seed < 24; seed++) {
  const { b, x } = begin(seed, [5, 12, 17, 6][seed % 4] as number)
  const r = b.random
  const groups = [1, 1, 1, 2, 3, 1][seed % 6] as number
  const channels = b.shape(x).c
  const divides = channels % groups === 0 ? groups : 1
  const window = {
    kernel: [r.integer(1, 4), r.integer(1, 4)] as const,
    strides: [r.integer(1, 3), r.integer(1, 3)] as const,
    pads: [r.integer(0, 2), r.integer(0, 2), r.integer(0, 2), r.integer(0, 2)] as const,
    dilations: [r.integer(1, 2), r.integer(1, 2)] as const
  }
  await check(
    `convolution seed ${seed}, ${divides} groups`,
    b,
    b.convolution(x, divides * r.integer(1, 7), { ...window, groups: divides, bias: seed % 3 > 0 }),
    1 + (seed % 2)
  )
}

// Every tile of weights that the tables have: up to eight taps and four blocks of channels, and every weight of it.
for (let taps = 1; taps <= 9; taps++) {
  for (const channels of [3, 13, 29, 45, 61]) {
    const b = new PlanBuilder(generator(100 * taps + channels), true)
    await check(`${taps} taps, ${channels} channels`, b, b.convolution(b.input(2, 1, 2, 9), channels, { kernel: [1, taps] }), 1, 'all')
  }
}

// More taps than a kernel sums at once.
for (const [kernel, strides] of [
  [
    [13, 1],
    [1, 1]
  ],
  [
    [3, 5],
    [2, 3]
  ],
  [
    [5, 5],
    [1, 1]
  ]
] as const) {
  const { b, x } = begin(kernel[0], 18, 15)
  await check(`depthwise ${kernel}, strides ${strides}`, b, b.convolution(x, 18, { kernel, strides, pads: [1, 0, 1, 2], groups: 18 }), 2)
}

for (const channels of [3, 8, 13]) {
  const { b, x } = begin(channels, channels)
  const vertical = b.convolution(x, channels, { kernel: [4, 1], strides: [2, 1], pads: [2, 0, 1, 0], groups: channels })
  await check(
    `depthwise ${channels}`,
    b,
    b.convolution(vertical, channels, { kernel: [1, 3], dilations: [1, 2], pads: [0, 1, 0, 2], groups: channels, bias: false })
  )
  const two = begin(channels, channels)
  await check(`depthwise multiplier ${channels}`, two.b, two.b.convolution(two.x, channels * 2, { kernel: [3, 3], groups: channels }))
}

const activations: PlanActivation[] = [
  { kind: 'relu' },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'clip', alpha: -0.5, beta: 0.7 },
  { kind: 'sigmoid' },
  { kind: 'tanh' },
  { kind: 'hard_sigmoid', alpha: 0.3, beta: 0.5 },
  { kind: 'hard_swish', alpha: 1.5 },
  { kind: 'elu', alpha: 1.2 },
  { kind: 'selu', alpha: 1.67, beta: 1.05 },
  { kind: 'softplus' },
  { kind: 'swish', alpha: 1.1 },
  { kind: 'gelu' },
  { kind: 'gelu_tanh' },
  { kind: 'mish' }
]
for (const activation of activations) {
  const { b, x } = begin(40)
  await check(activation.kind, b, b.step({ op: 'activation', input: x, activation }))
}

for (const order of ['adjacent', 'strided'] as const) {
  for (const pieces of [2, 3, 4]) {
    const { b, x } = begin(50 + pieces, 5 * pieces)
    await check(`maxout ${pieces} ${order}`, b, b.step({ op: 'maxout', input: x, pieces, order }, { ...b.shape(x), c: 5 }))
  }
}

// Enough channels for those that are compared to lie in blocks of their own (ChannelOrder), with and without empty places; a stride
// makes the data gradient go by positions; a second consumer takes them as they are counted.
for (const order of ['adjacent', 'strided'] as const) {
  for (const [pieces, channels] of [
    [2, 15],
    [2, 31],
    [3, 15],
    [4, 16],
    [5, 29]
  ] as const) {
    for (const strides of [[1, 1] as const, [2, 3] as const]) {
      const { b, x } = begin(90 + pieces, 7)
      const activation: PlanActivation = { kind: pieces % 2 === 0 ? 'relu' : 'none' }
      const wide = b.convolution(x, channels * pieces, { kernel: [2, 3], strides, pads: [0, 1, 1, 0] }, { activation })
      const name = `maxout ${pieces} ${order} of ${channels}, strides ${strides}`
      const most = b.step({ op: 'maxout', input: wide, pieces, order }, { ...b.shape(wide), c: channels })
      await check(name, b, most, 2)
      const two = begin(90 + pieces, 7)
      const shared = two.b.convolution(two.x, channels * pieces, { kernel: [2, 3], strides })
      const one = two.b.step({ op: 'maxout', input: shared, pieces, order }, { ...two.b.shape(shared), c: channels })
      const { n, h, w } = two.b.shape(shared)
      await check(`${name}, shared`, two.b, two.b.step({ op: 'concat', inputs: [one, shared] }, { n, c: channels * (pieces + 1), h, w }))
    }
  }
}

for (const op of ['max_pool', 'average_pool'] as const) {
  for (const size of [2, 3]) {
    for (const stride of [1, 2, 3, 4]) {
      for (const pads of [
        [0, 0, 0, 0],
        [1, 0, 1, 1]
      ] as const) {
        const { b, x } = begin(63, 9, 10)
        const window = { kernel: [size, size] as const, strides: [stride, stride] as const, pads, dilations: [1, 1] as const }
        const pooled = b.step({ op, input: x, ...window, countIncludePad: stride === 2 }, b.windowed(x, window, 9))
        await check(`${op} ${size}, stride ${stride}, pads ${pads}`, b, pooled)
        // Another consumer has already left its gradient.
        if (stride > 2) continue
        const two = begin(64, 9, 10)
        const smaller = two.b.step({ op, input: two.x, ...window, countIncludePad: false }, two.b.windowed(two.x, window, 9))
        const { h, w } = two.b.shape(two.x)
        const [narrow, wide] = [two.b.convolution(smaller, 2), two.b.convolution(two.x, 2)]
        const flat = (value: number): number => {
          const shape = two.b.shape(value)
          return two.b.step({ op: 'flatten', input: value }, { n: shape.n, c: shape.c * shape.h * shape.w, h: 1, w: 1 })
        }
        const [first, second] = [flat(narrow), flat(wide)]
        const c = two.b.shape(first).c + 2 * h * w
        await check(
          `${op} ${size}, stride ${stride}, shared`,
          two.b,
          two.b.step({ op: 'concat', inputs: [first, second] }, { n: 3, c, h: 1, w: 1 })
        )
      }
    }
  }
}

for (const op of ['max_pool', 'average_pool'] as const) {
  for (const countIncludePad of [true, false]) {
    const { b, x } = begin(60, 9)
    const window = { kernel: [3, 2] as const, strides: [2, 1] as const, pads: [1, 1, 0, 0] as const, dilations: [1, 2] as const }
    await check(`${op} ${countIncludePad}`, b, b.step({ op, input: x, ...window, countIncludePad }, b.windowed(x, window, 9)))
  }
}

for (const op of ['softmax', 'log_softmax'] as const) {
  const { b, x } = begin(70, 11)
  await check(op, b, b.step({ op, input: x }))
}

{
  const { b, x } = begin(71, 9)
  await check('lrn', b, b.step({ op: 'lrn', input: x, size: 5, alpha: 0.4, beta: 0.75, bias: 1 }))
}
{
  const { b, x } = begin(72, 9)
  await check('affine', b, b.step({ op: 'affine', input: x, scale: b.parameter(9, 0.5, 1), shift: b.parameter(9, 0.5) }))
}
{
  const { b, x } = begin(73, 9)
  await check('global_average_pool', b, b.step({ op: 'global_average_pool', input: x }, { ...b.shape(x), h: 1, w: 1 }))
}
{
  const { b, x } = begin(74, 5)
  const { n, c, h, w } = b.shape(x)
  await check('flatten', b, b.step({ op: 'flatten', input: x }, { n, c: c * h * w, h: 1, w: 1 }))
}
{
  // A value with several consumers: gradients add up.
  const { b, x } = begin(75, 6)
  const left = b.convolution(x, 6, { kernel: [3, 3], pads: [1, 1, 1, 1] })
  const sum = b.step({ op: 'add', inputs: [left, x] })
  const product = b.step({ op: 'multiply', inputs: [sum, x] })
  const twice = b.step({ op: 'add', inputs: [product, product] })
  const { n, h, w } = b.shape(x)
  await check('add, multiply, concat with shared values', b, b.step({ op: 'concat', inputs: [twice, x, left] }, { n, c: 18, h, w }), 2)
}

t.test('a step follows the formula of SGD with momentum, decay, clipping and frozen parameters', async (t) => {
  const build = (): { spec: PlanSpec; inputs: Float32Array[] } => {
    const { b, x } = begin(80, 4)
    const { h, w } = b.shape(x)
    return { spec: b.spec(b.convolution(x, 3, { kernel: [h, w] })), inputs: b.inputData() }
  }
  for (const nesterov of [false, true]) {
    const { spec, inputs } = build()
    const trainer = native().createTrainer(spec)
    const targets = Int32Array.of(0, 1, 2)
    const sgd = {
      kind: 'sgd' as const,
      learningRate: 0.1,
      momentum: 0.9,
      nesterov,
      clipNorm: 0.5,
      weightDecay: Float32Array.from(spec.parameters, (_, i) => (i % 2 ? 0 : 0.01)),
      rateScale: Float32Array.from(spec.parameters, (_, i) => (i === 1 ? 0 : 1))
    }
    const weights = spec.parameters.map((p) => Float64Array.from(p.data))
    const velocity = weights.map((w) => new Float64Array(w.length))
    for (let k = 0; k < 3; k++) {
      const { gradients } = await trainer.gradients(inputs, lossesOf(targets)).promise
      const { gradientNorm } = await trainer.step(inputs, lossesOf(targets), sgd).promise
      const scale = gradientNorm > 0.5 ? 0.5 / gradientNorm : 1
      weights.forEach((w, p) =>
        w.forEach((value, i) => {
          const rate = 0.1 * (sgd.rateScale[p] as number)
          if (rate === 0) return
          const g = (gradients[p]![i] as number) * scale + (sgd.weightDecay[p] as number) * value
          const v = 0.9 * (velocity[p]![i] as number) + g
          velocity[p]![i] = v
          w[i] = value - rate * (nesterov ? g + 0.9 * v : v)
        })
      )
    }
    const actual = trainer.getParameters('weights')
    weights.forEach((w, p) =>
      t.ok(
        w.every((v, i) => Math.abs(v - (actual[p]![i] as number)) < 1e-5),
        `parameter ${p}, nesterov ${nesterov}`
      )
    )
    t.same(actual[1], spec.parameters[1]!.data, 'the frozen parameter has not moved')
  }
})

t.test('the same bits with any number of threads', async (t) => {
  const run = async (threads: number): Promise<readonly Float32Array[]> => {
    const { b, x } = begin(81, 20, 12)
    const { h, w } = b.shape(x)
    const spec = b.spec(b.convolution(x, 3, { kernel: [h, w] }), threads)
    return (
      await native()
        .createTrainer(spec)
        .gradients(b.inputData(), lossesOf(Int32Array.of(0, 1, 2))).promise
    ).gradients
  }
  const one = await run(1)
  for (const threads of [2, 5]) t.same(await run(threads), one, `${threads} threads`)
})
