import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'
import { cpdTest } from '../helpers/solver-hooks.js'
import { count, distance, jacobian, model, norm, offsets, product, randomArray, transposedProduct } from '../helpers/solver-reference.js'

const shapes: readonly (readonly number[])[] = [
  [5, 7],
  [1, 6],
  [4, 3, 5],
  [7, 1, 2],
  [4, 3, 3, 3],
  [2, 9, 1, 4],
  [3, 2, 4, 2, 3],
  [1, 3, 2, 1, 4],
  [2, 3, 2, 3, 2, 2],
  [1, 1, 3, 2, 1, 2]
]

const factorsOf = (dims: readonly number[], rank: number, seed: number): Float64Array =>
  randomArray(rank * dims.reduce((sum, dim) => sum + dim, 0), seed)

// A process uses one kernel table, so the matrix products are compared once in a process for each.
for (const isa of native().cpu().available) {
  const script = fileURLToPath(new URL('child/solver.ts', import.meta.url))
  t.spawn(process.execPath, [...process.execArgv, script], { env: { ...process.env, POLYADIC_ISA: isa } }, `matrix products on ${isa}`)
}

t.test('MTTKRP agrees with the naive sum for orders 2 to 6', async (t) => {
  for (const dims of shapes) {
    for (const rank of [1, 3, 8, 17]) {
      const factors = factorsOf(dims, rank, rank),
        tensor = randomArray(count(dims), 5)
      const expected = transposedProduct(jacobian(factors, dims, rank), tensor)
      for (const packed of [false, true]) {
        const found = cpdTest().mttkrp({ dims, rank, factors, tensor, packed, threads: 2 })
        t.ok(distance(found, expected) < 1e-13, `${dims} at rank ${rank}${packed ? ', packed' : ''}`)
      }
    }
  }
})

t.test('the structured JᵀJ·P agrees with an explicit Jacobian', async (t) => {
  for (const dims of shapes) {
    for (const rank of [1, 2, 5, 9]) {
      const factors = factorsOf(dims, rank, 1),
        direction = factorsOf(dims, rank, 2)
      const rows = jacobian(factors, dims, rank)
      const expected = transposedProduct(rows, product(rows, direction))
      t.ok(distance(cpdTest().jacobianProduct({ dims, rank, factors, direction }), expected) < 1e-13, `${dims} at rank ${rank}`)
    }
  }
})

t.test('the gradient agrees with central differences, far from a solution and close to it', async (t) => {
  for (const dims of [
    [4, 3, 5],
    [3, 4, 2, 3],
    [2, 3, 2, 2, 3]
  ]) {
    const rank = 3,
      step = 1e-5
    for (const [noise, ridge] of [
      [1, 0],
      [1, 0.1],
      [1e-6, 0]
    ] as const) {
      const factors = factorsOf(dims, rank, 11)
      const clean = model(factors, dims, rank),
        dirt = randomArray(clean.length, 3)
      const scale = 1 / norm(clean)
      const tensor = clean.map((value, i) => value * scale + noise * dirt[i]!)
      const unit = norm(tensor)
      tensor.forEach((value, i) => {
        tensor[i] = value / unit
      })
      const start = offsets(dims, rank)
      for (let i = start[0]!; i < start[1]!; i++) factors[i]! *= scale / unit
      const objective = (at: Float64Array): number => {
        const m = model(at, dims, rank)
        return 0.5 * tensor.reduce((sum, value, i) => sum + (value - m[i]!) ** 2, 0) + 0.5 * ridge * norm(at) ** 2
      }
      const numeric = factors.map((value, i) => {
        const up = Float64Array.from(factors),
          down = Float64Array.from(factors)
        up[i] = value + step
        down[i] = value - step
        return (objective(up) - objective(down)) / (2 * step)
      })
      const analytic = cpdTest().gradient({ dims, rank, factors, tensor, ridge })
      const difference = norm(analytic.map((value, i) => value - numeric[i]!))
      t.ok(difference < 1e-6 * Math.max(norm(numeric), 1e-3), `${dims} noise ${noise} ridge ${ridge}: ${difference}`)
    }
  }
})

t.test('symmetric eigenpairs: residual and orthogonality', async (t) => {
  for (const n of [1, 2, 3, 10, 33, 80]) {
    const half = randomArray(n * n, n),
      a = new Float64Array(n * n)
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j] = half[i * n + j]! + half[j * n + i]!
    if (n === 33) a.fill(1) // rank one: a 32-fold eigenvalue
    const [values, v] = cpdTest().eigen({ n, a })
    let residual = 0,
      overlap = 0
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let av = 0,
          vv = 0
        for (let k = 0; k < n; k++) {
          av += a[i * n + k]! * v[k * n + j]!
          vv += v[k * n + i]! * v[k * n + j]!
        }
        residual = Math.max(residual, Math.abs(av - values[j]! * v[i * n + j]!))
        overlap = Math.max(overlap, Math.abs(vv - (i === j ? 1 : 0)))
      }
    }
    t.ok(residual < 1e-13 * n * norm(a), `n = ${n}: residual ${residual}`)
    t.ok(overlap < 1e-13 * n, `n = ${n}: orthogonality ${overlap}`)
    t.ok(
      values.every((value, i) => i === 0 || value >= values[i - 1]!),
      `n = ${n}: ascending`
    )
  }
})
