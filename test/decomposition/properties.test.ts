import fc from 'fast-check'
import t from 'tap'
import { cpd } from '../../lib/decomposition/cpd.js'
import { type Factor, reconstruct } from '../../lib/decomposition/factors.js'
import type { Tensor } from '../../lib/tensor.js'
import { count, indices, randomArray } from '../helpers/solver-reference.js'

const shapes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 2, maxLength: 5 })
const runs = { numRuns: 40, seed: 20 } as const

function tensorOf(dims: readonly number[], seed: number): Tensor {
  return { dtype: 'float64', dims, data: randomArray(count(dims), seed) }
}

function permuted(tensor: Tensor, order: readonly number[]): Tensor {
  const dims = order.map((mode) => tensor.dims[mode]!)
  const data = Float64Array.from({ length: tensor.data.length }, (_, position) => {
    const index = indices(position, dims)
    let from = 0
    tensor.dims.forEach((dim, mode) => {
      from = from * dim + index[order.indexOf(mode)]!
    })
    return Number(tensor.data[from])
  })
  return { dtype: 'float64', dims, data }
}

const difference = (a: Tensor, b: Tensor): number =>
  Math.sqrt(Array.from(a.data as Float64Array).reduce((sum, value, i) => sum + (value - Number(b.data[i])) ** 2, 0))
const norm = (a: Tensor): number => Math.sqrt(Array.from(a.data as Float64Array).reduce((sum, value) => sum + value * value, 0))

t.test('any shape, any rank, any method: a finite model whose error is the one reported and at most 1', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 999 }), async (dims, rank, seed) => {
      const tensor = tensorOf(dims, seed)
      for (const method of ['nls', 'als', 'greedy'] as const) {
        for (const init of ['random', 'svd'] as const) {
          const result = await cpd(tensor, { rank, method, init, seed, maxIterations: 25 })
          const error = difference(tensor, reconstruct(result.factors)) / norm(tensor)
          if (!(Math.abs(error - result.relativeError) < 1e-9) || !(error < 1 + 1e-9)) return false
        }
      }
      return true
    }),
    runs
  )
})

t.test('the same bits with one thread and with two', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, fc.integer({ min: 1, max: 9 }), async (dims, rank) => {
      const [one, two] = await Promise.all([1, 2].map((threads) => cpd(tensorOf(dims, 5), { rank, threads, maxIterations: 15 })))
      return one!.factors.every((factor, n) => factor.data.every((value, i) => Object.is(value, two!.factors[n]!.data[i])))
    }),
    runs
  )
})

t.test('permuting modes permutes factors: from the same start the error is the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 2, max: 6 }), { minLength: 3, maxLength: 4 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 99 }),
      async (dims, rank, seed) => {
        const tensor = tensorOf(dims, seed)
        const factors = dims.map((dim, n): Factor => ({ data: randomArray(dim * rank, seed + n), dims: [dim, rank] }))
        const order = dims.map((_, mode) => (mode + 1) % dims.length)
        // Few steps: rounding differs, and far along a valley that tells.
        const options = { rank, maxIterations: 3 }
        const straight = await cpd(tensor, { ...options, factors })
        const turned = await cpd(permuted(tensor, order), { ...options, factors: order.map((mode) => factors[mode]!) })
        return Math.abs(straight.relativeError - turned.relativeError) < 1e-6
      }
    ),
    runs
  )
})

t.test('the least rank for an error', async (t) => {
  const factors = [8, 7, 6].map((dim, n): Factor => ({ data: randomArray(dim * 3, n + 1), dims: [dim, 3] }))
  const tensor = reconstruct(factors)
  const found = await cpd(tensor, { rank: { error: 1e-6 }, ridge: 0, restarts: 3, tolerance: 1e-9 })
  t.equal(found.weights.length, 3)
  t.strictSame(
    found.ranksTried?.map(({ rank }) => rank),
    [1, 2, 4, 3]
  )
  t.ok(found.relativeError <= 1e-6)
  await t.rejects(cpd(tensor, { rank: { error: 2 } }), { code: 'POLYADIC_ARGUMENT', subject: 'rank.error' })
  await t.rejects(cpd(tensor, { rank: { error: 0.1 }, factors }), { code: 'POLYADIC_ARGUMENT', subject: 'factors' })
})

t.test('the norm of a covariance: the plain one for the identity, a lower output error for any other', async (t) => {
  const dims = [9, 4, 3, 3]
  const [tensor, size] = [tensorOf(dims, 4), 36]
  const identity = Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0))
  const plain = await cpd(tensor, { rank: 5, ridge: 0 })
  const same = await cpd(tensor, { rank: 5, ridge: 0, metric: { covariance: identity } })
  t.ok(Math.abs((same.outputError as number) - same.relativeError) < 1e-10, 'output error and relative error are one')
  t.ok(same.relativeError <= plain.relativeError + 1e-9)
  // Few directions of much variance.
  const samples = randomArray(6 * size, 8)
  const covariance = Float64Array.from({ length: size * size }, (_, i) => {
    let sum = i % (size + 1) === 0 ? 0.01 : 0
    for (let s = 0; s < 6; s++) sum += samples[s * size + Math.floor(i / size)]! * samples[s * size + (i % size)]!
    return sum
  })
  const aware = await cpd(tensor, { rank: 5, ridge: 0, metric: { covariance } })
  t.ok((aware.outputError as number) < 0.8 * (aware.outputErrorBefore as number), `${aware.outputErrorBefore} → ${aware.outputError}`)
  const model = reconstruct(aware.factors)
  const power = (x: (i: number) => number): number => {
    let sum = 0
    for (let row = 0; row < 9; row++)
      for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) sum += x(row * size + a) * covariance[a * size + b]! * x(row * size + b)
    return sum
  }
  const error = Math.sqrt(power((i) => Number(tensor.data[i]) - Number(model.data[i])) / power((i) => Number(tensor.data[i])))
  t.ok(Math.abs(error - (aware.outputError as number)) < 1e-9, 'and it is so')
  await t.rejects(cpd(tensor, { rank: 2, metric: { covariance: new Float64Array(4) } }), {
    code: 'POLYADIC_SHAPE',
    subject: 'metric.covariance'
  })
  await t.rejects(cpd(tensor, { rank: 2, method: 'als', metric: { covariance } }), { code: 'POLYADIC_ARGUMENT', subject: 'metric' })
  await t.rejects(cpd(tensor, { rank: 2, metric: { covariance: covariance.map((x) => -x) } }), { code: /POLYADIC_(NUMERIC|ARGUMENT)/ })
})
