import vm from 'node:vm'
import t from 'tap'
import { cpd, type CpdOptions } from '../../lib/decomposition/cpd.js'
import { reconstruct, type Factor } from '../../lib/decomposition/factors.js'
import type { Tensor } from '../../lib/tensor.js'
import { count, distance, model, randomArray } from '../helpers/solver-reference.js'

const exact: Pick<CpdOptions, 'ridge' | 'tolerance' | 'maxIterations'> = { ridge: 0, tolerance: 1e-12, maxIterations: 500 }

function tensorOf(data: Float64Array, dims: readonly number[], dtype: 'float32' | 'float64' = 'float64'): Tensor {
  return { dtype, dims, data: dtype === 'float32' ? Float32Array.from(data) : data }
}

function lowRank(dims: readonly number[], rank: number, seed: number): { tensor: Tensor; factors: Factor[] } {
  const flat = randomArray(rank * dims.reduce((sum, dim) => sum + dim, 0), seed)
  let offset = 0
  const factors = dims.map((dim): Factor => ({ data: flat.slice(offset, (offset += dim * rank)), dims: [dim, rank] }))
  return { tensor: tensorOf(model(flat, dims, rank), dims), factors }
}

// A kernel as trained ones are: terms that decay, smooth over space, and noise.
function kernelLike(dims: readonly number[], seed: number, noise = 0.3): Tensor {
  const terms = 60
  const flat = randomArray(terms * dims.reduce((sum, dim) => sum + dim, 0), seed)
  let offset = 0
  dims.forEach((dim, n) => {
    for (let i = 0; i < dim; i++) {
      for (let r = 0; r < terms; r++) {
        if (n === 0) flat[offset + i * terms + r]! *= (r + 1) ** -0.6
        if (n >= 2) flat[offset + i * terms + r] = Math.cos(r * r + ((r * 7) % 5) * 0.3 * i)
      }
    }
    offset += dim * terms
  })
  const data = model(flat, dims, terms)
  const level = noise * Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length)
  const dirt = randomArray(data.length, seed + 1)
  return tensorOf(
    data.map((x, i) => x + level * dirt[i]!),
    dims,
    'float32'
  )
}

/** |cosine| of the components of two models, best match a component of `truth`; the smallest is returned. */
function leastMatch(found: readonly Factor[], truth: readonly Factor[]): number {
  const rank = truth[0]!.dims[1]
  const cosine = (s: number, r: number): number =>
    Math.abs(
      truth.reduce((product, a, n) => {
        const b = found[n]!
        let inner = 0,
          aa = 0,
          bb = 0
        for (let i = 0; i < a.dims[0]; i++) {
          const x = a.data[i * rank + r]!,
            y = b.data[i * rank + s]!
          inner += x * y
          aa += x * x
          bb += y * y
        }
        return product * (inner / Math.sqrt(aa * bb))
      }, 1)
    )
  const range = [...Array(rank).keys()]
  return Math.min(...range.map((r) => Math.max(...range.map((s) => cosine(s, r)))))
}

t.test('exact recovery up to permutation and scale, orders 3 to 6', async (t) => {
  for (const [dims, rank] of [
    [[6, 7, 8], 4],
    [[8, 7, 6, 5], 5],
    [[5, 4, 3, 4, 5], 3],
    [[3, 4, 3, 2, 4, 3], 3]
  ] as const) {
    const { tensor, factors } = lowRank(dims, rank, 3)
    for (const method of ['nls', 'als'] as const) {
      const result = await cpd(tensor, { rank, method, restarts: 4, ...exact })
      t.ok(result.relativeError < (method === 'nls' ? 1e-10 : 1e-6), `${dims} ${method}: error ${result.relativeError}`)
      t.ok(leastMatch(result.factors, factors) > 1 - 1e-6, `${dims} ${method}: the components are those that were put in`)
      t.equal(result.restartErrors.length, 4)
      t.equal(result.relativeError, Math.min(...result.restartErrors))
    }
  }
})

t.test('a full-rank kernel is matched to 1e-5', async (t) => {
  const tensor = tensorOf(randomArray(108, 2), [4, 3, 3, 3], 'float32')
  for (const rank of [27, 36]) {
    const result = await cpd(tensor, { rank, ...exact })
    t.ok(result.relativeError < 1e-5, `rank ${rank}: ${result.relativeError}`)
    t.ok(
      distance(reconstruct(result.factors).data as Float32Array, tensor.data as Float32Array) < 1e-5,
      'and the float32 factors reproduce it'
    )
  }
})

t.test('what is reported is so', async (t) => {
  const tensor = kernelLike([12, 10, 5, 5], 4)
  const { factors, weights, ...result } = await cpd(tensor, { rank: 9 })
  t.ok(Math.abs(distance(reconstruct(factors).data as Float32Array, tensor.data as Float32Array) - result.relativeError) < 1e-6)
  t.same(
    factors.map((factor) => factor.dims),
    [
      [12, 9],
      [10, 9],
      [5, 9],
      [5, 9]
    ]
  )
  t.ok(
    factors.every((factor) => factor.data instanceof Float32Array),
    'factors have the dtype of the tensor'
  )
  const norms = factors.map(({ data, dims: [rows, rank] }) =>
    Array.from({ length: rank }, (_, r) => {
      let sum = 0
      for (let i = 0; i < rows; i++) sum += data[i * rank + r]! ** 2
      return sum
    })
  )
  t.ok(
    norms.every((of) => of.every((value, r) => Math.abs(value / norms[0]![r]! - 1) < 1e-5)),
    'columns have one norm over modes'
  )
  const sensitivity = factors.reduce(
    (sum, factor, n) =>
      sum +
      factor.dims[0] *
        norms[0]!.reduce((part, _, r) => part + norms.reduce((product, of, m) => (m === n ? product : product * of[r]!), 1), 0),
    0
  )
  t.ok(Math.abs(sensitivity / result.sensitivity - 1) < 1e-5)
  t.ok(Math.abs(weights.reduce((sum, weight) => sum + weight * weight, 0) / result.componentNorm - 1) < 1e-5)
  t.equal(result.iterations, result.trace.length)
  t.equal(result.sensitivity, result.sensitivityBefore, 'without a correction')
  t.ok(result.congruence > 0 && result.congruence <= 1)
  t.equal(result.effectiveRank, 9)
})

t.test('same seed, same bits, with one thread and with two; another seed, another result', async (t) => {
  const tensor = kernelLike([40, 30, 7, 7], 8)
  for (const method of ['nls', 'als', 'greedy'] as const) {
    const options = { rank: 16, method, maxIterations: 15, correction: 'epc' } as const
    const one = await cpd(tensor, { ...options, threads: 1 }),
      two = await cpd(tensor, { ...options, threads: 2 })
    t.same(two.factors, one.factors, method)
    t.equal(two.relativeError, one.relativeError)
    if (method !== 'greedy') t.not((await cpd(tensor, { ...options, seed: 1 })).relativeError, one.relativeError)
  }
})

t.test('nls with its default ridge does no worse than als and beats greedy, and is less sensitive', async (t) => {
  for (const seed of [1, 2]) {
    const tensor = kernelLike([20, 12, 5, 5], seed, 0.5)
    for (const rank of [12, 30]) {
      const nls = await cpd(tensor, { rank, restarts: 3 })
      const als = await cpd(tensor, { rank, restarts: 3, method: 'als', ridge: 0, maxIterations: 500 })
      const greedy = await cpd(tensor, { rank, method: 'greedy' })
      t.ok(nls.relativeError < als.relativeError * 1.01, `rank ${rank}: nls ${nls.relativeError}, als ${als.relativeError}`)
      t.ok(nls.relativeError < greedy.relativeError, `rank ${rank}: greedy ${greedy.relativeError}`)
      t.ok(nls.sensitivity < als.sensitivity * 1.02, `rank ${rank}: sensitivity nls ${nls.sensitivity}, als ${als.sensitivity}`)
    }
  }
})

t.test('a ridge lowers the sensitivity; its price is small', async (t) => {
  const tensor = kernelLike([20, 12, 5, 5], 3, 1)
  const plain = await cpd(tensor, { rank: 30, ridge: 0 }),
    ridged = await cpd(tensor, { rank: 30 })
  t.ok(ridged.sensitivity < plain.sensitivity / 2, `${plain.sensitivity} → ${ridged.sensitivity}`)
  t.ok(ridged.relativeError < plain.relativeError * 1.01, `${plain.relativeError} → ${ridged.relativeError}`)
})

t.test('a ridge does not extinguish the components of a start that explains nothing yet', async (t) => {
  const tensor = kernelLike([24, 20, 5, 5], 2, 1)
  for (const size of [0.1, 0.03, 0.01, 0.003]) {
    const factors = tensor.dims.map((dim, n): Factor => ({ data: randomArray(dim * 40, n).map((x) => x * size), dims: [dim, 40] }))
    for (const method of ['nls', 'als'] as const) {
      const options = { rank: 40, method, factors } as const
      const [ridged, plain] = [await cpd(tensor, options), await cpd(tensor, { ...options, ridge: 0 })]
      t.equal(ridged.effectiveRank, 40, `${method}, size ${size}`)
      t.ok(ridged.relativeError < 1.01 * plain.relativeError, `${method}, size ${size}: ${plain.relativeError} → ${ridged.relativeError}`)
    }
  }
})

t.test('a huge ridge leaves no component, and no NaN', async (t) => {
  const result = await cpd(kernelLike([8, 6, 3, 3], 3), { rank: 4, ridge: 1000 })
  t.equal(result.effectiveRank === 0 || result.relativeError > 0.9, true)
  t.ok(Number.isFinite(result.sensitivity) && result.factors.every((factor) => factor.data.every(Number.isFinite)))
})

t.test('the correction lowers the sensitivity and keeps the error within its bound', async (t) => {
  const tensor = kernelLike([20, 12, 5, 5], 5, 1)
  const plain = await cpd(tensor, { rank: 30, ridge: 0 })
  for (const [correction, factor] of [
    ['epc', 1.005],
    [{ epc: 1.02 }, 1.02],
    [{ epc: 1 }, 1]
  ] as const) {
    const result = await cpd(tensor, { rank: 30, ridge: 0, correction })
    t.equal(result.sensitivityBefore, plain.sensitivity)
    t.ok(result.relativeError <= plain.relativeError * factor * (1 + 1e-9), `${factor}: ${result.relativeError / plain.relativeError}`)
    t.ok(result.sensitivity <= result.sensitivityBefore)
    if (factor > 1) t.ok(result.sensitivity < result.sensitivityBefore * 0.8, `${result.sensitivityBefore} → ${result.sensitivity}`)
  }
})

t.test('a matrix gets its truncated singular value decomposition', async (t) => {
  const data = randomArray(30 * 22, 9)
  const full = await cpd(tensorOf(data, [30, 22]), { rank: 22 })
  t.ok(full.relativeError < 1e-14)
  const wide = await cpd(tensorOf(data, [22, 30]), { rank: 40 })
  t.ok(wide.relativeError < 1e-14, 'more components than there are')
  t.equal(wide.effectiveRank, 22)
  // The squares of the weights of the full decomposition are the energies: the tail is the error of the truncated one.
  const energies = full.weights
    .map((weight) => weight * weight)
    .sort()
    .reverse()
  const tail = Math.sqrt(energies.slice(5).reduce((sum, x) => sum + x, 0) / energies.reduce((sum, x) => sum + x, 0))
  t.ok(Math.abs((await cpd(tensorOf(data, [30, 22]), { rank: 5 })).relativeError - tail) < 1e-12)
})

t.test('edge cases stay finite', async (t) => {
  const zero = await cpd(tensorOf(new Float64Array(24), [2, 3, 4]), { rank: 3 })
  t.equal(zero.relativeError, 0)
  t.equal(zero.stopReason, 'exact')
  t.ok(zero.factors.every((factor) => factor.data.every((value) => value === 0)))
  t.equal(zero.effectiveRank, 0)
  for (const dims of [
    [1, 1, 1],
    [1, 5, 1, 4],
    [1, 6],
    [3, 1, 4, 1, 2, 1]
  ]) {
    for (const method of ['nls', 'als', 'greedy'] as const) {
      for (const rank of [1, 7]) {
        const result = await cpd(tensorOf(randomArray(count(dims), 1), dims), { rank, method, ridge: 0 })
        const finite = result.factors.every((factor) => factor.data.every(Number.isFinite)) && Number.isFinite(result.sensitivity)
        t.ok(finite && result.relativeError <= 1, `${dims} ${method} rank ${rank}: ${result.relativeError}`)
      }
    }
  }
  for (const scale of [1e-160, 1e-30, 1e30, 1e150]) {
    const { tensor } = lowRank([4, 5, 6], 2, 1)
    const result = await cpd(
      tensorOf(
        (tensor.data as Float64Array).map((x) => x * scale),
        [4, 5, 6]
      ),
      { rank: 2, restarts: 3, ...exact }
    )
    t.ok(result.relativeError < 1e-8, `scaled by ${scale}: ${result.relativeError}`)
  }
  const beyond = await cpd(tensorOf(randomArray(108, 1), [4, 3, 3, 3]), { rank: 150, maxIterations: 30 })
  t.ok(beyond.factors.every((factor) => factor.data.every(Number.isFinite)) && beyond.relativeError < 0.1)
})

t.test('init: svd, and factors of the caller', async (t) => {
  const { tensor, factors } = lowRank([6, 7, 8], 9, 3) // more columns than the first two modes have rows
  const svd = await cpd(tensor, { rank: 9, init: 'svd', ...exact })
  t.ok(svd.relativeError < 1e-2, String(svd.relativeError))
  const given = await cpd(tensor, { rank: 9, factors, ...exact })
  t.ok(given.relativeError < 1e-12)
  t.ok(given.iterations <= 2, 'they are the solution')
})

t.test('init: gevd finds an exact tensor at once, order 3 to 6, and begins well on a noisy one', async (t) => {
  for (const [dims, rank] of [
    [[6, 7, 8], 6],
    [[20, 3, 18], 17], // modes p and q are not neighbours
    [[2, 12, 10], 10], // two slices
    [[5, 6, 4, 5], 5],
    [[5, 4, 3, 4, 5], 5],
    [[3, 4, 3, 2, 4, 3], 3]
  ] as const) {
    const { tensor, factors } = lowRank(dims, rank, 3)
    const result = await cpd(tensor, { rank, init: 'gevd', ...exact })
    t.ok(result.relativeError < 1e-9, `${dims}: error ${result.relativeError}`)
    t.ok(result.iterations <= 6, `${dims}: ${result.iterations} iterations`)
    t.ok(leastMatch(result.factors, factors) > 1 - 1e-6, `${dims}: the components are those that were put in`)
    const data = tensor.data as Float64Array
    const dirt = randomArray(data.length, 5)
    const level = 0.01 * Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length)
    const noisy = await cpd(
      tensorOf(
        data.map((x, i) => x + level * dirt[i]!),
        dims
      ),
      { rank, init: 'gevd', ridge: 0 }
    )
    t.ok(noisy.relativeError < 0.0101, `${dims} with noise: error ${noisy.relativeError}`)
  }
  // Where eigenvalues come in complex pairs there is no such decomposition, but still a start.
  const random = await cpd(tensorOf(randomArray(8 * 8 * 2, 4), [8, 8, 2]), { rank: 8, init: 'gevd' })
  t.ok(random.relativeError < 0.5 && random.factors.every((factor) => factor.data.every(Number.isFinite)))
  t.ok(
    (await cpd(tensorOf(new Float64Array(27).fill(1), [3, 3, 3]), { rank: 3, init: 'gevd', ridge: 0 })).relativeError < 1e-6,
    'singular slices'
  )
})

t.test('init: gevd where it does not apply', async (t) => {
  for (const [dims, rank] of [
    [[3, 4, 5], 5],
    [[1, 4, 5], 2]
  ] as const) {
    const tensor = tensorOf(randomArray(count(dims), 1), dims)
    await t.rejects(cpd(tensor, { rank, init: 'gevd' }), { code: 'POLYADIC_ARGUMENT', message: /gevd/ }, String(dims))
  }
})

t.test('a bound on the weights holds, at a price', async (t) => {
  const tensor = kernelLike([20, 12, 5, 5], 3, 1)
  const norm = Math.sqrt(Float64Array.from(tensor.data as Float32Array).reduce((sum, x) => sum + x * x, 0))
  const most = (weights: Float64Array): number => weights.reduce((largest, weight) => Math.max(largest, weight / norm), 0)
  const plain = await cpd(tensor, { rank: 30, ridge: 0, maxIterations: 500 })
  const bound = most(plain.weights) / 8
  const bounded = await cpd(tensor, { rank: 30, ridge: 0, maxIterations: 500, maxWeight: bound })
  t.ok(most(bounded.weights) <= bound * (1 + 1e-6), `${most(plain.weights)} → ${most(bounded.weights)}, bound ${bound}`)
  t.ok(bounded.relativeError < 1.02 * plain.relativeError, `${plain.relativeError} → ${bounded.relativeError}`)
  t.ok(bounded.sensitivity < plain.sensitivity)
  const slack = await cpd(tensor, { rank: 30, ridge: 0, maxWeight: 1e9, maxIterations: 5 })
  t.equal(most(slack.weights) <= 1e9, true)
  await t.rejects(cpd(tensor, { rank: 3, method: 'als', maxWeight: 1 }), { code: 'POLYADIC_ARGUMENT', subject: 'maxWeight' })
  await t.rejects(cpd(tensor, { rank: 3, maxWeight: 0 }), { code: 'POLYADIC_ARGUMENT', subject: 'maxWeight' })
})

t.test('a tensor much longer than its rank needs is solved on its core first, to the same end', async (t) => {
  for (const [dims, rank] of [
    [[40, 50, 30], 5],
    [[60, 4, 50, 3], 6]
  ] as const) {
    const { tensor, factors } = lowRank(dims, rank, 8)
    const found = await cpd(tensor, { rank, ...exact })
    t.ok(found.relativeError < 1e-10, `${dims}: error ${found.relativeError}`)
    t.ok(leastMatch(found.factors, factors) > 1 - 1e-6)
    const data = tensor.data as Float64Array
    const dirt = randomArray(data.length, 5)
    const level = 0.3 * Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length)
    const noisy = tensorOf(
      data.map((x, i) => x + level * dirt[i]!),
      dims
    )
    const result = await cpd(noisy, { rank, ridge: 0, tolerance: 1e-9 })
    const best = await cpd(noisy, { rank, ridge: 0, tolerance: 1e-9, factors })
    t.ok(
      Math.abs(result.relativeError - best.relativeError) < 1e-6,
      `${dims}: ${result.relativeError}, from the truth ${best.relativeError}`
    )
    const errors = result.trace.map(({ error }) => error)
    t.ok(
      errors.every((error) => error >= result.relativeError - 1e-9),
      'errors of the trace are those of the whole tensor'
    )
    t.equal(result.iterations, errors.length)
  }
})

t.test('abort: before, midway, and never a hanging job', async (t) => {
  const tensor = kernelLike([64, 48, 7, 7], 1)
  const reason = new Error('no more')
  await t.rejects(cpd(tensor, { rank: 4, signal: AbortSignal.abort(reason) }), reason)
  for (const method of ['nls', 'als', 'greedy'] as const) {
    const controller = new AbortController()
    let calls = 0
    const running = cpd(tensor, {
      rank: 64,
      method,
      tolerance: 0,
      maxIterations: 1_000_000,
      signal: controller.signal,
      onProgress: ({ iteration, relativeError, restart }) => {
        calls++
        t.ok(iteration >= 1 && relativeError > 0 && restart === 0)
        controller.abort(reason)
      }
    })
    await t.rejects(running, reason, method)
    t.ok(calls >= 1)
  }
  t.ok((await cpd(tensor, { rank: 2, maxIterations: 3 })).relativeError < 1, 'the compute thread goes on')
})

t.test('bad arguments are named', async (t) => {
  const tensor = tensorOf(randomArray(24, 1), [2, 3, 4])
  const factor = (rows: number, rank: number): Factor => ({ data: new Float64Array(rows * rank), dims: [rows, rank] })
  const bad = (options: object, code: string, subject: string, of: unknown = tensor): Promise<unknown> =>
    t.rejects(cpd(of as Tensor, { rank: 2, ...options } as CpdOptions), { code, subject }, subject)
  await bad({ rank: 0 }, 'POLYADIC_ARGUMENT', 'rank')
  await bad({ rank: NaN }, 'POLYADIC_ARGUMENT', 'rank')
  await bad({ rank: 2.5 }, 'POLYADIC_ARGUMENT', 'rank')
  await bad({ method: 'magic' }, 'POLYADIC_ARGUMENT', 'method')
  await bad({ init: 'given' }, 'POLYADIC_ARGUMENT', 'init')
  await bad({ ridge: -1 }, 'POLYADIC_ARGUMENT', 'ridge')
  await bad({ tolerance: NaN }, 'POLYADIC_ARGUMENT', 'tolerance')
  await bad({ seed: -1 }, 'POLYADIC_ARGUMENT', 'seed')
  await bad({ threads: 0 }, 'POLYADIC_ARGUMENT', 'threads')
  await bad({ restarts: 0 }, 'POLYADIC_ARGUMENT', 'restarts')
  await bad({ restarts: 2, method: 'greedy' }, 'POLYADIC_ARGUMENT', 'restarts')
  await bad({ maxIterations: 0 }, 'POLYADIC_ARGUMENT', 'maxIterations')
  await bad({ correction: 'ecp' }, 'POLYADIC_ARGUMENT', 'correction')
  await bad({ correction: { epc: 0.9 } }, 'POLYADIC_ARGUMENT', 'correction.epc')
  await bad({ signal: {} }, 'POLYADIC_ARGUMENT', 'signal')
  await bad({ onProgress: 1 }, 'POLYADIC_ARGUMENT', 'onProgress')
  await bad({ factors: [factor(2, 2), factor(3, 2)] }, 'POLYADIC_ARGUMENT', 'factors')
  await bad({ factors: [factor(2, 2), factor(3, 2), factor(5, 2)] }, 'POLYADIC_SHAPE', 'factors[2]')
  await bad({ factors: [factor(2, 2), factor(3, 3), factor(4, 2)] }, 'POLYADIC_SHAPE', 'factors[1]')
  await bad({ factors: [factor(2, 2), factor(3, 2), { data: [1], dims: [4, 2] }] }, 'POLYADIC_ARGUMENT', 'factors[2].data')
  await bad({}, 'POLYADIC_ARGUMENT', 'tensor.dims', tensorOf(new Float64Array(3), [3]))
  await bad({}, 'POLYADIC_ARGUMENT', 'tensor.dims', tensorOf(new Float64Array(1), [1, 1, 1, 1, 1, 1, 1]))
  await bad({}, 'POLYADIC_ARGUMENT', 'tensor.dims', tensorOf(new Float64Array(0), [2, 0, 3]))
  await bad({}, 'POLYADIC_SHAPE', 'tensor', { dtype: 'int32', dims: [2, 2], data: new Int32Array(4) })
  await bad({}, 'POLYADIC_SHAPE', 'tensor', tensorOf(new Float64Array(5), [2, 3]))
  await bad({}, 'POLYADIC_NUMERIC', 'tensor', tensorOf(Float64Array.of(1, NaN, 2, 3), [2, 2]))
  await bad({}, 'POLYADIC_NUMERIC', 'tensor', tensorOf(Float64Array.of(1, Infinity, 2, 3), [2, 2]))
  await bad({}, 'POLYADIC_ARGUMENT', 'tensor', null)
  await t.rejects(cpd(tensor, null as unknown as CpdOptions), { code: 'POLYADIC_ARGUMENT', subject: 'options' })
  t.throws(() => reconstruct([]), { code: 'POLYADIC_ARGUMENT' })
})

t.test('what onProgress throws ends the decomposition', async (t) => {
  const tensor = { dtype: 'float64', dims: [12, 12, 12], data: randomArray(12 ** 3, 1) } as const
  const mine = { reason: 'mine' }
  let calls = 0
  const onProgress = (): void => {
    calls++
    throw mine
  }
  const before = performance.now()
  const endless = { rank: 20, maxIterations: 10_000_000, tolerance: 0, onProgress }
  t.equal(await cpd(tensor, endless).catch((error: unknown) => error), mine)
  t.equal(calls, 1, 'it is not called again')
  t.ok(performance.now() - before < 60_000, 'and nothing is computed to its end')
  const signal = new AbortController().signal
  t.equal(await cpd(tensor, { ...endless, signal }).catch((error: unknown) => error), mine)
  t.equal(await cpd(tensor, { ...endless, rank: { error: 0.01 } }).catch((error: unknown) => error), mine)
})

t.test('arrays of another realm', async (t) => {
  const foreign = (type: string, values: ArrayLike<number>): unknown => vm.runInNewContext(`${type}.from([${Array.from(values).join()}])`)
  const data = Float64Array.of(1, 2, 3, 4, 5, 7)
  const covariance = Float64Array.of(2, 0, 0, 0, 1, 0, 0, 0, 1)
  const run = (values: unknown, metric: unknown) =>
    cpd({ dtype: 'float64', dims: [2, 3], data: values as Float64Array }, { rank: 1, metric: { covariance: metric as Float64Array } })
  const own = await run(data, covariance)
  const other = await run(foreign('Float64Array', data), foreign('Float64Array', covariance))
  t.strictSame(other.factors, own.factors)
  const factors = own.factors.map(({ data, dims }) => ({ data: foreign('Float64Array', data) as Float64Array, dims }))
  t.strictSame(reconstruct(factors), reconstruct(own.factors))
})
