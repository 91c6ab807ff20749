import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { compress, compressWith } from '../../lib/replacement/compress.js'
import type { CompressOptions, CompressProgress } from '../../lib/replacement/options.js'
import type { Decomposition, Solve } from '../../lib/replacement/decompose.js'
import { floatTensor } from '../../lib/tensor.js'
import { runConvChain } from '../helpers/reference-conv.js'
import { conv, convGraph, maps, normals, summary } from './helpers.js'

const base = convGraph({ title: '', input: [3, 8, 8], dims: [4, 3, 3, 3], pads: [1, 1, 1, 1] })

/** Random factors: for structure and counts, where their values do not matter. */
const randomSolve: Solve = async (_tensor, dims, rank, group, onProgress) => {
  onProgress(0.5, 1, 0.5)
  return { ...summary, relativeError: 0.1 * (group + 1), factors: dims.map((dim, n) => Float64Array.from(normals(dim * rank, n + 1))) }
}

async function run(graph: Graph, options: CompressOptions, solve: Solve = randomSolve): ReturnType<typeof compressWith> {
  return compressWith(graph, options, () => solve)
}

t.test('a compressed layer: names, bias, attributes, old weights', async (t) => {
  const { graph } = await run(base, { layers: { conv: 2 } })
  t.strictSame(
    graph.nodes.map((node) => node.inputs),
    [
      ['x', 'conv/reduce.weight'],
      ['conv/reduce.output', 'conv/vertical.weight'],
      ['conv/vertical.output', 'conv/horizontal.weight'],
      ['conv/horizontal.output', 'conv/expand.weight', 'b']
    ]
  )
  t.strictSame(graph.nodes.at(-1)?.outputs, ['y'])
  t.strictSame(
    [...graph.initializers].map(([name, tensor]) => [name, tensor.dims]),
    [
      ['b', [4]],
      ['conv/reduce.weight', [2, 3, 1, 1]],
      ['conv/vertical.weight', [2, 1, 3, 1]],
      ['conv/horizontal.weight', [2, 1, 1, 3]],
      ['conv/expand.weight', [4, 2, 1, 1]]
    ]
  )
  t.strictSame(
    graph.nodes.map((node) => node.attributes.get('pads')?.value),
    [
      [0, 0, 0, 0],
      [1, 0, 1, 0],
      [0, 1, 0, 1],
      [0, 0, 0, 0]
    ]
  )
  t.strictSame(
    graph.nodes.map((node) => node.attributes.get('group')?.value),
    [1, 2, 2, 1]
  )
  t.ok(base.initializers.has('w'), 'the graph given is not changed')
  t.equal(base.nodes.length, 1)
})

t.test('the report counts parameters and multiply-adds on the real maps', async (t) => {
  const valid = convGraph({ title: '', input: [48, 16, 16], dims: [128, 48, 9, 9] })
  const {
    layers: [report]
  } = await run(valid, { layers: { conv: 64 } })
  t.equal(report?.parametersBefore, 128 * 48 * 81 + 128)
  t.equal(report?.parametersAfter, 64 * (48 + 9 + 9 + 128) + 128)
  t.equal(report?.macsBefore, 128 * 48 * 81 * 64)
  t.equal(report?.macsAfter, 64 * 48 * 256 + 64 * 9 * 8 * 16 + 64 * 9 * 64 + 64 * 128 * 64)
  t.equal(report?.saves, true)
  t.strictSame(report?.kernel, [128, 48, 9, 9])
  t.strictSame(report?.trace, [0.5, 0])
})

t.test('a rank too large to save is allowed and reported', async (t) => {
  const {
    layers: [report]
  } = await run(base, { layers: { conv: 40 } })
  t.equal(report?.saves, false)
})

t.test('groups: error over all, sensitivities and iterations summed', async (t) => {
  const grouped = convGraph({ title: '', input: [6, 8, 8], dims: [4, 3, 3, 3], groups: 2 })
  const {
    layers: [report]
  } = await run(grouped, { layers: { conv: { rank: 3, maxIterations: 5 } } })
  t.equal(report?.groups, 2)
  t.equal(report?.sensitivity, 2)
  t.equal(report?.iterations, 2)
  t.strictSame(
    report?.perGroup.map((group) => group.relativeError),
    [0.1, 0.2]
  )
  t.ok((report?.relativeError ?? 0) > 0.1 && (report?.relativeError ?? 1) < 0.2)
})

t.test('layers are found by output or weight name; shared weights are kept', async (t) => {
  for (const key of ['y', 'w']) t.equal((await run(base, { layers: { [key]: 2 } })).layers[0]?.name, 'conv')
  const shared: Graph = {
    ...base,
    inputs: [...base.inputs, { name: 'x2', dtype: 'float32', dims: ['N', 3, 8, 8] }],
    outputs: [...base.outputs, { name: 'y2', dtype: 'float32', dims: undefined }],
    nodes: [...base.nodes, conv('other', ['x2', 'w'], 'y2')]
  }
  t.ok((await run(shared, { layers: { conv: 2 } })).graph.initializers.has('w'))
  t.notOk((await run(shared, { layers: { conv: 2, other: 2 } })).graph.initializers.has('w'))
  await t.rejects(run(shared, { layers: { w: 2 } }), { code: 'POLYADIC_ARGUMENT', message: /names 2 layers \(conv, other\)/ })
})

t.test('names that are taken are not used twice', async (t) => {
  const taken: Graph = {
    ...base,
    initializers: new Map([...base.initializers, ['conv/reduce.weight', floatTensor(new Float32Array(1), [1])]])
  }
  const { graph } = await run(taken, { layers: { conv: 2 } })
  t.equal(graph.nodes[0]?.inputs[1], 'conv/reduce.weight_1')
})

t.test('components that vanish are left out, a kernel of zeros stays zero', async (t) => {
  const half: Solve = async (_tensor, dims, rank) => ({
    ...summary,
    factors: dims.map((dim) => Float64Array.from({ length: dim * rank }, (_, i) => (i % rank === 0 ? 0 : 1)))
  })
  const {
    graph,
    layers: [report]
  } = await run(base, { layers: { conv: 3 } }, half)
  t.equal(report?.rank, 2)
  t.equal(report?.requestedRank, 3)
  t.strictSame(graph.initializers.get('conv/expand.weight')?.dims, [4, 2, 1, 1])
  const zero: Graph = { ...base, initializers: new Map([...base.initializers, ['w', floatTensor(new Float32Array(108), [4, 3, 3, 3])]]) }
  const none = await run(zero, { layers: { conv: 3 } }, async () => {
    throw new Error('not to be called')
  })
  t.equal(none.layers[0]?.relativeError, 0)
  t.ok(runConvChain(none.graph, maps(3, 8, 8)).data.every(Number.isFinite))
})

t.test('errors name the layer, and nothing is computed before all are checked', async (t) => {
  const never: Solve = async () => {
    throw new Error('computed too early')
  }
  const withRelu: Graph = { ...base, nodes: [...base.nodes, { ...conv('relu', ['y'], 'z'), opType: 'Relu' }] }
  const withWeight = (weight: Float32Array | undefined): Graph => {
    const initializers = new Map(base.initializers)
    initializers.delete('w')
    return { ...base, initializers: weight === undefined ? initializers : initializers.set('w', floatTensor(weight, [4, 3, 3, 3])) }
  }
  const nan = normals(108, 1)
  nan[5] = NaN
  const wrong: readonly [Graph, CompressOptions['layers'], { code: string; message?: RegExp; subject?: string }][] = [
    [
      base,
      { conv: 2, nope: 2 },
      { code: 'POLYADIC_ARGUMENT', message: /"nope" names no layer; the network's Conv, Gemm and MatMul layers are conv/ }
    ],
    [base, {}, { code: 'POLYADIC_ARGUMENT', subject: 'layers' }],
    [base, { conv: 0 }, { code: 'POLYADIC_ARGUMENT', message: /conv.*at least 1.*got 0/ }],
    [base, { conv: NaN }, { code: 'POLYADIC_ARGUMENT', message: /got NaN/ }],
    [base, { conv: { rank: 1.5 } }, { code: 'POLYADIC_ARGUMENT', message: /conv.*got 1.5/ }],
    [base, { conv: null as unknown as number }, { code: 'POLYADIC_ARGUMENT', message: /got null/ }],
    [base, { conv: { rank: 2, ridge: -1 } }, { code: 'POLYADIC_ARGUMENT', message: /conv.*ridge/ }],
    [base, { conv: 2, y: 2 }, { code: 'POLYADIC_ARGUMENT', message: /same layer/ }],
    [withRelu, { relu: 2 }, { code: 'POLYADIC_ARGUMENT', message: /"relu" is a Relu, not a Conv/ }],
    [withWeight(undefined), { conv: 2 }, { code: 'POLYADIC_UNSUPPORTED', subject: 'conv' }],
    [withWeight(nan), { conv: 2 }, { code: 'POLYADIC_NUMERIC', message: /"conv": weight 5 of "w" is NaN/ }],
    [
      convGraph({ title: '', input: [2, 4, 4], dims: [2, 1, 1, 1], groups: 2 }),
      { conv: 1 },
      { code: 'POLYADIC_UNSUPPORTED', message: /vector/ }
    ]
  ]
  for (const [graph, layers, expected] of wrong) await t.rejects(run(graph, { layers }, never), expected)
  await t.rejects(run(base, { layers: { conv: 2 }, method: 'magic' as 'nls' }, never), { code: 'POLYADIC_ARGUMENT', subject: 'method' })
})

t.test('a result that is not finite is an error', async (t) => {
  const nan: Solve = async (_tensor, dims, rank): Promise<Decomposition> => ({
    ...summary,
    factors: dims.map((dim) => new Float64Array(dim * rank).fill(NaN))
  })
  await t.rejects(run(base, { layers: { conv: 2 } }, nan), { code: 'POLYADIC_NUMERIC', subject: 'conv' })
})

t.test('progress covers the whole call, an abort ends it with the reason', async (t) => {
  const two: Graph = {
    ...base,
    nodes: [...base.nodes, conv('second', ['y', 'w2'], 'z')],
    initializers: new Map([...base.initializers, ['w2', floatTensor(normals(144, 3), [4, 4, 3, 3])]])
  }
  const events: CompressProgress[] = []
  await run(two, { layers: { conv: 2, second: 2 }, onProgress: (event) => events.push(event) })
  t.strictSame(
    events.map((event) => event.layer),
    ['conv', 'conv', 'second', 'second']
  )
  t.ok(events.every((event, i) => i === 0 || event.fraction >= (events[i - 1]?.fraction ?? 0)))
  t.equal(events.at(-1)?.fraction, 1)
  const reason = new Error('enough')
  const controller = new AbortController()
  const stopped = run(two, { layers: { conv: 2, second: 2 }, signal: controller.signal, onProgress: () => controller.abort(reason) })
  await t.rejects(stopped, reason)
  // By the solver itself, which tells how far it is from native code.
  const mine = new Error('mine')
  const onProgress = (): never => {
    throw mine
  }
  const endless = { maxIterations: 10_000_000, tolerance: 0, whenSlower: 'replace', onProgress } as const
  t.equal(await compress(two, { ...endless, layers: { conv: 2, second: 3 } }).catch((error: unknown) => error), mine)
})
