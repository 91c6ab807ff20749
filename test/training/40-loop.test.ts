import t from 'tap'
import type { Batch } from '../../lib/training/batches.js'
import { type FineTuneOptions, type FineTuneResult, fineTuneWith } from '../../lib/training/fine-tune.js'
import type { TrainingEvent } from '../../lib/training/loop.js'
import { SoftmaxTrainer, examples, linearGraph, prepareWith } from './softmax-trainer.js'

const train = examples(200, 1)
const validation = examples(90, 2)

async function tune(options: Partial<FineTuneOptions>, trainer = new SoftmaxTrainer()): Promise<FineTuneResult> {
  return fineTuneWith(prepareWith(trainer), linearGraph(), { train, epochs: 4, batchSize: 16, learningRate: 0.3, ...options })
}

t.test('learns, reports, writes the best weights', async (t) => {
  const trainer = new SoftmaxTrainer()
  const events: TrainingEvent[] = []
  const result = await tune({ validation, onProgress: (event) => events.push(event) }, trainer)
  t.ok(result.best.accuracy > 0.9, `accuracy ${result.best.accuracy}`)
  t.ok((result.initial?.accuracy ?? 1) < 0.6)
  t.equal(result.steps, 4 * 12)
  t.equal(result.history.length, 4)
  t.equal(result.diverged, false)
  t.equal(events.length, 4 * 13)
  t.equal(events.filter((event) => event.validation !== undefined).length, 4)
  t.ok(events.every((event) => event.steps === 48))
  t.equal(trainer.rates[0], 0.3)
  t.ok((trainer.rates.at(-1) as number) < 0.01)
  t.ok(trainer.closed)
  t.notSame(result.graph.initializers.get('w'), linearGraph().initializers.get('w'))
})

t.test('the same seed gives the same bits, another does not', async (t) => {
  const weights = async (seed: number): Promise<unknown> => (await tune({ seed, epochs: 2 })).graph.initializers.get('w')?.data
  t.strictSame(await weights(1), await weights(1))
  t.notSame(await weights(1), await weights(2))
})

t.test('the best weights are kept, the start included', async (t) => {
  const good = await tune({ validation, epochs: 6 })
  const trainer = new SoftmaxTrainer()
  const start = good.graph.initializers.get('w')?.data as Float32Array
  trainer.weights = [
    Float32Array.from({ length: 12 }, (_, i) => start[(i % 4) * 3 + Math.floor(i / 4)] as number),
    Float32Array.from(good.graph.initializers.get('b')?.data as Float32Array)
  ]
  const wrong = { ...train, labels: Int32Array.from(train.labels as Int32Array, (label) => (label + 1) % 3) }
  const worse = await fineTuneWith(prepareWith(trainer), good.graph, {
    train: wrong,
    validation,
    epochs: 3,
    batchSize: 16,
    learningRate: 0.5,
    spikeFactor: Infinity
  })
  t.equal(worse.best.epoch, 0)
  t.equal(worse.best.accuracy, worse.initial?.accuracy)
  t.strictSame(worse.graph.initializers.get('w')?.data, start)
  t.ok((worse.history.at(-1)?.validation?.accuracy ?? 1) < worse.best.accuracy)
})

t.test('frozen parameters do not move', async (t) => {
  const trainer = new SoftmaxTrainer()
  const result = await tune({ frozen: ['b'] }, trainer)
  t.strictSame(result.graph.initializers.get('b'), linearGraph().initializers.get('b'))
  t.ok(trainer.weights[1]?.every((value) => value === 0))
})

t.test('steps end training, epochs may be endless', async (t) => {
  t.equal((await tune({ epochs: undefined as never, steps: 30 })).steps, 30)
  t.equal((await tune({ epochs: 10, steps: 5 })).history.length, 1)
  function* endless(): Generator<Batch> {
    for (;;) yield { input: train.images, target: train.labels as Int32Array, count: 10 }
  }
  const result = await tune({ train: endless, epochs: 3, stepsPerEpoch: 7 })
  t.equal(result.steps, 21)
})

t.test('without a known length the schedule learns it in the first epoch', async (t) => {
  const trainer = new SoftmaxTrainer()
  const source = (epoch: number): Batch[] => [
    { input: train.images.subarray(0, 640), target: train.labels as Int32Array, count: epoch > 0 ? 160 : 0 }
  ]
  const steps = new Set<number | undefined>()
  await tune({ train: source, epochs: 2, schedule: 'cosine', onProgress: (event) => steps.add(event.steps) }, trainer)
  t.strictSame([...steps], [undefined, 20])
  t.strictSame(trainer.rates.slice(0, 10), new Array(10).fill(0.3))
  t.ok((trainer.rates[19] as number) < 0.01)
})

t.test('a loss that is not finite: back to good weights at half the rate', async (t) => {
  const trainer = new SoftmaxTrainer()
  trainer.spoil = (step) => (step === 30 ? NaN : undefined)
  const rollbacks: unknown[] = []
  const result = await tune(
    { schedule: 'constant', validation, onProgress: (event) => event.rollback && rollbacks.push(event.rollback) },
    trainer
  )
  t.equal(result.diverged, true)
  t.strictSame(result.rollbacks, [{ step: 30, toStep: 12, reason: 'not-finite', loss: NaN, rateScale: 0.5 }])
  t.strictSame(rollbacks, result.rollbacks)
  t.strictSame(
    result.history.map((record) => record.rollbacks.length),
    [0, 0, 1, 0]
  )
  t.strictSame(trainer.rates.slice(29, 31), [0.3, 0.15])
  t.ok(result.history.every((record) => Number.isFinite(record.loss)))
  t.ok(result.best.accuracy > 0.9)
})

t.test('a spike of the loss is one too', async (t) => {
  const trainer = new SoftmaxTrainer()
  trainer.spoil = (step) => (step > 20 && step < 24 ? 50 : undefined)
  const result = await tune({ validation }, trainer)
  t.equal(result.rollbacks[0]?.reason, 'loss-spike')
  t.equal(result.rollbacks[0]?.step, 21)
  trainer.spoil = undefined
  t.equal((await tune({ validation, spikeFactor: Infinity }, trainer)).diverged, false)
})

t.test('divergence that does not end is POLYADIC_NUMERIC', async (t) => {
  const trainer = new SoftmaxTrainer()
  trainer.spoil = () => Infinity
  await t.rejects(tune({ maxRollbacks: 3 }, trainer), { code: 'POLYADIC_NUMERIC', message: /step 4.*3 rollbacks/ })
  t.equal(trainer.rates.length, 4)
  t.ok(trainer.closed)
  const absurd = await tune({ learningRate: 1e38, schedule: 'constant', maxRollbacks: 2 }).catch((error: unknown) => error)
  t.match(absurd, { code: 'POLYADIC_NUMERIC' })
})

t.test('a NaN in the data is named, not trained around', async (t) => {
  const images = train.images.slice()
  images[40 * 4 + 1] = NaN
  const trainer = new SoftmaxTrainer()
  await t.rejects(tune({ train: { ...train, images } }, trainer), { code: 'POLYADIC_NUMERIC', message: /input holds NaN/ })
})

t.test('an abort mid-epoch rejects with the reason and frees the trainer', async (t) => {
  const trainer = new SoftmaxTrainer()
  const controller = new AbortController()
  const reason = new Error('stop here')
  const onProgress = ({ step }: TrainingEvent): void => {
    if (step === 15) setImmediate(() => controller.abort(reason))
  }
  await t.rejects(tune({ epochs: 100, signal: controller.signal, onProgress }, trainer), reason)
  t.ok(trainer.rates.length < 20)
  t.ok(trainer.closed)
  const before = new SoftmaxTrainer()
  await t.rejects(tune({ signal: AbortSignal.abort(reason) }, before), reason)
  t.equal(before.rates.length, 0)
})

t.test('what onProgress throws ends the training', async (t) => {
  const trainer = new SoftmaxTrainer()
  await t.rejects(
    tune(
      {
        onProgress: () => {
          throw new Error('mine')
        }
      },
      trainer
    ),
    /mine/
  )
  t.ok(trainer.closed)
})

t.test('options and data that do not fit', async (t) => {
  const wrong: readonly [Partial<FineTuneOptions>, { code: string; subject?: string; message?: RegExp }][] = [
    [{ epochs: undefined as never }, { code: 'POLYADIC_ARGUMENT', subject: 'epochs' }],
    [{ epochs: 0 }, { code: 'POLYADIC_ARGUMENT', subject: 'epochs' }],
    [{ batchSize: 1.5 }, { code: 'POLYADIC_ARGUMENT', subject: 'batchSize' }],
    [{ learningRate: -1 }, { code: 'POLYADIC_ARGUMENT', subject: 'learningRate' }],
    [{ momentum: 2 }, { code: 'POLYADIC_ARGUMENT', subject: 'momentum' }],
    [{ labelSmoothing: NaN }, { code: 'POLYADIC_ARGUMENT', subject: 'labelSmoothing' }],
    [{ schedule: 'x' as never }, { code: 'POLYADIC_ARGUMENT', subject: 'schedule' }],
    [{ frozen: ['nothing'] }, { code: 'POLYADIC_ARGUMENT', subject: 'nothing' }],
    [{ frozen: 'fc' as never }, { code: 'POLYADIC_ARGUMENT', subject: 'frozen' }],
    [{ spikeFactor: 0 }, { code: 'POLYADIC_ARGUMENT', subject: 'spikeFactor' }],
    [{ batchSize: 300 }, { code: 'POLYADIC_ARGUMENT', message: /no full batch/ }],
    [{ validation: () => [] }, { code: 'POLYADIC_ARGUMENT', subject: 'validation' }],
    [{ train: { ...train, count: 5 } }, { code: 'POLYADIC_SHAPE' }]
  ]
  for (const [options, expected] of wrong) await t.rejects(tune(options), expected)
})
