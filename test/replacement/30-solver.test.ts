import t from 'tap'
import { type CompressProgress, compress } from '../../lib/replacement/compress.js'
import { runConvChain } from '../helpers/reference-conv.js'
import { type ConvCase, convGraph, maps } from './helpers.js'

/** Kernels small enough for NLS to find an exact decomposition at the rank given. */
const cases: readonly (ConvCase & { readonly rank: number })[] = [
  { title: '3×3, pads', input: [3, 7, 7], dims: [4, 3, 3, 3], pads: [1, 1, 1, 1], rank: 30 },
  { title: '3×3, two groups, strides [2, 1]', input: [4, 8, 7], dims: [4, 2, 3, 3], groups: 2, strides: [2, 1], rank: 14 },
  { title: 'first layer 5×5', input: [1, 9, 9], dims: [6, 1, 5, 5], rank: 25 },
  { title: '1×5', input: [3, 6, 9], dims: [4, 3, 1, 5], rank: 12 },
  { title: '1×1', input: [6, 4, 4], dims: [5, 6, 1, 1], rank: 5 },
  { title: '1×1, two groups', input: [6, 4, 4], dims: [8, 3, 1, 1], groups: 2, rank: 3 }
]

t.test('at full rank the compressed layer is the layer', async (t) => {
  for (const one of cases) {
    const graph = convGraph(one)
    const {
      graph: compressed,
      layers: [report]
    } = await compress(graph, { layers: { conv: { rank: one.rank, ridge: 0, tolerance: 1e-14, maxIterations: 2000, restarts: 3 } } })
    t.ok((report?.relativeError ?? 1) < 1e-4, `${one.title}: relative error ${report?.relativeError}`)
    const expected = runConvChain(graph, maps(...one.input))
    const actual = runConvChain(compressed, maps(...one.input))
    const norm = Math.hypot(...expected.data)
    const error = Math.hypot(...expected.data.map((value, i) => value - (actual.data[i] as number))) / norm
    t.ok(error < 1e-3, `${one.title}: output error ${error}`)
  }
})

t.test('the error falls with the rank, and the report tells of it', async (t) => {
  const graph = convGraph({ title: '', input: [8, 9, 9], dims: [12, 8, 5, 5] })
  const errors: number[] = []
  for (const rank of [4, 16, 48]) {
    const {
      layers: [report]
    } = await compress(graph, { layers: { conv: rank }, seed: 1 })
    errors.push(report?.relativeError ?? NaN)
    t.ok((report?.trace.length ?? 0) > 0)
    t.ok((report?.sensitivity ?? 0) > 0)
  }
  t.ok((errors[0] as number) > (errors[1] as number) && (errors[1] as number) > (errors[2] as number), errors.join(' > '))
})

t.test('the same seed gives the same bits', async (t) => {
  const graph = convGraph(cases[1] as ConvCase)
  const weights = async (seed: number): Promise<unknown> =>
    (await compress(graph, { layers: { conv: 4 }, seed })).graph.initializers.get('conv/reduce.weight')?.data
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
  await t.rejects(compress(graph, { layers: { conv: 64 }, signal: controller.signal, onProgress }), reason)
  t.ok(events.every((event) => event.fraction >= 0 && event.fraction <= 1))
  t.ok(Date.now() - started < 20_000)
})
