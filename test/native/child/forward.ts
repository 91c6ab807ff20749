import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import type { PlanActivation, PlanSpec } from '../../../lib/runtime/plan-spec.js'
import { keptReferences } from '../../helpers/kept-references.js'
import { anyWindow, cpStages } from '../../helpers/plan-shapes.js'
import { PlanBuilder, generator } from '../../helpers/plan-builder.js'
import { runReference } from '../../helpers/reference-network.js'
import { sameBits } from '../../helpers/same-bits.js'

// float32 sums against float64 ones: the tolerance is relative to the largest output.
const tolerance = 2e-5
const kept = keptReferences()

async function difference(name: string, spec: PlanSpec, inputs: readonly Float32Array[]): Promise<number> {
  const parameters = spec.parameters.map((p) => p.data)
  const expected = kept(name, () => runReference(spec, inputs, parameters))
  const outputs = expected.map((data) => new Float32Array(data.length).fill(NaN))
  const plan = native().createPlan(spec)
  await plan.run(inputs, outputs).promise
  await plan.run(inputs, outputs).promise // again: nothing of the first run may be left in the arena
  plan.close()
  let scale = 1e-6
  let worst = 0
  expected.forEach((data, k) =>
    data.forEach((v, i) => {
      scale = Math.max(scale, Math.abs(v))
      const error = Math.abs(v - (outputs[k]?.[i] ?? NaN))
      worst = Math.max(error, worst) // NaN stays
    })
  )
  return worst / scale
}

async function check(name: string, b: PlanBuilder, output: number, threads = 1): Promise<void> {
  const error = await difference(name, b.spec(output, threads), b.inputData())
  t.ok(error <= tolerance, `${name}: ${error.toExponential(1)}`)
}

const activations: PlanActivation[] = [
  { kind: 'none' },
  { kind: 'relu' },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'clip', alpha: -0.5, beta: 0.7 },
  { kind: 'sigmoid' },
  { kind: 'tanh' }
]

for (let channels = 1; channels <= 67; channels++) {
  const r = generator(channels)
  const b = new PlanBuilder(r)
  const input = b.input(r.integer(1, 2), channels, r.integer(9, 13), r.integer(9, 13))
  await check(`convolution ${channels} -> ${68 - channels}`, b, b.convolution(input, 68 - channels, anyWindow(r)), 1 + (channels % 2))
}

for (let seed = 100; seed < 160; seed++) {
  const r = generator(seed)
  const b = new PlanBuilder(r)
  const groups = [2, 3, 4, 5][seed % 4] as number
  const input = b.input(2, groups * r.integer(1, 9), r.integer(9, 14), r.integer(9, 14))
  await check(`${groups} groups, seed ${seed}`, b, b.convolution(input, groups * r.integer(1, 9), { ...anyWindow(r), groups }))
}

for (let channels = 2; channels <= 67; channels += 5) {
  const r = generator(channels)
  const b = new PlanBuilder(r)
  const input = b.input(2, channels, 11, 12)
  await check(
    `depthwise ${channels}`,
    b,
    b.convolution(input, channels, { ...anyWindow(r), groups: channels }, { activation: activations[channels % 6] as PlanActivation })
  )
  await check(`depthwise ${channels}, multiplier 2`, b, b.convolution(input, channels * 2, { ...anyWindow(r), groups: channels }))
}

// Every tile that the tables have, and what is left of each: up to eight pixels and four blocks of channels, the last not full.
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)
for (const pixels of upTo(17)) {
  for (const channels of upTo(8).map((blocks) => 8 * blocks - 3)) {
    const b = new PlanBuilder(generator(100 * pixels + channels))
    await check(`tiles: ${pixels} pixels, ${channels} channels`, b, b.convolution(b.input(1, 3, 1, pixels), channels))
  }
  // Fewer channels than a block would be read as planes, by no depthwise kernel.
  const b = new PlanBuilder(generator(pixels))
  const strided = { kernel: [2, 3], strides: [1, 2], groups: 19 } as const
  await check(`depthwise tiles: ${pixels} pixels`, b, b.convolution(b.input(1, 19, 2, 2 * pixels + 1), 19, strided))
}

// Likewise of rows, along which and down which depthwise kernels go by as many taps as they keep in registers.
for (const taps of upTo(11)) {
  for (const width of upTo(18)) {
    const b = new PlanBuilder(generator(100 * taps + width))
    const along = { kernel: [1, taps], pads: [0, taps >> 1, 0, taps >> 1], groups: 19 } as const
    await check(`rows of ${width}, ${taps} taps along`, b, b.convolution(b.input(1, 19, 2, width), 19, along))
    const down = { kernel: [taps, 1], pads: [taps - 1, 0, 0, 0], groups: 19 } as const
    await check(`rows of ${width}, ${taps} taps down`, b, b.convolution(b.input(1, 19, 1 + ((width + taps) % 8), width), 19, down))
  }
  for (const height of upTo(9)) {
    const b = new PlanBuilder(generator(100 * taps + height))
    const other = 1 + ((taps + height) % 9)
    const stages = [
      b.conv(3, 5),
      b.conv(5, 5, { kernel: [taps, 1], pads: [taps - 1, 0, 0, 0], groups: 5 }),
      b.conv(5, 5, { kernel: [1, other], groups: 5 }),
      b.conv(5, 3)
    ]
    const chain = b.block(b.input(1, 3, height, 13 + (height % 5)), stages, 3)
    await check(`cp_block of ${height} rows, ${taps} taps down and ${other} along`, b, chain)
  }
}

for (const [i, activation] of activations.entries()) {
  for (const pieces of [1, 2, 3, 4]) {
    const b = new PlanBuilder(generator(i * 10 + pieces))
    const input = b.input(2, 5, 9, 8)
    const residual = b.convolution(input, 7)
    const order = i % 2 ? 'adjacent' : 'strided'
    const out = b.convolution(
      input,
      7 * pieces,
      { kernel: [3, 3], pads: [1, 1, 1, 1] },
      { activation, residual, ...(pieces > 1 ? { maxout: { pieces, order } } : {}) }
    )
    await check(`epilogue maxout ${pieces} ${order} + residual + ${activation.kind}`, b, out)
    const grouped = b.convolution(
      input,
      5 * 4 * pieces,
      { groups: 5 },
      { activation, ...(pieces > 1 ? { maxout: { pieces, order } } : {}) }
    )
    await check(`epilogue maxout ${pieces} ${order} over groups + ${activation.kind}`, b, grouped)
    const apart = b.step({ op: 'activation', input: out, activation })
    await check(`activation ${activation.kind}`, b, apart)
    const pooled = b.convolution(input, 6 * pieces)
    await check(`maxout ${pieces} ${order}`, b, b.step({ op: 'maxout', input: pooled, pieces, order }, { ...b.shape(pooled), c: 6 }))
  }
}

for (let seed = 0; seed < 96; seed++) {
  const r = generator(1000 + seed)
  const b = new PlanBuilder(r)
  const form = ['full', 'first', 'horizontal', 'vertical'][seed % 4] as string
  const groups = r.integer(1, 3)
  const channels = groups * (form === 'first' ? 1 : r.integer(1, 20))
  const tall = seed % 5 === 0
  const input = b.input(tall ? 1 : r.integer(1, 5), channels, tall ? 60 : r.integer(17, 22), r.integer(17, 22))
  const outputs = groups * r.integer(1, 9)
  const rank = tall ? 67 : r.integer(1, 20)
  const stages = cpStages(b, r, channels, groups, rank, outputs * 2, form)
  const rest =
    seed % 2
      ? { maxout: { pieces: 2, order: 'strided' as const }, activation: { kind: 'relu' as const } }
      : { activation: activations[seed % 6] as PlanActivation }
  await check(
    `cp_block ${form}, ${groups} groups, rank ${rank}, seed ${seed}`,
    b,
    b.block(input, stages, outputs * 2, rest),
    1 + (seed % 3)
  )
}

// Batches that the plan takes in slices, the last of which may overlap the one before.
for (const [images, threads] of [
  [1, 1],
  [7, 1],
  [16, 2],
  [31, 1],
  [67, 2],
  [67, 3]
] as const) {
  const r = generator(1500 + images)
  const b = new PlanBuilder(r)
  const first = b.convolution(b.input(images, 3, 26, 25), 48, { kernel: [3, 3] }, { activation: { kind: 'relu' } })
  const second = b.block(first, cpStages(b, r, 48, 1, 24, 32, 'full'), 32)
  const third = b.convolution(second, 7, { kernel: [3, 3] })
  const spec = b.spec(third, threads)
  const plan = native().createPlan(spec)
  const fits = process.env.POLYADIC_L2_KIB === undefined && images > 30
  t.ok(!fits || plan.describe().imagesAtATime < images, `${images} images go through in slices`)
  plan.close()
  await check(`${images} images on ${threads} threads`, b, third, threads)
}

for (let seed = 0; seed < 24; seed++) {
  const r = generator(2000 + seed)
  const b = new PlanBuilder(r)
  const input = b.input(2, r.integer(1, 19), r.integer(7, 12), r.integer(7, 12))
  const kernel: [number, number] = [r.integer(2, 4), r.integer(2, 4)]
  const pad = (axis: 0 | 1): number => r.integer(0, kernel[axis] - 1)
  const window = {
    kernel,
    strides: [r.integer(1, 3), r.integer(1, 3)] as const,
    pads: [pad(0), pad(1), pad(0), pad(1)] as const,
    dilations: [1, r.integer(1, 2)] as const
  }
  for (const op of ['max_pool', 'average_pool'] as const) {
    for (const countIncludePad of [false, true]) {
      const step = { op, input, ...window, countIncludePad } as const
      await check(`${op} seed ${seed} ${countIncludePad}`, b, b.step(step, b.windowed(input, window, b.shape(input).c)))
      await check(`${op} seed ${seed} ${countIncludePad}, ceil`, b, b.step(step, b.windowedUp(input, window, b.shape(input).c)))
    }
  }
}

for (const channels of [1, 3, 8, 17, 36, 67]) {
  const b = new PlanBuilder(generator(channels))
  const shape = { n: 3, c: channels, h: 5, w: 4 }
  const x = b.input(shape.n, shape.c, shape.h, shape.w)
  const y = b.input(shape.n, shape.c, shape.h, shape.w)
  const z = b.input(shape.n, 5, shape.h, shape.w)
  await check(`add ${channels}`, b, b.step({ op: 'add', inputs: [x, y] }), 2)
  await check(`multiply ${channels}`, b, b.step({ op: 'multiply', inputs: [x, y] }))
  await check(`concat ${channels}`, b, b.step({ op: 'concat', inputs: [x, z, y] }, { ...shape, c: 2 * channels + 5 }))
  await check(`affine ${channels}`, b, b.step({ op: 'affine', input: x, scale: b.parameter(channels, 1), shift: b.parameter(channels, 1) }))
  await check(`softmax ${channels}`, b, b.step({ op: 'softmax', input: x }))
  await check(`log_softmax ${channels}`, b, b.step({ op: 'log_softmax', input: x }))
  await check(`flatten ${channels}`, b, b.step({ op: 'flatten', input: x }, { n: 3, c: channels * 20, h: 1, w: 1 }))
  await check(`global_average_pool ${channels}`, b, b.step({ op: 'global_average_pool', input: x }, { ...shape, h: 1, w: 1 }))
  await check(`lrn ${channels}`, b, b.step({ op: 'lrn', input: x, size: 4 + (channels % 2), alpha: 0.3, beta: 0.75, bias: 1.5 }))
}

// A step finds in scratch memory what the one before has left there: here partial sums, as their taps are more than one pass takes.
for (const channels of [8, 16, 17, 36]) {
  const b = new PlanBuilder(generator(channels))
  const x = b.convolution(b.input(1, 67, 8, 9), channels, { kernel: [7, 7] })
  await check(`lrn ${channels} after a convolution`, b, b.step({ op: 'lrn', input: x, size: 9, alpha: 0.3, beta: 0.75, bias: 1 }))
}

t.test('the same bits with any number of images at a time', async (t) => {
  const b = new PlanBuilder(generator(45))
  const x = b.convolution(b.input(8, 3, 6, 5), 18, { kernel: [3, 3], pads: [1, 1, 1, 1] })
  // Mostly padding, at a transposed convolution's few pixels: by position or not, as the whole batch wants it.
  const transposed = b.conv(20, 18, { kernel: [4, 4], bias: false })
  const y = b.step({ op: 'conv_transpose', input: x, ...transposed }, { n: 8, c: 20, h: 9, w: 8 })
  const spec = b.spec(b.convolution(y, 7, { kernel: [2, 3], strides: [2, 1] }))
  const inputs = b.inputData()
  const run = async (slice: number): Promise<Float32Array> => {
    const output = new Float32Array(8 * 7 * 4 * 6)
    const plan = native().createPlan({ ...spec, slice })
    t.equal(plan.describe().imagesAtATime, slice)
    await plan.run(inputs, [output]).promise
    plan.close()
    return output
  }
  const whole = await run(8)
  for (const slice of [5, 3, 1]) t.ok(sameBits(await run(slice), whole), `${slice} images`)
})

t.test('the same bits with any number of threads', async (t) => {
  const run = async (threads: number): Promise<Float32Array> => {
    const r = generator(7)
    const b = new PlanBuilder(r)
    const input = b.input(3, 6, 30, 20)
    const first = b.convolution(input, 24, { kernel: [3, 3], pads: [1, 1, 1, 1] }, { activation: { kind: 'relu' } })
    const block = b.block(first, cpStages(b, r, 24, 1, 19, 32, 'full'), 32)
    const spec = b.spec(block, threads)
    const { n, c, h, w } = b.shape(block)
    const output = new Float32Array(n * c * h * w)
    await native().createPlan(spec).run(b.inputData(), [output]).promise
    return output
  }
  const one = await run(1)
  for (const threads of [2, 3, 8]) t.same(await run(threads), one, `${threads} threads`)
})

t.test('inconsistent plans are refused', async (t) => {
  const b = new PlanBuilder(generator(1))
  const out = b.convolution(b.input(1, 3, 8, 8), 4, { kernel: [3, 3] })
  const good = b.spec(out)
  const bad = (change: Partial<PlanSpec>): void => {
    native().createPlan({ ...good, ...change })
  }
  t.throws(() => bad({ threads: 0 }), { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => bad({ outputs: [99] }), { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => bad({ inputs: [] }), { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => bad({ parameters: [] }), { code: 'POLYADIC_ARGUMENT' })
  t.throws(
    () =>
      bad({
        values: [
          { n: 1, c: 3, h: 8, w: 8 },
          { n: 1, c: 4, h: 7, w: 6 }
        ]
      }),
    { code: 'POLYADIC_SHAPE' }
  )
  t.throws(() => bad({ steps: [{ ...(good.steps[0] as object), op: 'unheard_of' }] as never }), { code: 'POLYADIC_ARGUMENT' })
  const plan = native().createPlan(good)
  t.throws(() => plan.run([new Float32Array(3)], [new Float32Array(4 * 36)]), { code: 'POLYADIC_SHAPE' })
  t.throws(() => plan.run([new Float64Array(192) as never], [new Float32Array(4 * 36)]), { code: 'POLYADIC_ARGUMENT' })
  plan.close()
  t.throws(() => plan.runSync([new Float32Array(192)], [new Float32Array(4 * 36)]), { code: 'POLYADIC_ARGUMENT' })
})
