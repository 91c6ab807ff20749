import vm from 'node:vm'
import t from 'tap'
import {
  type Batch,
  batchesPerEpoch,
  type ExampleSet,
  type FullBatch,
  fullBatches,
  sourceOf,
  type Targets
} from '../../lib/training/batches.js'
import { prefetched } from '../../lib/training/prefetch.js'
import { permutation, random } from '../../lib/random.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'
import { rejectsError, throwsError } from '../helpers/expect-error.js'

const layout = { batchSize: 4, example: [2], classes: 10, last: 'drop' } as const

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
    (await collect(fullBatches('train', sourceOf('train', set, [2], 5, seed)(epoch), layout))).flatMap((batch) =>
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

t.test("the dims of tensors are those of the network's examples", async (t) => {
  const images = { batchSize: 2, example: [3, 2, 2], classes: 10, last: 'drop' } as const
  const some = (...dims: number[]) =>
    floatTensor(
      Float32Array.from({ length: 24 }, (_, i) => i),
      dims
    )
  const take = (input: Batch['input']) => collect(fullBatches('train', [{ input, target: [0, 1] }], images))
  t.strictSame((await take(some(2, 3, 2, 2)))[0]?.input, [...some(24).data])
  const made = (set: ExampleSet<Float32Array | Tensor>) => collect(fullBatches('train', sourceOf('train', set, [3, 2, 2], 2)(0), images))
  t.strictSame((await made({ images: some(2, 3, 2, 2), labels: [0, 1], count: 2 }))[0]?.input, [...some(24).data])
  for (const dims of [[2, 2, 2, 3], [2, 12], [24], [1, 2, 3, 2, 2], [2, 3, 4, 1]]) {
    await rejectsError(t, take(some(...dims)), 'POLYADIC_SHAPE', 'train batch input', 'N×3×2×2', dims.join(', '))
    throwsError(
      t,
      () => sourceOf('train', { images: some(...dims), labels: [0, 1], count: 2 }, [3, 2, 2], 2),
      'POLYADIC_SHAPE',
      'train.images'
    )
  }
  throwsError(t, () => made({ images: some(2, 3, 2, 2), labels: [0], count: 1 }), 'POLYADIC_SHAPE', 'train.images', 'count says, 1')
  const doubles = { dtype: 'float64', dims: [2, 3, 2, 2], data: new Float64Array(24) } as const
  await rejectsError(t, take(doubles), 'POLYADIC_SHAPE', 'expected float32, got float64')
  await rejectsError(t, take(new Float64Array(24) as never), 'POLYADIC_ARGUMENT', 'a Float32Array or a tensor', 'Float64Array(24)')
})

t.test('targets of any type that holds them', async (t) => {
  const classes = [3, 0, 9, 1]
  const integers = [Int8Array, Int16Array, Int32Array, Uint8Array, Uint8ClampedArray, Uint16Array, Uint32Array, Float64Array, Float32Array]
  const labels: readonly Targets[] = [
    classes,
    BigInt64Array.from(classes, BigInt),
    BigUint64Array.from(classes, BigInt),
    ...integers.map((type) => type.from(classes))
  ]
  const images = new Float32Array(8)
  for (const some of labels) {
    t.strictSame((await collect(fullBatches('train', [{ input: images, target: some }], layout)))[0]?.target, classes)
    t.strictSame(
      (await collect(fullBatches('train', sourceOf('train', { images, labels: some, count: 4 }, [2], 3)(0), layout)))[0]?.target,
      classes
    )
  }
  for (const wrong of [[0.5, 0, 0, 0], Float64Array.of(0.5, 0, 0, 0), BigInt64Array.of(1n << 33n, 0n, 0n, 0n), Int8Array.of(-1, 0, 0, 0)])
    await rejectsError(
      t,
      collect(fullBatches('train', sourceOf('train', { images, labels: wrong, count: 4 }, [2], 4)(0), layout)),
      'POLYADIC_ARGUMENT',
      'a class index from 0 to 9'
    )
  const values = { ...layout, targetSize: 1 }
  for (const some of [[0.5, 1, 2, 3], Float64Array.of(0.5, 1, 2, 3), Float32Array.of(0.5, 1, 2, 3)])
    t.strictSame(
      (await collect(fullBatches('train', sourceOf('train', { images, labels: some, count: 4 }, [2], 4)(0), values)))[0]?.target,
      [0.5, 1, 2, 3]
    )
  await rejectsError(
    t,
    collect(fullBatches('train', [{ input: images, target: Int32Array.of(0, 1, 2, 3) }], values)),
    'POLYADIC_ARGUMENT',
    'values'
  )
  for (const junk of [{}, 'labels', new DataView(new ArrayBuffer(4)), floatTensor(new Float32Array(4), [4])]) {
    throwsError(t, () => sourceOf('train', { images, labels: junk as never, count: 4 }, [2], 4), 'POLYADIC_ARGUMENT', 'train.labels')
    await rejectsError(
      t,
      collect(fullBatches('train', [{ input: images, target: junk as never }], layout)),
      'POLYADIC_ARGUMENT',
      'batch target'
    )
  }
})

t.test('data that does not fit', async (t) => {
  const reject = async (batch: Batch, expected: { code: string; message?: RegExp }): Promise<unknown> =>
    t.rejects(collect(fullBatches('train', [batch], layout)), expected)
  await reject({ input: new Float32Array(3), target: [0, 1] }, { code: 'POLYADIC_SHAPE', message: /2 examples of 2 values, got 3/ })
  await reject({ input: new Float32Array(4), target: [0, 10] }, { code: 'POLYADIC_ARGUMENT', message: /0 to 9, got 10/ })
  await reject({ input: new Float32Array(4), target: [0], count: 2 }, { code: 'POLYADIC_SHAPE', message: /2 class indices, got 1/ })
  await reject(undefined as unknown as Batch, { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => sourceOf('train', { images: new Float32Array(5), labels: [0, 1], count: 2 }, [2], 4), {
    code: 'POLYADIC_SHAPE',
    message: /train.images/
  })
  t.throws(() => sourceOf('train', { images: new Float32Array(4), labels: [0], count: 2 }, [2], 4), {
    code: 'POLYADIC_SHAPE',
    message: /train.labels/
  })
  t.throws(() => sourceOf('train', 5 as never, [2], 4), { code: 'POLYADIC_ARGUMENT' })
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

t.test('labels may be of any class and realm', async (t) => {
  const warnings: Error[] = []
  const listen = (warning: Error): number => warnings.push(warning)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const foreign = (type: string): Targets => vm.runInNewContext(`${type}.of(3, 1, 2, 0)`) as Targets
  const big = BigUint64Array.of(3n, 1n, 2n, 0n)
  const kinds = [Buffer.of(3, 1, 2, 0), Float64Array.of(3, 1, 2, 0), big, [3, 1, 2, 0], foreign('Uint8Array'), foreign('Int16Array')]
  for (const labels of kinds) {
    const source = sourceOf('train', { images: new Float32Array(8), labels, count: 4 }, [2], 3)
    const full = await collect(fullBatches('train', source(0), layout))
    t.strictSame(full[0]?.target, [3, 1, 2, 0])
  }
  await new Promise(setImmediate)
  t.strictSame(warnings, [], 'new Buffer() is deprecated')
})

t.test('values may be of another realm, and are numbers', async (t) => {
  const foreign = (type: string): Float32Array => vm.runInNewContext(`${type}.of(1, 2, 3, 4)`) as Float32Array
  const regression = { ...layout, batchSize: 2, targetSize: 2 }
  for (const labels of [foreign('Float32Array'), foreign('Float64Array')]) {
    const source = sourceOf('train', { images: foreign('Float32Array'), labels, count: 2 }, [2], 2)
    t.strictSame(await collect(fullBatches('train', source(0), regression)), [{ input: [1, 2, 3, 4], target: [1, 2, 3, 4], count: 2 }])
    const batches = [{ input: foreign('Float32Array'), target: labels }]
    t.strictSame(await collect(fullBatches('train', batches, regression)), [{ input: [1, 2, 3, 4], target: [1, 2, 3, 4], count: 2 }])
  }
  const words = [{ input: new Float32Array(4), target: [0, 1, 'a', 2] as never }]
  await rejectsError(t, collect(fullBatches('train', words, regression)), 'POLYADIC_ARGUMENT', 'train batch target', 'numbers', '"a"')
})

t.test('values that are not finite are told with their row', async (t) => {
  const regression = { ...layout, batchSize: 2, targetSize: 2 }
  for (const wrong of [Number.NaN, -Infinity, 1e300]) {
    for (const labels of [[0, 1, 2, wrong], Float64Array.of(0, 1, 2, wrong)]) {
      const one = { input: new Float32Array(4), target: labels }
      const collecting = collect(fullBatches('train', [one], regression))
      await rejectsError(t, collecting, 'POLYADIC_NUMERIC', 'train batch target', `row 1 holds ${wrong}`)
      const set = { images: new Float32Array(4), labels, count: 2 }
      throwsError(t, () => sourceOf('validation', set, [2], 2), 'POLYADIC_NUMERIC', 'validation.labels', `row 1 holds ${wrong}`)
    }
  }
  const beyond = [{ input: new Float32Array(4), target: [0, 1, Number.NaN, 0], count: 1 }]
  t.equal((await collect(fullBatches('train', beyond, { ...regression, batchSize: 1 }))).length, 1, 'what does not count is not looked at')
})
