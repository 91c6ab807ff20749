import path from 'node:path'
import t from 'tap'
import type { Node } from '../../lib/graph/graph.js'
import { compress } from '../../lib/replacement/compress.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { compressLayerByLayer } from '../../lib/training/layer-by-layer.js'
import { rejectsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'
import { bars, bits, toyNetwork } from './toy.js'

const tune = { train: bars(120, 1), validation: bars(60, 2), epochs: 2, batchSize: 20, learningRate: 0.02, threads: 1 }
const solving = { layers: { conv2: 6, conv1: 3 }, seed: 1, maxIterations: 30, whenSlower: 'replace' } as const

t.test('each layer is decomposed from the network that was tuned after the one before it', async (t) => {
  const dense = (await fineTune(toyNetwork(1), { ...tune, epochs: 6, learningRate: 0.05 })).graph
  const seen: string[] = []
  const fractions: number[] = []
  const result = await compressLayerByLayer(dense, {
    compress: { ...solving, onProgress: ({ fraction }) => fractions.push(fraction) },
    tune,
    onLayer: ({ name }, { steps }) => seen.push(`${name} ${steps}`)
  })
  t.strictSame(seen, ['conv2 12', 'conv1 12'])
  t.strictSame(
    result.layers.map(({ name, rank }) => [name, rank]),
    [
      ['conv2', 6],
      ['conv1', 3]
    ]
  )
  t.equal(fractions.at(-1), 1)
  t.ok(fractions.every((value, i) => i === 0 || value >= (fractions[i - 1] as number)))
  // The same by hand.
  const first = await compress(dense, { ...solving, layers: { conv2: 6 } })
  const tuned = await fineTune(first.graph, tune)
  const second = await compress(tuned.graph, { ...solving, layers: { conv1: 3 } })
  const last = await fineTune(second.graph, tune)
  t.strictSame([...result.graph.initializers.keys()], [...last.graph.initializers.keys()])
  for (const name of last.graph.initializers.keys()) t.equal(bits(result.graph, name), bits(last.graph, name), name)
  t.equal(result.tuned[0]?.best.loss, tuned.best.loss)
})

t.test('goes on from the checkpoints of its stages', async (t) => {
  const checkpoint = { path: path.join(t.testdir(), 'state'), everySteps: 5 }
  const whole = await compressLayerByLayer(toyNetwork(1), { compress: solving, tune })
  const stop = new AbortController()
  const aborted = compressLayerByLayer(toyNetwork(1), {
    compress: solving,
    tune: { ...tune, checkpoint, signal: stop.signal },
    onLayer: () => stop.abort(new Error('enough'))
  })
  await t.rejects(aborted, { message: 'enough' })
  const resumed = await compressLayerByLayer(toyNetwork(1), {
    compress: solving,
    tune: { ...tune, checkpoint: { ...checkpoint, resume: true } }
  })
  for (const name of whole.graph.initializers.keys()) t.equal(bits(resumed.graph, name), bits(whole.graph, name), name)
})

t.test('after a layer that stays nothing is tuned', async (t) => {
  const b = new NetworkBuilder()
  const conv = b.conv(b.input(['n', 64, 14, 14], 'x'), [64, 64, 3, 3])
  const graph = b.graph(conv)
  const [{ name }] = graph.nodes as [Node]
  const set = { images: new Float32Array(20 * 64 * 14 * 14), labels: new Int32Array(20), count: 20 }
  const result = await compressLayerByLayer(graph, {
    compress: { layers: { [name]: 2000 }, maxIterations: 1 },
    tune: { ...tune, train: set, validation: set }
  })
  t.match(result, { layers: [], tuned: [], kept: [{ name, rank: 2000 }] })
  t.equal(result.graph, graph)
})

t.test('without layers there is nothing to do', async (t) => {
  await rejectsError(t, compressLayerByLayer(toyNetwork(1), { compress: { layers: {} }, tune }), 'POLYADIC_ARGUMENT', 'at least one entry')
})

t.test('the requests of all layers, and the options of tuning, are checked before anything is computed', async (t) => {
  let events = 0
  const compressWith = (options: object) => ({ ...solving, onProgress: () => events++, ...options })
  const tuneWith = (options: object) => ({ ...tune, onProgress: () => events++, ...options })
  const cases: readonly (readonly [compress: object, tune: object, ...parts: string[]])[] = [
    [{ layers: { conv2: 6, conv7: 3 } }, {}, 'conv7'],
    [{ layers: { conv2: 6, conv1: 0 } }, {}, 'conv1', 'rank'],
    [{ layers: { conv2: 6, conv1: { rank: 3, method: 'fast' } } }, {}, 'conv1', 'method'],
    [{ layers: { conv2: 6, 'conv2.weight': 3 } }, {}, 'the same layer'],
    [{}, { learningRate: -1 }, 'learningRate'],
    [{}, { checkpoint: { path: '' } }, 'checkpoint.path'],
    [{}, { validation: null }, 'validation'],
    [{}, { logits: 'nowhere' }, 'logits']
  ]
  for (const [solver, tuner, ...parts] of cases) {
    const run = compressLayerByLayer(toyNetwork(1), { compress: compressWith(solver), tune: tuneWith(tuner) } as never)
    await rejectsError(t, run, 'POLYADIC_ARGUMENT', ...parts)
    t.equal(events, 0, parts.join())
  }
  const short = { images: new Float32Array(7), count: 1 }
  const run = compressLayerByLayer(toyNetwork(1), { compress: compressWith({}), tune: tuneWith({ train: short }) } as never)
  await rejectsError(t, run, 'POLYADIC_SHAPE', 'train.images')
  t.equal(events, 0)
})

t.test('what a listener throws is what the promise is rejected with', async (t) => {
  const mine = new Error('mine')
  const fail = (): never => {
    throw mine
  }
  t.equal(await compressLayerByLayer(toyNetwork(1), { compress: { ...solving, onProgress: fail }, tune }).catch((error) => error), mine)
  t.equal(await compressLayerByLayer(toyNetwork(1), { compress: solving, tune, onLayer: fail }).catch((error) => error), mine)
})
