import t from 'tap'
import type { Node } from '../../lib/graph/graph.js'
import { compress } from '../../lib/replacement/compress.js'
import type { CompressOptions, CompressProgress } from '../../lib/replacement/options.js'
import { floatTensor } from '../../lib/tensor.js'
import { charNet } from '../helpers/charnet.js'
import { rejectsError } from '../helpers/expect-error.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { generator } from '../helpers/plan-builder.js'

/** A convolution of two groups and a matrix product, whose singular values fall slowly. */
function network() {
  const b = new NetworkBuilder(3)
  const y = b.conv(b.input(['n', 8, 6, 6], 'x'), [12, 4, 3, 3], { group: int(2), pads: [1, 1, 1, 1] })
  const graph = b.graph(b.node('MatMul', [b.node('Flatten', [y]), b.weight(432, 20)]))
  const [conv, product] = graph.nodes.filter(({ opType }) => opType !== 'Flatten').map(({ name }) => name) as [string, string]
  return { graph, conv, product }
}

const { graph, conv, product } = network()
const solving = { whenSlower: 'replace', seed: 1, maxIterations: 60, tolerance: 1e-3 } as const
const run = (layers: CompressOptions['layers'], options: Partial<CompressOptions> = {}) =>
  compress(graph, { ...solving, layers, ...options })

t.test('the least rank that has the error is found, and the layer is what that rank alone makes of it', async (t) => {
  const bound = 0.4
  const { graph: found, layers } = await run({ [conv]: { rank: { error: bound } }, [product]: { error: bound } })
  const ranks = Object.fromEntries(layers.map(({ name, requestedRank }) => [name, requestedRank]))
  for (const { name, rank, requestedRank, requestedError, relativeError, ranksTried } of layers) {
    t.equal(requestedError, bound)
    t.equal(rank, requestedRank)
    t.ok(relativeError <= bound && relativeError > 0.1, `${name} at rank ${rank}: ${relativeError}`)
    const tried = ranksTried ?? []
    t.equal(tried.find((one) => one.rank === rank)?.error, relativeError)
    t.ok((tried.find((one) => one.rank === rank - 1)?.error ?? 0) > bound, `rank ${rank - 1} was tried, and is not enough`)
  }
  const { graph: given, layers: alike } = await run(ranks)
  t.strictSame(found.initializers, given.initializers)
  t.strictSame(
    alike.map(({ relativeError, requestedError }) => [relativeError, requestedError]),
    layers.map(({ relativeError }) => [relativeError, undefined])
  )
})

t.test('where no chain with fewer weights is near enough the layer stays, or is replaced all the same', async (t) => {
  const bound = { [conv]: { error: 0.05 }, [product]: 2 }
  const { kept, layers, graph: result } = await run(bound, { whenSlower: 'keep' })
  const [stayed] = kept
  t.match(stayed, { name: conv, latency: undefined })
  t.ok((stayed?.error ?? 0) > 0.05, `at rank ${stayed?.rank}: ${stayed?.error}`)
  t.ok((stayed?.rank ?? 0) * (6 + 4 + 3 + 3) < 6 * 4 * 9)
  t.ok(result.nodes.some(({ name }) => name === conv))
  t.notOk(layers.some(({ name }) => name === conv))
  const replaced = await run({ [conv]: { error: 0.05 } })
  t.ok((replaced.layers[0]?.relativeError ?? 1) <= 0.05 && replaced.kept.length === 0)
  t.notOk(replaced.layers[0]?.saves)
})

t.test('a layer that has no more weights than any chain stays, however near one is', async (t) => {
  const b = new NetworkBuilder(4)
  const small = b.graph(b.node('MatMul', [b.input(['n', 2], 'x'), b.weight(2, 2)]))
  const [{ name }] = small.nodes as [Node]
  const bound = { layers: { [name]: { error: 0.99 } } }
  const kept = await compress(small, bound)
  t.strictSame(kept.kept, [{ name, rank: 1 }])
  t.strictSame(kept.graph.nodes, small.nodes)
  t.equal((await compress(small, { ...bound, whenSlower: 'replace' })).layers[0]?.rank, 1)
})

t.test('with calibration the error is that of the output', async (t) => {
  const calibration = { inputs: { patches: floatTensor(generator(1).normal(8 * 576), [8, 1, 24, 24]) }, patches: 64 }
  const options = { ...solving, maxIterations: 10, layers: { conv4: { error: 0.8 } }, calibration }
  const [layer] = (await compress(charNet(), options)).layers
  t.ok((layer?.outputError ?? 1) <= 0.8, `${layer?.outputError}`)
  t.equal(layer?.ranksTried?.find(({ rank }) => rank === layer.requestedRank)?.error, layer?.outputError)
})

t.test('inputs to calibrate by are gone through once, whatever is asked of the layers', async (t) => {
  const batch = floatTensor(generator(1).normal(4 * 288), [4, 8, 6, 6])
  let pulled = 0
  const stream = function* () {
    for (let i = 0; i < 3; i++, pulled++) yield { x: batch }
  }
  const { layers } = await run({ [conv]: { error: 0.8 }, [product]: 3 }, { calibration: { inputs: stream() } })
  t.ok((layers[0]?.outputError ?? 1) <= 0.8)
  t.equal(layers.length, 2)
  t.equal(pulled, 3)
})

t.test('progress goes from 0 to 1, and an abort ends the search', async (t) => {
  const events: CompressProgress[] = []
  await run({ [conv]: { error: 0.4 }, [product]: 3 }, { onProgress: (event) => events.push(event) })
  t.ok(events.every(({ fraction }, i) => fraction >= (events[i - 1]?.fraction ?? 0)))
  t.equal(events.at(-1)?.fraction, 1)
  t.ok(events.some(({ layer }) => layer === conv))
  const controller = new AbortController()
  const reason = new Error('enough')
  const running = run({ [conv]: { error: 0.1 } }, { signal: controller.signal, tolerance: 0, onProgress: () => controller.abort(reason) })
  await t.rejects(running, reason)
})

t.test('what a rank may be', async (t) => {
  const cases: readonly (readonly [request: unknown, ...parts: readonly string[]])[] = [
    ['half', 'an integer of at least 1', '{ error: 0.2 }', "'full'", '"half"'],
    [0, 'an integer of at least 1'],
    [1.5, 'an integer of at least 1'],
    [null, 'an integer of at least 1'],
    [{ rank: 'half' }, 'an integer of at least 1'],
    [{ error: 2 }, 'rank.error', '0 to 1'],
    [{ rank: { error: '0.2' } }, 'rank.error'],
    [{ rank: { eror: 0.2 } }, '"error"?'],
    [{}, 'an integer of at least 1']
  ]
  for (const [request, ...parts] of cases) await rejectsError(t, run({ [conv]: request as never }), 'POLYADIC_ARGUMENT', conv, ...parts)
})
