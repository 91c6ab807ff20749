import t from 'tap'
import { compress } from '../../lib/replacement/compress.js'
import type { CompressProgress } from '../../lib/replacement/options.js'
import { runConvChain } from '../helpers/reference-conv.js'
import { floatTensor } from '../../lib/tensor.js'
import { type ConvCase, convGraph, maps, normals } from './helpers.js'

/** Kernels small enough for NLS to find an exact decomposition at the rank given, which is below the one from which on none is sought. */
const cases: readonly (ConvCase & { readonly rank: number })[] = [
  { title: '3×3, pads', input: [3, 7, 7], dims: [4, 3, 3, 3], pads: [1, 1, 1, 1], rank: 24 },
  { title: '3×3, two groups, strides [2, 1]', input: [4, 8, 7], dims: [4, 2, 3, 3], groups: 2, strides: [2, 1], rank: 11 },
  { title: 'first layer 5×5', input: [1, 9, 9], dims: [6, 1, 5, 5], rank: 20 },
  { title: '1×5', input: [3, 6, 9], dims: [4, 3, 1, 5], rank: 11 }
]

t.test('where the solver finds an exact decomposition the compressed layer is the layer', async (t) => {
  for (const one of cases) {
    const graph = convGraph(one)
    const {
      graph: compressed,
      layers: [report]
    } = await compress(graph, {
      whenSlower: 'replace',
      layers: { conv: { rank: one.rank, ridge: 0, tolerance: 1e-14, maxIterations: 2000, restarts: 3 } }
    })
    t.ok((report?.relativeError ?? 1) < 1e-4, `${one.title}: relative error ${report?.relativeError}`)
    const expected = runConvChain(graph, maps(...one.input))
    const actual = runConvChain(compressed, maps(...one.input))
    const norm = Math.hypot(...expected.data)
    const error = Math.hypot(...expected.data.map((value, i) => value - (actual.data[i] as number))) / norm
    t.ok(error < 1e-3, `${one.title}: output error ${error}`)
  }
})

t.test('1×1: the truncated singular value decomposition finds the rank that a kernel has', async (t) => {
  const graph = convGraph({ title: '', input: [6, 4, 4], dims: [8, 3, 1, 1], groups: 2 })
  // Rank 2 in each group: (4×2)·(2×3).
  const [left, right] = [normals(16, 1), normals(12, 2)]
  const product = Float32Array.from({ length: 24 }, (_, i) => {
    const [row, column, g] = [Math.floor(i / 3), i % 3, Math.floor(i / 12)]
    return [0, 1].reduce((sum, r) => sum + (left[row * 2 + r] as number) * (right[g * 6 + r * 3 + column] as number), 0)
  })
  const low = { ...graph, initializers: new Map([...graph.initializers, ['w', floatTensor(product, [8, 3, 1, 1])]]) }
  const at = async (rank: number): Promise<number> =>
    (await compress(low, { whenSlower: 'replace', layers: { conv: rank } })).layers[0]?.relativeError ?? 1
  t.ok((await at(2)) < 1e-6)
  t.ok((await at(1)) > 0.05)
})

t.test('the error falls with the rank, and the report tells of it', async (t) => {
  const graph = convGraph({ title: '', input: [8, 9, 9], dims: [12, 8, 5, 5] })
  const errors: number[] = []
  for (const rank of [4, 16, 48]) {
    const {
      layers: [report]
    } = await compress(graph, { whenSlower: 'replace', layers: { conv: rank }, seed: 1 })
    errors.push(report?.relativeError ?? NaN)
    t.ok((report?.trace.length ?? 0) > 0)
    t.ok((report?.sensitivity ?? 0) > 0)
  }
  t.ok((errors[0] as number) > (errors[1] as number) && (errors[1] as number) > (errors[2] as number), errors.join(' > '))
})

t.test('the same seed gives the same bits', async (t) => {
  const graph = convGraph(cases[1] as ConvCase)
  const weights = async (seed: number): Promise<unknown> =>
    (await compress(graph, { whenSlower: 'replace', layers: { conv: 4 }, seed })).graph.initializers.get('conv/reduce.weight')?.data
  t.strictSame(await weights(1), await weights(1))
  t.notSame(await weights(1), await weights(2))
})

t.test('an abort stops the solver, progress stays within the call', async (t) => {
  const graph = convGraph({ title: '', input: [48, 16, 16], dims: [96, 48, 9, 9] })
  const controller = new AbortController()
  const reason = new Error('enough')
  const events: CompressProgress[] = []
  const started = Date.now()
  const onProgress = (event: CompressProgress): void => {
    events.push(event)
    controller.abort(reason)
  }
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { conv: 64 }, signal: controller.signal, onProgress }), reason)
  t.ok(events.every((event) => event.fraction >= 0 && event.fraction <= 1))
  t.ok(Date.now() - started < 20_000)
})

t.test('options that do not go together are refused before anything is computed', async (t) => {
  const graph = convGraph({ title: '', input: [4, 5, 5], dims: [5, 4, 3, 3] })
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { conv: 3 }, method: 'als', maxWeight: 1 }), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'maxWeight'
  })
  await t.rejects(compress(graph, { whenSlower: 'replace', layers: { conv: 3 }, init: 'gevd' as 'svd' }), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'init'
  })
  t.ok((await compress(graph, { whenSlower: 'replace', layers: { conv: 3 }, maxWeight: 1 })).layers[0]!.relativeError < 1)
})
