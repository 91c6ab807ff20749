import t from 'tap'
import { type Batch, type FullBatch, batchesPerEpoch, fullBatches, sourceOf } from '../../lib/training/batches.js'
import { prefetched } from '../../lib/training/prefetch.js'
import { permutation, random } from '../../lib/random.js'
import { floatTensor } from '../../lib/tensor.js'

const layout = { batchSize: 4, exampleSize: 2, classes: 10, last: 'drop' } as const

async function collect(batches: AsyncIterable<FullBatch>): Promise<{ input: number[]; target: number[]; count: number }[]> {
  const result = []
  for await (const { input, target, count } of batches) result.push({ input: [...input], target: [...target], count })
  return result
}

/** Batches of the given sizes over examples (i, −i) of class i mod 10, all in one buffer that is used again. */
function* batchesOf(...sizes: number[]): Generator<Batch> {
  const input = new Float32Array(2 * Math.max(...sizes))
  let next = 0
  for (const count of sizes) {
    const target = Array.from({ length: count }, (_, i) => (next + i) % 10)
    for (let i = 0; i < count; i++) input.set([next + i, -(next + i)], 2 * i)
    next += count
    yield { input, target, count }
  }
}

t.test('batches of any size become full ones', async (t) => {
  const full = await collect(fullBatches('train', batchesOf(3, 1, 6, 1, 2), layout))
  t.strictSame(
    full.map((batch) => batch.target),
    [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 0, 1]
    ]
  )
  t.strictSame(full[1]?.input, [4, -4, 5, -5, 6, -6, 7, -7])
})

t.test('the last one is padded in evaluation', async (t) => {
  const full = await collect(fullBatches('validation', batchesOf(5), { ...layout, last: 'pad' }))
  t.strictSame(
    full.map((batch) => batch.count),
    [4, 1]
  )
  t.strictSame(full[1], { input: [4, -4, 4, -4, 4, -4, 4, -4], target: [4, 4, 4, 4], count: 1 })
})

t.test('a batch stays valid while the next is made', async (t) => {
  const iterator = fullBatches('train', batchesOf(4, 4, 4), layout)
  const first = (await iterator.next()).value as FullBatch
  await iterator.next()
  t.strictSame([...first.target], [0, 1, 2, 3])
})

t.test('a set is shuffled by seed and epoch; every example comes once', async (t) => {
  const count = 12
  const set = {
    images: Float32Array.from({ length: 2 * count }, (_, i) => i >> 1),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 10),
    count
  }
  const order = async (seed: number | undefined, epoch: number): Promise<number[]> =>
    (await collect(fullBatches('train', sourceOf('train', set, 2, 5, seed)(epoch), layout))).flatMap((batch) =>
      batch.input.filter((_, i) => i % 2 === 0)
    )
  t.strictSame(
    await order(undefined, 1),
    Array.from({ length: count }, (_, i) => i)
  )
  const shuffled = await order(1, 1)
  t.strictSame(
    shuffled.toSorted((a, b) => a - b),
    Array.from({ length: count }, (_, i) => i)
  )
  t.strictSame(await order(1, 1), shuffled)
  t.notSame(await order(1, 2), shuffled)
  t.notSame(await order(2, 1), shuffled)
  t.equal(batchesPerEpoch(set, 5), 2)
  t.equal(
    batchesPerEpoch(() => [], 5),
    undefined
  )
})

t.test('tensors and async sources', async (t) => {
  async function* source(): AsyncGenerator<Batch> {
    yield { input: floatTensor(new Float32Array(8), [4, 2]), target: [0, 1, 2, 3] }
  }
  t.equal((await collect(fullBatches('train', source(), layout))).length, 1)
})

t.test('data that does not fit', async (t) => {
  const reject = async (batch: Batch, expected: { code: string; message?: RegExp }): Promise<unknown> =>
    t.rejects(collect(fullBatches('train', [batch], layout)), expected)
  await reject({ input: new Float32Array(3), target: [0, 1] }, { code: 'POLYADIC_SHAPE', message: /2 examples of 2 values, got 3/ })
  await reject({ input: new Float32Array(4), target: [0, 10] }, { code: 'POLYADIC_ARGUMENT', message: /0 to 9, got 10/ })
  await reject({ input: new Float32Array(4), target: [0], count: 2 }, { code: 'POLYADIC_SHAPE', message: /2 class indices, got 1/ })
  await reject(undefined as unknown as Batch, { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => sourceOf('train', { images: new Float32Array(5), labels: [0, 1], count: 2 }, 2, 4), {
    code: 'POLYADIC_SHAPE',
    message: /train.images/
  })
  t.throws(() => sourceOf('train', { images: new Float32Array(4), labels: [0], count: 2 }, 2, 4), {
    code: 'POLYADIC_SHAPE',
    message: /train.labels/
  })
  t.throws(() => sourceOf('train', 5 as never, 2, 4), { code: 'POLYADIC_ARGUMENT' })
})

t.test('prefetch asks for one item ahead, ends with the source, passes its errors on', async (t) => {
  const asked: number[] = []
  async function* source(): AsyncGenerator<number> {
    for (let i = 0; i < 3; i++) {
      asked.push(i)
      yield i
    }
    throw new Error('the source broke')
  }
  const items: number[] = []
  await t.rejects(async () => {
    for await (const item of prefetched(source())) {
      items.push(item)
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (item < 2) t.ok(asked.includes(item + 1), 'the next item is made while this one is in use')
    }
  }, /the source broke/)
  t.strictSame(items, [0, 1, 2])
})

t.test('an abort does not wait for a source that hangs', async (t) => {
  async function* hanging(): AsyncGenerator<number> {
    await new Promise(() => {})
    yield 1
  }
  const controller = new AbortController()
  const reason = new Error('stop')
  setTimeout(() => controller.abort(reason), 5)
  await t.rejects(async () => {
    for await (const _ of prefetched(hanging(), controller.signal));
  }, reason)
})

t.test('random numbers: moments, streams', async (t) => {
  const source = random(3)
  const values = Array.from({ length: 20000 }, () => source.normal())
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  t.ok(Math.abs(mean) < 0.03, `mean ${mean}`)
  t.ok(Math.abs(variance - 1) < 0.04, `variance ${variance}`)
  t.not(random(1).next(), random(2).next())
  t.not(random(1, 0).next(), random(1, 1).next())
  t.equal(new Set(permutation(100, random(1))).size, 100)
})
