// The solver's kernels on the table that POLYADIC_ISA names; run by solver.test.ts, once a table.
import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import { cpdTest } from '../../helpers/solver-hooks.js'
import { randomArray } from '../../helpers/solver-reference.js'

function plain(m: number, n: number, k: number, a: Float64Array, b: Float64Array): Float64Array {
  const c = new Float64Array(m * n)
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) for (let l = 0; l < k; l++) c[i * n + j]! += a[i * k + l]! * b[l * n + j]!
  return c
}

function transpose(rows: number, columns: number, x: Float64Array): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!)
}

function worst(m: number, n: number, k: number, threads: number): number {
  const a = randomArray(m * k, m + 100 * k),
    b = randomArray(k * n, n + 7)
  const expected = plain(m, n, k, a, b)
  const limit = 1e-14 * k
  let ratio = 0
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const c = cpdTest().gemm({
        m,
        n,
        k,
        a: transposeA ? transpose(m, k, a) : a,
        b: transposeB ? transpose(k, n, b) : b,
        transposeA,
        transposeB,
        threads
      })
      c.forEach((value, i) => {
        ratio = Math.max(ratio, Math.abs(value - expected[i]!) / limit)
      })
    }
  }
  return ratio
}

let ratio = 0
for (let size = 1; size <= 67; size++) {
  ratio = Math.max(ratio, worst(size, 67 - size + 1, ((size * 5) % 23) + 1, 1), worst(((size * 3) % 41) + 1, size, size, 1))
}
// Several blocks of rows, several of k, and k split.
for (const [m, n, k] of [
  [200, 13, 600],
  [100, 9, 4500],
  [97, 1, 5000],
  [1, 1, 1],
  [3, 20, 2500]
] as const)
  ratio = Math.max(ratio, worst(m, n, k, 2))
// The packed tensor: rows and columns that fill no tile, one block and several, k in one step and several, split or not.
for (const [dims, rank] of [
  [[7, 11], 5],
  [[13, 9, 9], 8],
  [[100, 6, 70], 9],
  [[5, 40, 13], 17],
  [[30, 20, 15, 2], 33]
] as const) {
  const length = dims.reduce((product, dim) => product * dim, 1)
  const spec = { dims, rank, tensor: randomArray(length, 3), factors: randomArray(rank * dims.reduce((sum, dim) => sum + dim, 0), 4) }
  const [expected, one, two] = [false, true, true].map((packed, i) => cpdTest().mttkrp({ ...spec, packed, threads: i === 2 ? 2 : 1 }))
  const size = Math.sqrt(expected!.reduce((sum, value) => sum + value * value, 0))
  t.ok(
    one!.every((value, i) => Math.abs(value - expected![i]!) < 1e-13 * size),
    `packed, ${dims} at rank ${rank}`
  )
  t.same(two, one, 'the same bits with two threads')
}
t.equal(native().cpu().isa, process.env.POLYADIC_ISA ?? native().cpu().isa)
t.ok(ratio < 1, `the worst difference is ${ratio} of what is allowed`)
