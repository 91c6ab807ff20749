import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { native } from '../../lib/native/binding.js'
import { runJob } from '../../lib/native/jobs.js'
import { compress } from '../../lib/replacement/compress.js'
import { transposed } from '../../lib/replacement/layer.js'
import { elementCount, type FloatTensor, floatTensor } from '../../lib/tensor.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { stiffnessOf, stiffnessRates } from '../../lib/training/stiffness.js'
import { jacobian, norm, product, randomArray, transposedProduct } from '../helpers/solver-reference.js'
import { bars, toyNetwork } from './toy.js'

/** The largest eigenvalue of JᵀJ of I_n×R factors, by so many power iterations that the start is forgotten. */
function plainStiffness(dims: readonly number[], rank: number, factors: readonly ArrayLike<number>[]): number {
  const rows = jacobian(Float64Array.from(factors.flatMap((factor) => Array.from(factor))), dims, rank)
  let vector: Float64Array = randomArray(rows[0]!.length, 99)
  let value = 0
  for (let iteration = 0; iteration < 3000; iteration++) {
    const length = norm(vector)
    const image = product(
      rows,
      vector.map((entry) => entry / length)
    )
    value = norm(image) ** 2
    vector = transposedProduct(rows, image)
  }
  return value
}

const randomTensor = (seed: number, ...dims: readonly number[]): FloatTensor =>
  floatTensor(Float32Array.from(randomArray(elementCount(dims), seed)), dims)

t.test('stiffness is the largest eigenvalue of the derivative, the same bits at one and two threads', async (t) => {
  const cases: readonly (readonly [readonly number[], number])[] = [
    [[5, 4], 2],
    [[3, 1, 4], 3],
    [[4, 3, 5], 1],
    [[6, 3, 2, 3], 7],
    [[2, 3, 2, 3, 2], 4],
    [[2, 2, 3, 2, 2, 2], 3]
  ]
  for (const [index, [dims, rank]] of cases.entries()) {
    const factors = dims.map((dim, n) => randomArray(dim * rank, 10 * index + n + 1))
    const [one, two] = await Promise.all([1, 2].map((threads) => runJob(() => native().stiffness({ dims, rank, factors, threads }))))
    const expected = plainStiffness(dims, rank, factors)
    t.ok(Math.abs((one as number) - expected) < 0.01 * expected, `${dims.join('×')} R=${rank}: ${one}, expected ${expected}`)
    t.equal(one, two)
  }
  // All directions but one are as stiff as each other: an iteration that stops where it stands still would stop at 2.
  const [size, stiffest] = [64, 2 * 1.1 ** 2]
  const identity = Float64Array.from({ length: size * size }, (_, i) => (i === 0 ? 1.1 : i % (size + 1) === 0 ? 1 : 0))
  const found = await runJob(() => native().stiffness({ dims: [size, size], rank: size, factors: [identity, identity], threads: 1 }))
  t.ok(Math.abs(found - stiffest) < 0.01 * stiffest, `${found}, expected ${stiffest}`)
  const zeros = await runJob(() =>
    native().stiffness({ dims: [3, 2], rank: 2, factors: [new Float64Array(6), new Float64Array(4)], threads: 1 })
  )
  t.equal(zeros, 0)
  const infinite = native().stiffness({ dims: [1, 1], rank: 1, factors: [Float64Array.of(Infinity), Float64Array.of(1)], threads: 1 })
  t.notOk(Number.isFinite(await infinite.promise))
  t.throws(() => native().stiffness({ dims: [3, 2], rank: 2, factors: [new Float64Array(6)], threads: 1 }), { code: 'POLYADIC_ARGUMENT' })
  t.throws(() => native().stiffness({ dims: [3], rank: 2, factors: [new Float64Array(5)], threads: 1 }), { code: 'POLYADIC_ARGUMENT' })
})

/** Two groups of 3→2 channels: reduce 1×1, depthwise 3×1, expand 1×1, rank 2 a group; and a matrix of rank 2 in two convolutions behind it. */
function groupedChain(): Graph {
  const conv = (name: string, from: string, group: number) =>
    makeNode({ name, opType: 'Conv', inputs: [from, `${name}.w`], outputs: [name], attributes: { group: int(group) } })
  return makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 6, 5, 5] }],
    outputs: [{ name: 'out', dtype: 'float32', dims: ['N', 5, 3, 5] }],
    nodes: [
      conv('reduce', 'x', 2),
      conv('vertical', 'reduce', 4),
      conv('expand', 'vertical', 2),
      makeNode({ name: 'relu', opType: 'Relu', inputs: ['expand'], outputs: ['relu'] }),
      conv('left', 'relu', 1),
      conv('right', 'left', 1),
      makeNode({ name: 'last', opType: 'Relu', inputs: ['right'], outputs: ['out'] })
    ],
    initializers: new Map([
      ['reduce.w', randomTensor(1, 4, 3, 1, 1)],
      ['vertical.w', randomTensor(2, 4, 1, 3, 1)],
      ['expand.w', randomTensor(3, 4, 2, 1, 1)],
      ['left.w', randomTensor(4, 2, 4, 1, 1)],
      ['right.w', randomTensor(5, 5, 2, 1, 1)]
    ])
  })
}

t.test("a network's chains: groups apart, the stiffest counts; matrices in two convolutions; a first layer without a reduce", async (t) => {
  const graph = groupedChain()
  const data = (name: string) => (graph.initializers.get(name) as FloatTensor).data
  const part = (name: string, group: number) => data(name).subarray((group * data(name).length) / 2, ((group + 1) * data(name).length) / 2)
  /** The factor of a convolution over channels of components: its weights are components × rows. */
  const turned = (values: Float32Array, rows: number) => transposed(values, values.length / rows, rows)
  const groups = [0, 1].map((group) =>
    plainStiffness([3, 3, 2], 2, [turned(part('reduce.w', group), 3), turned(part('vertical.w', group), 3), part('expand.w', group)])
  )
  const pair = plainStiffness([4, 5], 2, [turned(data('left.w'), 4), data('right.w')])
  const found = await stiffnessOf(graph, 1)
  t.strictSame(
    found.map(({ nodes, weights }) => [nodes, weights]),
    [
      [
        ['reduce', 'vertical', 'expand'],
        ['reduce.w', 'vertical.w', 'expand.w']
      ],
      [
        ['left', 'right'],
        ['left.w', 'right.w']
      ]
    ]
  )
  for (const [i, expected] of [Math.max(...groups), pair].entries()) {
    const { stiffness } = found[i]!
    t.ok(Math.abs(stiffness - expected) < 0.01 * expected, `${stiffness}, expected ${expected}`)
  }
  const toy = await compress(toyNetwork(3), { layers: { conv1: 3, conv2: 6 }, seed: 1, whenSlower: 'replace' })
  const chains = await stiffnessOf(toy.graph, 1)
  t.strictSame(
    chains.map(({ nodes }) => nodes),
    toy.layers.map(({ nodes }) => nodes),
    'those of the layers that compress replaced'
  )
})

interface Kind {
  readonly title: string
  /** Outputs, inputs a group, kernel; groups where there are several. */
  readonly layers: readonly { readonly dims: readonly number[]; readonly group?: number }[]
  /** Of the input's spatial axes. */
  readonly extents?: readonly number[]
}

/** Convolutions without bias or anything between them, each decomposed at the rank given: the chains that are found, and those that were made. */
async function inSuccession(rank: number, { layers, extents = [6, 6] }: Kind): Promise<readonly (readonly (readonly string[])[])[]> {
  const [first, last] = [layers[0]!, layers.at(-1)!]
  const graph = makeGraph({
    inputs: [{ name: 'c0', dtype: 'float32', dims: ['N', first.dims[1]! * (first.group ?? 1), ...extents] }],
    outputs: [{ name: `c${layers.length}`, dtype: 'float32', dims: ['N', last.dims[0]!, ...extents.map(() => 'L')] }],
    nodes: layers.map(({ group = 1 }, i) =>
      makeNode({ name: `layer${i}`, opType: 'Conv', inputs: [`c${i}`, `w${i}`], outputs: [`c${i + 1}`], attributes: { group: int(group) } })
    ),
    initializers: new Map(layers.map(({ dims }, i) => [`w${i}`, randomTensor(i + 1, ...dims)]))
  })
  const ranks = Object.fromEntries(layers.map((_, i) => [`layer${i}`, rank]))
  const small = await compress(graph, { layers: ranks, seed: 1, whenSlower: 'replace' })
  return [await stiffnessOf(small.graph, 1), small.layers].map((list) => list.map(({ nodes }) => nodes))
}

const kinds: readonly Kind[] = [
  { title: 'two', layers: [{ dims: [5, 4, 3, 3] }, { dims: [6, 5, 3, 3] }] },
  { title: 'one channel', layers: [{ dims: [5, 1, 3, 3] }] },
  { title: 'groups', layers: [{ dims: [6, 3, 3, 3], group: 2 }] },
  { title: 'as many groups as outputs', layers: [{ dims: [2, 3, 3, 3], group: 2 }] },
  { title: 'depthwise', layers: [{ dims: [4, 1, 3, 3], group: 4 }] },
  { title: 'one axis', layers: [{ dims: [5, 4, 3] }, { dims: [4, 5, 3] }], extents: [9] },
  { title: 'three axes', layers: [{ dims: [5, 4, 3, 2, 3] }], extents: [5, 5, 5] }
]

t.test('the chains found are those that compress made, of any rank and kind, one behind the other', async (t) => {
  for (const rank of [1, 2, 3]) {
    for (const kind of kinds) {
      const [found, made] = await inSuccession(rank, kind)
      t.strictSame(found, made, `${kind.title}, rank ${rank}`)
    }
  }
})

t.test('filters along one axis are no factors of each other', async (t) => {
  const graph = groupedChain()
  const tall = {
    ...graph,
    initializers: new Map(graph.initializers).set('reduce.w', randomTensor(1, 4, 3, 3, 1))
  }
  t.strictSame(
    (await stiffnessOf(tall, 1)).map(({ nodes }) => nodes),
    [['left', 'right']]
  )
})

t.test('rates are divided where factors are stiffer than a kernel', (t) => {
  const layer = (stiffness: number, ...weights: string[]) => ({ nodes: [], stiffness, weights })
  t.strictSame(
    [...stiffnessRates([layer(4, 'a', 'b'), layer(0.5, 'c')])],
    [
      ['a', 0.25],
      ['b', 0.25],
      ['c', 1]
    ]
  )
  t.end()
})

t.test('a step with scaleRates moves factors by 1/λ of one without, and the rest as far', async (t) => {
  const { graph } = await compress(toyNetwork(3), { layers: { conv2: 6 }, seed: 1, whenSlower: 'replace' })
  const options = { train: bars(16, 1), steps: 1, batchSize: 16, learningRate: 1, momentum: 0, weightDecay: 0, threads: 1 } as const
  const tune = (more: object) => fineTune(graph, { ...options, schedule: 'constant', clipNorm: 0, balance: false, ...more })
  const [plain, scaled, grouped] = [
    await tune({}),
    await tune({ scaleRates: true }),
    await tune({ scaleRates: true, groups: [{ match: [/weight|bias/u, /conv2/u], learningRate: 2 }] })
  ]
  t.strictSame(plain.stiffness, [])
  const [chain] = await stiffnessOf(graph, 1)
  t.strictSame(scaled.stiffness, [{ nodes: chain?.nodes, stiffness: chain?.stiffness }])
  t.ok((chain?.stiffness ?? 0) > 2, `it is stiff: ${chain?.stiffness}`)
  for (const [name, { data }] of graph.initializers as ReadonlyMap<string, FloatTensor>) {
    const moved = (tuned: Graph) =>
      Math.hypot(...data.map((value, i) => ((tuned.initializers.get(name) as FloatTensor).data[i] as number) - value))
    const expected = chain?.weights.includes(name) ? 1 / chain.stiffness : 1
    t.ok(moved(plain.graph) > 0)
    for (const [times, result] of [
      [1, scaled],
      [2, grouped]
    ] as const) {
      const ratio = moved(result.graph) / moved(plain.graph)
      t.ok(Math.abs(ratio - times * expected) < 0.02 * times * expected, `${name}: ${ratio}, expected ${times * expected}`)
    }
  }
})

/** With two components more in a chain, which cancel: the same network, but stiffer. */
function withCancelling(graph: Graph, weights: readonly string[], size: number): Graph {
  const initializers = new Map(graph.initializers)
  weights.forEach((name, n) => {
    const { data, dims } = graph.initializers.get(name) as FloatTensor
    const isLast = n === weights.length - 1
    const rank = isLast ? (dims[1] as number) : (dims[0] as number)
    const rows = data.length / rank
    const sign = (r: number): number => (isLast && r === rank + 1 ? -1 : 1)
    const value = (row: number, r: number): number =>
      r >= rank ? sign(r) * size * Math.cos(row + n) : (data[isLast ? row * rank + r : r * rows + row] as number)
    const wide = Float32Array.from({ length: rows * (rank + 2) }, (_, i) =>
      isLast ? value(Math.floor(i / (rank + 2)), i % (rank + 2)) : value(i % rows, Math.floor(i / rows))
    )
    initializers.set(name, floatTensor(wide, isLast ? [rows, rank + 2, 1, 1] : [rank + 2, ...dims.slice(1)]))
  })
  const nodes = graph.nodes.map((node) => {
    const group = node.attributes.get('group')
    return weights.includes(node.inputs[1] ?? '') && group?.kind === 'int' && group.value > 1
      ? { ...node, attributes: new Map(node.attributes).set('group', int(Number(group.value) + 2)) }
      : node
  })
  return { ...graph, nodes, initializers }
}

t.test('cancelling factors that training throws out learn with scaleRates', async (t) => {
  const { graph } = await compress(toyNetwork(3), { layers: { conv1: 3, conv2: 6 }, seed: 1, whenSlower: 'replace' })
  const [, second] = await stiffnessOf(graph, 1)
  const stiff = withCancelling(graph, second?.weights ?? [], 2)
  const [, stiffer] = await stiffnessOf(stiff, 1)
  t.ok((stiffer?.stiffness ?? 0) > 5 * (second?.stiffness ?? 0), `${second?.stiffness}, with the two components ${stiffer?.stiffness}`)
  const options = {
    train: bars(320, 1),
    validation: bars(160, 2),
    epochs: 4,
    batchSize: 16,
    learningRate: 0.2,
    threads: 1,
    seed: 1
  } as const
  const tune = (scaleRates: boolean) => fineTune(stiff, { ...options, schedule: 'constant', clipNorm: 0, maxRollbacks: 0, scaleRates })
  await t.rejects(tune(false), { code: 'POLYADIC_NUMERIC' })
  const { initial, best } = await tune(true)
  t.ok(best.loss < 0.8 * (initial?.loss ?? 0), `${initial?.loss}, tuned ${best.loss}`)
})

t.test(
  'what is frozen is not divided; an abort while it is computed ends as one of training; a resumed run has the same bits',
  async (t) => {
    const { graph } = await compress(toyNetwork(3), { layers: { conv1: 3, conv2: 6 }, seed: 1, whenSlower: 'replace' })
    const options = { train: bars(64, 1), batchSize: 16, threads: 1, scaleRates: true } as const
    const frozen = await fineTune(graph, { ...options, steps: 1, frozen: [/conv1/u] })
    t.strictSame(
      frozen.stiffness.map(({ nodes }) => nodes[0]),
      ['conv2/reduce']
    )
    for (const onAbort of ['keep', 'reject'] as const) {
      const stop = new AbortController()
      const reason = new Error('enough')
      const tuning = fineTune(graph, { ...options, steps: 3, signal: stop.signal, onAbort })
      stop.abort(reason)
      if (onAbort === 'keep') t.match(await tuning, { aborted: true, steps: 0 })
      else await t.rejects(tuning, reason)
    }
    const path = `${t.testdir()}/checkpoint`
    const whole = await fineTune(graph, { ...options, steps: 6 })
    const checkpoint = { path, resume: true } as const
    const stop = new AbortController()
    const onProgress = ({ step }: { readonly step: number }): void => {
      if (step === 3) stop.abort()
    }
    const begun = await fineTune(graph, { ...options, steps: 6, checkpoint, signal: stop.signal, onAbort: 'keep', onProgress })
    t.ok(begun.aborted)
    const resumed = await fineTune(graph, { ...options, steps: 6, checkpoint })
    t.ok((resumed.resumedFrom ?? 0) >= 3)
    t.strictSame(resumed.graph.initializers, whole.graph.initializers)
  }
)

t.test('factors that overflow have no rate', async (t) => {
  const { graph } = await compress(toyNetwork(3), { layers: { conv2: 4 }, whenSlower: 'replace' })
  const [chain] = await stiffnessOf(graph, 1)
  const initializers = new Map(graph.initializers)
  for (const name of chain?.weights ?? []) {
    const { data, dims } = graph.initializers.get(name) as FloatTensor
    initializers.set(
      name,
      floatTensor(
        data.map((value) => Math.fround(value * 1e38)),
        dims
      )
    )
  }
  const tuning = fineTune({ ...graph, initializers }, { train: bars(32, 1), steps: 1, batchSize: 16, balance: false, scaleRates: true })
  await t.rejects(tuning, {
    code: 'POLYADIC_NUMERIC',
    subject: 'conv2/reduce',
    message: /layer "conv2\/reduce": its factors are not finite/
  })
})

t.test('adamw has no use for it', async (t) => {
  const { graph } = await compress(toyNetwork(3), { layers: { conv2: 4 }, whenSlower: 'replace' })
  const tuning = fineTune(graph, { train: bars(32, 1), steps: 1, batchSize: 16, optimiser: 'adamw', scaleRates: true })
  await t.rejects(tuning, {
    code: 'POLYADIC_ARGUMENT',
    subject: 'scaleRates',
    message: 'scaleRates: expected false with the optimiser adamw, got true'
  })
})
