// bfloat16 kernels against float64 over rounded operands. With POLYADIC_DIGESTS, a file, every case's exact results go there, so that
// bf16.test.ts can compare the kernels with their scalar twin bit for bit. With POLYADIC_INTEGERS all data are small integers, whose sums
// are exact in any order.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import type { PlanActivation, PlanSpec, PlanWindow } from '../../../lib/runtime/plan-spec.js'
import { bf16Spec, roundedInputs, roundedParameters } from '../../helpers/bf16.js'
import { keptReferences } from '../../helpers/kept-references.js'
import { PlanBuilder, generator, unitWindow } from '../../helpers/plan-builder.js'
import { anyWindow, cpStages } from '../../helpers/plan-shapes.js'
import { runReference } from '../../helpers/reference-network.js'
import { sameBits } from '../../helpers/same-bits.js'

// One step: products of bfloat16 are exact in float32, so only the order of the sums differs. Several: each value between them is
// rounded by 2⁻⁹ of itself at most, here of the largest output.
const exact = 2e-5
const roundings = 2 ** -7
const kept = keptReferences()

t.setTimeout(0) // bf16.test.ts runs several of it at once

const digests: Record<string, string> = {}

const integers = process.env.POLYADIC_INTEGERS === '1'

/** −2…2, most of them 0 or ±1. */
function whole(values: Float32Array): Float32Array {
  const scale = 1.2 / scaleOf(values)
  return values.map((v) => Math.max(-2, Math.min(2, Math.round(v * scale))) + 0)
}

function scaleOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length) || 1
}

async function run(spec: PlanSpec, inputs: readonly Float32Array[]): Promise<Float32Array[]> {
  const outputs = spec.outputs.map((value) => {
    const { n, c, h, w } = spec.values[value] as { n: number; c: number; h: number; w: number }
    return new Float32Array(n * c * h * w).fill(NaN)
  })
  const plan = native().createPlan(spec)
  await plan.run(inputs, outputs).promise
  const first = outputs.map((output) => output.slice())
  await plan.run(inputs, outputs).promise // again: nothing of the first run may be left in the arena
  plan.close()
  t.ok(
    outputs.every((output, i) => sameBits(output, first[i] as Float32Array)),
    'the same bits a second time'
  )
  return outputs
}

async function check(name: string, b: PlanBuilder, output: number, threads = 1, tolerance = exact): Promise<void> {
  const real = b.spec(output, threads)
  const spec = integers ? { ...real, parameters: real.parameters.map((p) => ({ ...p, data: whole(p.data as Float32Array) })) } : real
  const inputs = integers ? b.inputData().map(whole) : b.inputData()
  const [expected] = kept(name, () => runReference(spec, roundedInputs(spec, inputs), roundedParameters(spec)))
  const [got] = await run(bf16Spec(spec), inputs)
  let scale = 1e-6
  let worst = 0
  expected?.forEach((v, i) => {
    scale = Math.max(scale, Math.abs(v))
    const error = Math.abs(v - (got?.[i] as number))
    worst = Math.max(worst, error) // NaN stays
  })
  t.ok(worst / scale <= tolerance, `${name}: ${(worst / scale).toExponential(1)}`)
  digests[name] = digest(got as Float32Array)
}

// +0 and −0 are the same number: which of them a sum of zeros is depends on the order.
function digest(values: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.map((v) => v + 0).buffer))
    .digest('hex')
}

const activations: PlanActivation[] = [
  { kind: 'none' },
  { kind: 'relu' },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'clip', alpha: -2, beta: 3 },
  { kind: 'sigmoid' },
  { kind: 'tanh' }
]

for (let channels = 1; channels <= 67; channels += 2) {
  const r = generator(channels)
  const b = new PlanBuilder(r)
  const input = b.input(r.integer(1, 2), channels, r.integer(9, 13), r.integer(9, 13))
  await check(`convolution ${channels} -> ${68 - channels}`, b, b.convolution(input, 68 - channels, anyWindow(r)), 1 + (channels % 2))
}

// Every tile that the tables have, and what is left of each: up to eight pixels and four blocks of channels, 16 pixels and two blocks on AMX.
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)
for (const pixels of [...upTo(17), 31, 32, 33]) {
  for (const channels of [13, 29, 45, 61]) {
    const b = new PlanBuilder(generator(100 * pixels + channels))
    await check(`tiles: ${pixels} pixels, ${channels} channels`, b, b.convolution(b.input(1, 5, 1, pixels), channels))
  }
  const b = new PlanBuilder(generator(pixels))
  const depthwise = { kernel: [2, 3], strides: [1, 1 + (pixels % 2)], pads: [0, 1, 0, 1], groups: 19 } as const
  await check(`depthwise rows: ${pixels} pixels`, b, b.convolution(b.input(1, 19, 3, pixels), 19, depthwise))
}

// Few channels are read in pairs along rows.
for (let seed = 0; seed < 24; seed++) {
  const r = generator(500 + seed)
  const b = new PlanBuilder(r)
  const input = b.input(2, 1 + (seed % 3), r.integer(9, 13), r.integer(9, 13))
  await check(`plain input ${seed}`, b, b.convolution(input, r.integer(1, 70), { ...anyWindow(r), dilations: [r.integer(1, 2), 1] }))
}

for (let seed = 100; seed < 140; seed++) {
  const r = generator(seed)
  const b = new PlanBuilder(r)
  const groups = [2, 3, 4, 5][seed % 4] as number
  const input = b.input(2, groups * r.integer(1, 9), r.integer(9, 14), r.integer(9, 14))
  await check(`${groups} groups, seed ${seed}`, b, b.convolution(input, groups * r.integer(1, 9), { ...anyWindow(r), groups }))
}

for (let channels = 2; channels <= 67; channels += 9) {
  const r = generator(channels)
  const b = new PlanBuilder(r)
  const input = b.input(2, channels, 11, 12)
  const activation = activations[channels % 6] as PlanActivation
  await check(`depthwise ${channels}`, b, b.convolution(input, channels, { ...anyWindow(r), groups: channels }, { activation }))
  await check(`depthwise ${channels}, multiplier 2`, b, b.convolution(input, channels * 2, { ...anyWindow(r), groups: channels }))
}

for (const [i, activation] of activations.entries()) {
  for (const pieces of [1, 2, 3, 4]) {
    const b = new PlanBuilder(generator(i * 10 + pieces))
    const input = b.input(2, 5, 9, 8)
    const residual = b.convolution(input, 7)
    const order = i % 2 ? 'adjacent' : 'strided'
    const maxout = pieces > 1 ? { maxout: { pieces, order } as const } : {}
    const window = { kernel: [3, 3], pads: [1, 1, 1, 1] } as const
    const out = b.convolution(input, 7 * pieces, window, { activation, residual, ...maxout })
    await check(`maxout ${pieces} ${order} + residual + ${activation.kind}`, b, out, 1, roundings)
    const kept = b.convolution(out, 9)
    await check(`maxout ${pieces} ${order} + residual + ${activation.kind}, kept`, b, kept, 2, roundings)
    const grouped = b.convolution(input, 20 * pieces, { groups: 5 }, { activation, ...maxout })
    await check(`maxout ${pieces} ${order} over groups + ${activation.kind}`, b, b.convolution(grouped, 3), 1, roundings)
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
  const name = `cp_block ${form}, ${groups} groups, rank ${rank}, seed ${seed}`
  await check(name, b, b.block(input, stages, outputs * 2, rest), 1 + (seed % 3), roundings)
}

// Whole blocks of 32 channels, and more, which tiles read where they lie: rows that fill them or do not, over the padding between rows or without
// it, several passes over many weights, into planes at the end of a plan and into blocks before that.
for (const [seed, channels] of [32, 64, 96, 48, 80].entries()) {
  for (const [h, w] of [
    [7, 7],
    [5, 14],
    [6, 16],
    [4, 28],
    [3, 33]
  ] as const) {
    const r = generator(channels * 100 + w)
    const b = new PlanBuilder(r)
    const same = { kernel: [3, 3], pads: [1, 1, 1, 1] } as const
    const first = b.convolution(b.input(r.integer(1, 3), channels, h, w), channels, same, {
      activation: activations[seed % 2] as PlanActivation
    })
    const name = `${channels} channels over ${h}x${w}`
    await check(`${name}, to blocks and to planes`, b, b.convolution(first, r.integer(17, 70), same), 1 + (w % 2), roundings)
    await check(`${name}, strides`, b, b.convolution(first, 33, { ...same, strides: [r.integer(1, 2), 2] }), 1, roundings)
    await check(
      `${name}, residual`,
      b,
      b.convolution(first, channels, same, { residual: first, activation: { kind: 'relu' } }),
      1,
      roundings
    )
    await check(`${name}, 1x1`, b, b.convolution(first, 40, { kernel: [1, 1], strides: [1, 1 + (h % 2)] }), 2, roundings)
    const rank = r.integer(20, 70)
    const block = (stages: readonly (readonly [number, number])[]): number =>
      b.block(
        first,
        [
          b.conv(channels, rank, { bias: true }),
          ...stages.map(([rows, columns]) =>
            b.conv(rank, rank, {
              kernel: [2 * rows + 1, 2 * columns + 1],
              pads: [rows, columns, rows, columns],
              groups: rank,
              bias: r.next() < 0.5
            })
          ),
          b.conv(rank, 45)
        ],
        45
      )
    await check(
      `${name}, cp_block 3x1 1x5`,
      b,
      block([
        [1, 0],
        [0, 2]
      ]),
      1,
      roundings
    )
    await check(
      `${name}, cp_block 1x5 3x1`,
      b,
      block([
        [0, 2],
        [1, 0]
      ]),
      2,
      roundings
    )
    await check(`${name}, cp_block 3x3`, b, b.convolution(block([[1, 1]]), 9), 1, roundings)
  }
}

// Depthwise stages in another order, with both axes, and without a reduce stage.
for (let seed = 0; seed < 24; seed++) {
  const r = generator(3000 + seed)
  const b = new PlanBuilder(r)
  const channels = r.integer(2, 40)
  const input = b.input(r.integer(1, 3), channels, r.integer(14, 40), r.integer(14, 22))
  const rank = seed % 3 === 0 ? channels : r.integer(2, 40)
  const depthwise = () => b.conv(rank, rank, { ...anyWindow(r), dilations: [1, 1], groups: rank, bias: r.next() < 0.5 })
  const stages = [
    ...(seed % 3 === 0 ? [] : [b.conv(channels, rank, { bias: r.next() < 0.5 })]),
    ...(seed % 2 === 0 ? [depthwise()] : [depthwise(), b.conv(rank, rank, { kernel: [3, 2], pads: [1, 0, 1, 1], groups: rank })]),
    b.conv(rank, 19)
  ]
  await check(`cp_block of other stages, seed ${seed}`, b, b.block(input, stages, 19), 1 + (seed % 2), roundings)
}

// A second depthwise stage along rows that also pads them below or above, where there is no row of the first.
for (const [top, bottom] of [
  [0, 1],
  [0, 3],
  [2, 0],
  [1, 2]
] as const) {
  const b = new PlanBuilder(generator(4000 + 10 * top + bottom))
  const depthwise = (window: Partial<PlanWindow>) => b.conv(40, 40, { ...window, groups: 40 })
  const stages = [
    b.conv(36, 40),
    depthwise({ kernel: [3, 1], pads: [1, 0, 1, 0] }),
    depthwise({ kernel: [1, 3], pads: [top, 1, bottom, 1] }),
    b.conv(40, 9)
  ]
  await check(`cp_block with ${top} rows above and ${bottom} below`, b, b.block(b.input(2, 36, 7, 8), stages, 9), 1, roundings)
}

// Without a depthwise stage, over a value that is padded for another reader.
{
  const b = new PlanBuilder(generator(4100))
  const input = b.convolution(b.input(2, 32, 16, 16), 32)
  const other = b.convolution(input, 19, { kernel: [3, 3], pads: [1, 1, 1, 1] })
  const block = b.block(input, [b.conv(32, 20), b.conv(20, 19)], 19, { residual: other })
  await check('cp_block of two stages beside a padded convolution', b, block, 1, roundings)
}

for (let seed = 0; seed < 12; seed++) {
  const r = generator(2000 + seed)
  const b = new PlanBuilder(r)
  const input = b.input(2, r.integer(1, 19), r.integer(8, 12), r.integer(8, 12))
  const kernel: [number, number] = [r.integer(2, 4), r.integer(2, 4)]
  const pad = (axis: 0 | 1): number => r.integer(0, kernel[axis] - 1)
  const window = {
    kernel,
    strides: [r.integer(1, 3), r.integer(1, 3)] as const,
    pads: [pad(0), pad(1), pad(0), pad(1)] as const,
    dilations: [1, r.integer(1, 2)] as const
  }
  const before = b.convolution(input, 21)
  for (const op of ['max_pool', 'average_pool'] as const) {
    for (const countIncludePad of [false, true]) {
      const step = { op, input: before, ...window, countIncludePad } as const
      await check(`${op} seed ${seed} ${countIncludePad}, ceil`, b, b.step(step, b.windowedUp(before, window, 21)), 1, roundings)
      const pooled = b.step(step, b.windowed(before, window, 21))
      await check(`${op} seed ${seed} ${countIncludePad}, to f32`, b, pooled, 1, roundings)
      await check(`${op} seed ${seed} ${countIncludePad}, kept`, b, b.convolution(pooled, 5), 1, roundings)
    }
  }
}

for (const channels of [1, 3, 16, 17, 36]) {
  const b = new PlanBuilder(generator(channels))
  const shape = { n: 3, c: channels, h: 5, w: 4 }
  const x = b.convolution(b.input(shape.n, 4, shape.h, shape.w), channels)
  const z = b.convolution(x, 5)
  const joined = b.step({ op: 'concat', inputs: [x, z, x] }, { ...shape, c: 2 * channels + 5 })
  await check(`concat ${channels}`, b, b.convolution(joined, 7), 2, roundings)
  const flat = b.step({ op: 'flatten', input: x }, { n: 3, c: channels * 20, h: 1, w: 1 })
  await check(`flatten ${channels}`, b, b.convolution(flat, 33), 1, roundings)
  const average = b.step({ op: 'global_average_pool', input: x }, { ...shape, h: 1, w: 1 })
  await check(`global_average_pool ${channels}`, b, b.convolution(average, 9), 1, roundings)
  const outside = b.step({ op: 'activation', input: x, activation: { kind: 'sigmoid' } })
  await check(`a float32 step between, ${channels}`, b, b.convolution(outside, 9), 1, roundings)
  // What fills up the last block of a float32 value is infinite here, and read with weights of 0.
  const positive = b.step({ op: 'softmax', input: x })
  const endless = b.step({ op: 'elementwise', function: 'reciprocal', inputs: [positive] })
  const added = b.convolution(x, channels, {}, { residual: endless })
  await check(`a float32 step between, added, ${channels}`, b, b.convolution(added, 9), 1, roundings)
  const pooled = b.step({ op: 'max_pool', input: endless, ...unitWindow, countIncludePad: false })
  await check(`a float32 step between, pooled, ${channels}`, b, b.convolution(pooled, 9), 1, roundings)
}

// Denormals are zeros of their sign, infinities and NaN come through, halfway cases go to even.
{
  const b = new PlanBuilder(generator(1))
  const out = b.convolution(b.input(1, 16, 4, 4), 8)
  const special = [1e-39, -1e-40, 3e-38, 1.00390625, 1.01171875, 65280.5, -0, 1e38, 3.3e38, Infinity, -Infinity, NaN]
  const input = Float32Array.from({ length: 256 }, (_, i) => (i % 16 < 12 ? (special[i % special.length] as number) : i / 7))
  const [got] = await run(bf16Spec(b.spec(out)), [input])
  digests.special = createHash('sha256')
    .update((got as Float32Array).map((v) => (Number.isNaN(v) ? NaN : v + 0)).join())
    .digest('hex')
  t.ok(got?.some(Number.isNaN), 'NaN comes through')
}

t.test('the same bits with any number of threads', async (t) => {
  const results = []
  for (const threads of [1, 2, 3, 8]) {
    const r = generator(7)
    const b = new PlanBuilder(r)
    const input = b.input(3, 6, 30, 20)
    const first = b.convolution(input, 24, { kernel: [3, 3], pads: [1, 1, 1, 1] }, { activation: { kind: 'relu' } })
    const block = b.block(first, cpStages(b, r, 24, 1, 19, 32, 'full'), 32)
    results.push((await run(bf16Spec(b.spec(block, threads)), b.inputData()))[0])
  }
  for (const result of results) t.ok(sameBits(result as Float32Array, results[0] as Float32Array))
})

t.test('plans that put bfloat16 where it cannot be are refused', async (t) => {
  const b = new PlanBuilder(generator(1))
  const x = b.input(1, 16, 8, 8)
  const y = b.convolution(x, 16, { kernel: [3, 3] })
  const out = b.step({ op: 'activation', input: y, activation: { kind: 'sigmoid' } })
  const good = bf16Spec(b.spec(out))
  const bad = (change: (values: PlanSpec['values'][number][]) => void): void => {
    const values = good.values.map((value) => ({ ...value }))
    change(values)
    native().createPlan({ ...good, values })
  }
  t.doesNotThrow(() => bad(() => {}))
  const bf16 = (value: number, is: boolean) => (values: PlanSpec['values'][number][]) => {
    const { bf16: _, ...rest } = values[value] as PlanSpec['values'][number]
    values[value] = is ? { ...rest, bf16: true } : rest
  }
  t.throws(() => bad(bf16(out, true)), { code: 'POLYADIC_ARGUMENT' }, 'an output')
  t.throws(() => bad(bf16(y, true)), { code: 'POLYADIC_ARGUMENT' }, 'what an activation reads')
  t.throws(() => bad(bf16(x, false)), { code: 'POLYADIC_ARGUMENT' }, 'a convolution that does not get it')
  t.throws(() => native().createPlan({ ...good, training: true }), { code: 'POLYADIC_ARGUMENT' }, 'training')
})

if (process.env.POLYADIC_DIGESTS) writeFileSync(process.env.POLYADIC_DIGESTS, JSON.stringify(digests))
