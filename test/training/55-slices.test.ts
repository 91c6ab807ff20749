import t from 'tap'
import { type NativeLoss, type NativeTrainer, native } from '../../lib/native/binding.js'
import type { PlanSpec, PlanStep } from '../../lib/runtime/plan-spec.js'
import { generator, PlanBuilder } from '../helpers/plan-builder.js'
import { sameBits } from '../helpers/same-bits.js'

const batch = 12
const classes = 5

/** What sums over the batch (weights of all kinds, some read twice, biases, a scale), what is chosen by its images (a convolution over mostly padding) and what counts its images (dropout), with a second output for a loss of its own. */
function network(): { spec: PlanSpec; inputs: readonly Float32Array[]; losses: readonly NativeLoss[] } {
  const b = new PlanBuilder(generator(5), true)
  const wide = b.convolution(b.input(batch, 2, 10, 9), 20, { kernel: [3, 3], pads: [1, 1, 1, 1] }, { activation: { kind: 'relu' } })
  const thin = b.convolution(wide, 20, { kernel: [3, 1], pads: [1, 0, 1, 0], groups: 20 })
  const again = b.value(b.shape(thin))
  b.steps.push({ ...(b.steps.at(-1) as PlanStep & { op: 'convolution' }), input: thin, output: again })
  const dropped = b.step({ op: 'dropout', input: again, ratio: 0.4 })
  const scaled = b.step({ op: 'affine', input: dropped, scale: b.parameter(20, 1), shift: b.parameter(20, 1) })
  const summed = b.convolution(scaled, 20, { kernel: [1, 1], bias: false }, { residual: wide, activation: { kind: 'relu' } })
  const features = b.step({ op: 'global_average_pool', input: summed }, { n: batch, c: 20, h: 1, w: 1 })
  const logits = b.convolution(b.convolution(summed, 24, { kernel: [5, 5] }), classes, { kernel: [6, 5] })
  const target = Int32Array.from({ length: batch }, (_, n) => n % classes)
  return {
    spec: { ...b.spec(logits), outputs: [logits, features] },
    inputs: b.inputData(),
    losses: [
      { kind: 'cross_entropy', output: 0, target, smoothing: 0.1 },
      { kind: 'distillation', output: 0, weight: 0.5, temperature: 2, target: b.random.normal(batch * classes) },
      { kind: 'mean_squared', output: 1, weight: 3, target: b.random.normal(batch * 20) }
    ]
  }
}

async function withTrainer<T>(spec: PlanSpec, use: (trainer: NativeTrainer) => Promise<T>): Promise<T> {
  const trainer = native().createTrainer(spec)
  try {
    return await use(trainer)
  } finally {
    trainer.close()
  }
}

t.test('a batch in slices: the same losses, gradients and steps', async (t) => {
  const { spec, inputs, losses } = network()
  const optimiser = {
    kind: 'sgd' as const,
    learningRate: 0.01,
    momentum: 0.9,
    weightDecay: new Float32Array(spec.parameters.length),
    rateScale: new Float32Array(spec.parameters.length).fill(1)
  }
  const train = async (slice: number, threads: number) =>
    withTrainer({ ...spec, slice, threads }, async (trainer) => {
      t.equal(trainer.describe().imagesAtATime, slice)
      const { gradients, ...first } = await trainer.gradients(inputs, losses, 3).promise
      for (let seed = 1; seed <= 5; seed++) await trainer.step(inputs, losses, { ...optimiser, seed }).promise
      return { first, gradients, weights: trainer.getParameters('weights'), after: await trainer.evaluate(inputs, losses, 7).promise }
    })
  const whole = await train(batch, 1)
  const different = await withTrainer(spec, async (trainer) => trainer.gradients(inputs, losses, 4).promise)
  t.not(different.loss, whole.first.loss, 'dropout depends on the seed')
  for (const slice of [6, 4, 3, 2, 1]) {
    for (const threads of [1, 2]) {
      const name = `${slice} images at a time, ${threads} threads`
      const { first, gradients, weights, after } = await train(slice, threads)
      t.strictSame(first, whole.first, `${name}: loss, correct ones, norm`)
      t.strictSame(after, whole.after, `${name}: of seven examples, after five steps`)
      for (const [index, gradient] of gradients.entries())
        t.ok(sameBits(gradient, whole.gradients[index] as Float32Array), `${name}: gradient ${index}`)
      for (const [index, weight] of weights.entries())
        t.ok(sameBits(weight, whole.weights[index] as Float32Array), `${name}: parameter ${index}`)
    }
  }
})

t.test('a target that is no class, in the last slice', async (t) => {
  const { spec, inputs, losses } = network()
  const target = new Int32Array(batch)
  target[batch - 1] = classes
  await withTrainer({ ...spec, slice: 4 }, async (trainer) => {
    const before = trainer.getParameters('weights')
    const bad = [{ kind: 'cross_entropy' as const, output: 0, target }]
    await t.rejects(trainer.gradients(inputs, bad).promise, { message: /target\[11\]: expected a class from 0 to 4, got 5/ })
    const again = await trainer.gradients(inputs, losses, 3).promise
    const whole = await withTrainer(spec, async (other) => other.gradients(inputs, losses, 3).promise)
    t.equal(again.loss, whole.loss, 'nothing of it is left')
    again.gradients.forEach((gradient, index) => t.ok(sameBits(gradient, whole.gradients[index] as Float32Array), `gradient ${index}`))
    for (const [index, weight] of trainer.getParameters('weights').entries())
      t.ok(sameBits(weight, before[index] as Float32Array), `parameter ${index}`)
  })
})

t.test('a loss of rows that are no examples', async (t) => {
  const b = new PlanBuilder(generator(7), true)
  const x = b.convolution(b.input(4, 3, 5, 5), 6, { kernel: [5, 5] })
  const spec = b.spec(b.convolution(x, 3))
  for (const n of [1, 8]) {
    const flat = b.value({ n: 1, c: 1, h: 1, w: 24, dense: true })
    const rows = b.value({ n, c: 24 / n, h: 1, w: 1 })
    const steps: PlanStep[] = [...spec.steps, { op: 'to_dense', input: x, output: flat }, { op: 'to_blocked', input: flat, output: rows }]
    await withTrainer({ ...spec, values: b.values, steps, outputs: [spec.outputs[0] as number, rows] }, async (trainer) => {
      const loss = { kind: 'mean_squared' as const, output: 1, target: new Float32Array(24) }
      const run = trainer.gradients(b.inputData(), [loss]).promise
      await t.rejects(run, { message: `loss: output 1 has ${n} rows, output 0 4` })
    })
  }
})

t.test('slices that would not do', (t) => {
  const { spec } = network()
  for (const slice of [5, 24]) {
    t.throws(() => native().createTrainer({ ...spec, slice }), { message: new RegExp(`a batch of 12 cannot be taken ${slice} at a time`) })
  }
  const b = new PlanBuilder(generator(6), true)
  const x = b.convolution(b.input(4, 3, 5, 5), 8)
  const channels = (): number => b.parameter(8, 0.1, 1)
  const normed = b.step({
    op: 'batch_norm',
    input: x,
    scale: channels(),
    bias: channels(),
    mean: channels(),
    variance: channels(),
    epsilon: 1e-5,
    momentum: 0.9,
    batchStatistics: true
  })
  const together = b.spec(b.convolution(normed, 3, { kernel: [5, 5] }))
  t.throws(() => native().createTrainer({ ...together, slice: 2 }), { message: /a batch of 4 cannot be taken 2 at a time/ })
  const trainer = native().createTrainer(together)
  t.equal(trainer.describe().imagesAtATime, 4, 'statistics are those of the whole batch')
  trainer.close()
  t.end()
})
