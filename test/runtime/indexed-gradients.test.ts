import t from 'tap'
import { native } from '../../lib/native/binding.js'
import type { DenseStep } from '../../lib/runtime/dense-spec.js'
import type { PlanSpec } from '../../lib/runtime/plan-spec.js'
import { generator } from '../helpers/plan-builder.js'
import { sameBits } from '../helpers/same-bits.js'

/*
 * Gradients where there is no numerical one: of elements that are alike, of zeros among factors, of NaN. The others are compared with central
 * differences, see test/helpers/indexed-gradient-cases.ts.
 */

type Step = Extract<DenseStep, { op: 'scatter' | 'top_k' }>
type Gradients = readonly (readonly number[])[]

/** Gradients of the mean squared difference from `target` by a step's inputs, all of which are to be trained. */
async function trained(
  step: object,
  inputs: readonly Float32Array[],
  target: Float32Array,
  threads: number
): Promise<readonly Float32Array[]> {
  const dense = { n: 1, c: 1, h: 1, dense: true } as const
  const spec: PlanSpec = {
    threads,
    training: true,
    values: [...inputs.map((data, parameter) => ({ ...dense, w: data.length, parameter })), { ...dense, w: target.length }],
    parameters: inputs.map((data) => ({ data, trainable: true })),
    steps: [{ ...step, inputs: inputs.map((_, i) => i), output: inputs.length } as unknown as Step],
    inputs: [],
    outputs: [inputs.length]
  }
  const trainer = native().createTrainer(spec)
  const { gradients } = await trainer.gradients([], [{ kind: 'mean_squared', output: 0, target }]).promise
  trainer.close()
  return gradients
}

/** Gradients of a step's inputs where those of its output are `wanted`, or NaN where the output is. */
async function gradientsOf(
  step: object,
  inputs: readonly (readonly number[])[],
  output: readonly number[],
  wanted: readonly number[]
): Promise<Gradients> {
  const target = Float32Array.from(output, (y, i) => y - ((wanted[i] as number) * output.length) / 2)
  const tensors = inputs.map((data) => Float32Array.from(data))
  return (await trained(step, tensors, target, 2)).map((gradient) => [...gradient])
}

interface Scatter {
  readonly data: readonly number[]
  readonly indices: readonly number[]
  readonly updates: readonly number[]
  /** What the forward pass makes of them. */
  readonly output: readonly number[]
}

/** Gradients of data and updates where the output's are 1, 2, 3, …; by elements, and as rows of one. */
async function scatterGradients(name: string | undefined, { data, indices, updates, output }: Scatter): Promise<Gradients> {
  const names = name === undefined ? [] : [name]
  const inputs = [data, indices, updates]
  const wanted = output.map((_, i) => i + 1)
  const forms = [
    { op: 'scatter', function: 'elements', sizes: [0, data.length], dims: [indices.length], views: [{ offset: 0, strides: [1] }], names },
    { op: 'scatter', function: 'nd', sizes: [1, indices.length, 1], dims: [data.length], names }
  ]
  const [elements, rows] = await Promise.all(forms.map((step) => gradientsOf(step, inputs, output, wanted)))
  t.same(rows, elements, `${name}: by tuples as by elements`)
  t.ok(
    elements?.[1]?.every((value) => value === 0),
    `${name}: indices have none`
  )
  return [elements?.[0] ?? [], elements?.[2] ?? []]
}

t.test('without a reduction the last update that was written takes all', async (t) => {
  const twice = { data: [10, 20, 30], indices: [1, 0, -2, 1], updates: [1, 2, 3, 4], output: [2, 4, 30] }
  t.same(await scatterGradients(undefined, twice), [
    [0, 0, 3],
    [0, 1, 0, 2]
  ])
  const written = { data: [NaN, 20], indices: [1, 0, 1], updates: [NaN, 7, 5], output: [7, 5] }
  t.same(await scatterGradients(undefined, written), [
    [0, 0],
    [0, 1, 2]
  ])
})

t.test('a factor has the product of the others, zeros among them or not', async (t) => {
  const one = { data: [2, 3, 0, 5], indices: [0, 1, 2, 0], updates: [0, 4, 7, 3], output: [0, 12, 0, 5] }
  t.same(await scatterGradients('multiply', one), [
    [0, 8, 21, 4],
    [6, 6, 0, 0]
  ])
  const several = { data: [2, 0, 3], indices: [0, 1, 0, 1, 0, 2], updates: [0, 5, 0, 7, 3, 0], output: [0, 0, 0] }
  t.same(await scatterGradients('multiply', several), [
    [0, 70, 0],
    [0, 0, 0, 0, 0, 9]
  ])
  // The output is 0 as the first two are less than float32 holds; what the slopes are made of is not.
  const [small, large] = [2 ** -100, 2 ** 100]
  const far = { data: [1], indices: [0, 0, 0, 0], updates: [small, small, large, large], output: [0] }
  t.same(await scatterGradients('multiply', far), [[1], [large, large, small, small]])
})

t.test('of equal ones the element that was there before stays', async (t) => {
  const alike = { data: [5, 5, 5], indices: [0, 1, 1, 2, 2, 2], updates: [5, 4, 4, 6, 6, 5], output: [5, 4, 5] }
  t.same(await scatterGradients('minimum', alike), [
    [1, 0, 3],
    [0, 2, 0, 0, 0, 0]
  ])
  t.same(await scatterGradients('maximum', { ...alike, output: [5, 5, 6] }), [
    [1, 2, 0],
    [0, 0, 0, 3, 0, 0]
  ])
  const zeros = { data: [0, -0], indices: [0, 1], updates: [-0, 0], output: [0, 0] }
  for (const name of ['minimum', 'maximum'])
    t.same(await scatterGradients(name, zeros), [
      [1, 2],
      [0, 0]
    ])
})

t.test('NaN takes the place of what is there, the last of them', async (t) => {
  const data = [NaN, 1, 1, 1, NaN]
  const indices = [0, 1, 1, 2, 2, 2, 3, 4]
  const updates = [7, NaN, 7, NaN, 7, NaN, 1, NaN]
  for (const name of ['minimum', 'maximum']) {
    const output = [NaN, NaN, NaN, 1, NaN]
    t.same(
      await scatterGradients(name, { data, indices, updates, output }),
      [
        [NaN, 0, 0, 4, 0],
        [0, NaN, 0, 0, 0, NaN, 0, NaN]
      ],
      name
    )
  }
})

t.test('TopK: of equals the first one, and each by itself', async (t) => {
  const x = [1, 3, NaN, 3, 3, NaN]
  const topK = (k: number, largest: boolean) => ({ op: 'top_k', sizes: [1, 6, 1, k], flags: [largest] })
  // Of the indices as well a gradient comes, which goes nowhere.
  const wanted = [1, 2, 3, 4, 5, 6, 7, 8]
  t.same(await gradientsOf(topK(3, false), [x], [1, 3, 3, 0, 1, 3], wanted), [[1, 2, 0, 3, 0, 0]])
  t.same(await gradientsOf(topK(4, true), [x], [NaN, NaN, 3, 3, 2, 5, 1, 3], wanted), [[0, 3, NaN, 4, 0, NaN]])
})

t.test('the same bits with any number of threads, where many rows meet', async (t) => {
  const random = generator(5)
  const [rows, row, tuples] = [64, 257, 1000]
  const indices = Float32Array.from({ length: tuples }, () => random.integer(-rows, rows - 1))
  const inputs = [random.normal(rows * row), indices, random.normal(tuples * row, 1.5)]
  for (const names of [[], ['add'], ['multiply'], ['minimum'], ['maximum']]) {
    const step = { op: 'scatter', function: 'nd', sizes: [1, tuples, row], dims: [rows], names }
    const run = (threads: number) => trained(step, inputs, new Float32Array(rows * row), threads)
    const [three, one] = [await run(3), await run(1)]
    const different = one.flatMap((gradient, p) => (sameBits(gradient, three[p] as Float32Array) ? [] : [p]))
    t.same(different, [], names[0] ?? 'none')
  }
})

t.test('scatters that do not fit their inputs, or that there are not, are refused', async (t) => {
  const inputs = [[1, 2], [0], [3]].map((data) => Float32Array.from(data))
  const refused = (step: object, message: RegExp, code = 'POLYADIC_ARGUMENT') =>
    t.rejects(trained(step, inputs, new Float32Array(2), 1), { code, message })
  const elements = { op: 'scatter', function: 'elements', sizes: [0, 2], dims: [1], views: [{ offset: 0, strides: [1] }] }
  await refused({ ...elements, names: ['middle'] }, /unknown reduction "middle"/)
  await refused({ op: 'scatter', function: 'axis', sizes: [1, 2, 1, 1] }, /unknown function "axis"/)
  await refused({ ...elements, dims: [2] }, /expected 2 elements, got 1/)
  await refused({ ...elements, sizes: [1, 2] }, /an axis/)
})
