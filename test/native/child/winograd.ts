import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import type { ConvolutionAlgorithm, PlanActivation, PlanSpec } from '../../../lib/runtime/plan-spec.js'
import { keptReferences } from '../../helpers/kept-references.js'
import { PlanBuilder, generator } from '../../helpers/plan-builder.js'
import { runReference } from '../../helpers/reference-network.js'
import { sameBits } from '../../helpers/same-bits.js'

// Winograd's sums against the direct kernels' and against float64 ones, relative to the largest output. Sums of up to 67 channels: rounding
// errors of about 1e-6 are seen.
const tolerance = 1e-5
const kept = keptReferences()
const fast = ['winograd2', 'winograd4'] as const

function withAlgorithm(spec: PlanSpec, algorithm: ConvolutionAlgorithm, threads = 1): PlanSpec {
  const steps = spec.steps.map((step) => (step.op === 'convolution' && step.kernel[0] === 3 ? { ...step, algorithm } : step))
  return { ...spec, threads, steps }
}

function run(spec: PlanSpec, inputs: readonly Float32Array[]): { output: Float32Array; kernels: readonly string[] } {
  const { n, c, h, w } = spec.values[spec.outputs[0] as number] as { n: number; c: number; h: number; w: number }
  const output = new Float32Array(n * c * h * w).fill(NaN)
  const plan = native().createPlan(spec)
  plan.runSync(inputs, [output])
  output.fill(NaN)
  plan.runSync(inputs, [output]) // again: nothing of the first run may be left in the arena
  const kernels = plan.describe().steps.map(({ kernel }) => kernel)
  plan.close()
  return { output, kernels }
}

function difference(a: Float32Array, b: ArrayLike<number>): number {
  let [worst, scale] = [0, 1e-6]
  a.forEach((v, i) => {
    const error = Math.abs(v - (b[i] as number))
    worst = Math.max(error, worst) // NaN stays
    scale = Math.max(scale, Math.abs(b[i] as number))
  })
  return worst / scale
}

function check(name: string, spec: PlanSpec, inputs: readonly Float32Array[]): void {
  const direct = run(withAlgorithm(spec, 'direct'), inputs).output
  const weights = spec.parameters.map((p) => p.data)
  const [reference = []] = kept<readonly ArrayLike<number>[]>(name, () => runReference(spec, inputs, weights))
  for (const algorithm of fast) {
    const { output, kernels } = run(withAlgorithm(spec, algorithm), inputs)
    const m = algorithm.at(-1) as string
    t.ok(
      kernels.some((kernel) => kernel.startsWith(`Winograd F(${m}x${m}, 3x3)`)),
      `${name}: ${algorithm} is what runs`
    )
    const [toDirect, toReference] = [difference(output, direct), difference(output, reference)]
    t.ok(toDirect <= tolerance, `${name}, ${algorithm} against direct: ${toDirect.toExponential(1)}`)
    t.ok(toReference <= tolerance, `${name}, ${algorithm} against float64: ${toReference.toExponential(1)}`)
    for (const threads of [2, 3, 5]) {
      const other = run(withAlgorithm(spec, algorithm, threads), inputs).output
      t.ok(sameBits(other, output), `${name}, ${algorithm}: same bits on ${threads} threads`)
    }
  }
}

const activations: PlanActivation[] = [
  { kind: 'none' },
  { kind: 'relu' },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'clip', alpha: 0, beta: 6 }
]

for (let seed = 0; seed < 48; seed++) {
  const r = generator(seed + 1)
  const b = new PlanBuilder(r)
  const [n, h, w] = [r.integer(1, 3), r.integer(1, 13), r.integer(1, 13)]
  const groups = seed % 4 === 3 ? r.integer(2, 3) : 1
  const channels = groups * r.integer(1, groups === 1 ? 67 : 21)
  const outputs = groups === 1 ? r.integer(1, 67) : groups * 16 * r.integer(1, 2)
  // A value that a 1×1 convolution makes is blocked, however few channels it has.
  const input = b.convolution(b.input(n, r.integer(1, 4), h, w), channels)
  const pad = (size: number): number => (size < 3 ? 1 : r.integer(0, 3))
  const pads = [pad(h), pad(w), pad(h), pad(w)] as const
  const window = { kernel: [3, 3] as const, pads, groups, bias: r.next() < 0.7 }
  const activation = activations[seed % 4] as PlanActivation
  const residual =
    r.next() < 0.5
      ? b.convolution(input, outputs, { ...window, kernel: [5, 5], pads: [pads[0] + 1, pads[1] + 1, pads[2] + 1, pads[3] + 1] })
      : undefined
  const output = b.convolution(input, outputs, window, { activation, ...(residual === undefined ? {} : { residual }) })
  check(
    `${n}×${channels}×${h}×${w} -> ${outputs}, ${groups} groups, pads ${pads.join()}, ${activation.kind}${residual === undefined ? '' : ' + residual'}`,
    b.spec(output),
    b.inputData()
  )
}

// Many tiles: several portions, of which the last is smaller. And its output read with another's wider halo.
{
  const b = new PlanBuilder(generator(99))
  const input = b.convolution(b.input(2, 3, 37, 41), 35)
  const middle = b.convolution(input, 33, { kernel: [3, 3], pads: [1, 1, 1, 1] }, { activation: { kind: 'relu' } })
  const output = b.convolution(middle, 20, { kernel: [5, 5], pads: [4, 4, 4, 4] })
  check('many tiles, wide halo', b.spec(output), b.inputData())
}

// An image's bits do not depend on what else is in its batch.
{
  const [c, h, w] = [40, 11, 9]
  const specOf = (n: number): PlanSpec => {
    const b = new PlanBuilder(generator(7))
    const input = b.convolution(b.input(n, 3, h, w), c)
    return b.spec(b.convolution(input, c, { kernel: [3, 3], pads: [1, 1, 1, 1] }))
  }
  const images = generator(8).normal(5 * 3 * h * w)
  for (const algorithm of [...fast, 'automatic'] as const) {
    const together = run(withAlgorithm(specOf(5), algorithm), [images]).output
    for (let i = 0; i < 5; i++) {
      const alone = run(withAlgorithm(specOf(1), algorithm), [images.slice(i * 3 * h * w, (i + 1) * 3 * h * w)]).output
      t.strictSame(
        alone,
        together.slice(i * c * h * w, (i + 1) * c * h * w),
        `${algorithm}: image ${i} alone has the bits that it has in a batch`
      )
    }
  }
}

// What has no such form is refused when it is asked for, and direct when it is not.
for (const [name, window] of [
  ['a stride', { kernel: [3, 3], strides: [2, 1], pads: [1, 1, 1, 1] }],
  ['a dilation', { kernel: [3, 3], dilations: [1, 2], pads: [1, 1, 1, 1] }],
  ['groups of few channels', { kernel: [3, 3], pads: [1, 1, 1, 1], groups: 2 }]
] as const) {
  const b = new PlanBuilder(generator(3))
  const spec = b.spec(b.convolution(b.convolution(b.input(1, 3, 9, 9), 64), 66, window))
  for (const algorithm of fast) t.throws(() => native().createPlan(withAlgorithm(spec, algorithm)), { code: 'POLYADIC_ARGUMENT' }, name)
  t.notOk(
    run(spec, b.inputData()).kernels.some((kernel) => kernel.includes('Winograd')),
    `${name}: direct`
  )
}
{
  const b = new PlanBuilder(generator(3))
  const spec = b.spec(b.convolution(b.convolution(b.input(1, 3, 28, 28), 64), 64, { kernel: [3, 3], pads: [1, 1, 1, 1] }))
  t.match(run(spec, b.inputData()).kernels[1], /^Winograd F\(4x4, 3x3\)/, 'a usual layer: chosen without being asked for')
}
