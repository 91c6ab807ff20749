import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { compress } from '../../lib/replacement/compress.js'
import type { CompressOptions } from '../../lib/replacement/options.js'
import { isFaster, type LayerLatency, measureLayers } from '../../lib/replacement/latency.js'
import { type NativePlanner, native } from '../../lib/native/binding.js'
import { kernelShape } from '../../lib/replacement/kernel-tensor.js'
import { findLayer, readLayer } from '../../lib/replacement/layer.js'
import { cpu } from '../../lib/runtime/cpu.js'
import type { PlanValue } from '../../lib/runtime/plan-spec.js'
import type { PrecisionChoice } from '../../lib/runtime/precision.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

/** Two 3×3 convolutions of 64 channels with batch normalisation between them, then a matrix product. */
function network(size: number | string = 14): { readonly graph: Graph; readonly layers: readonly string[] } {
  const b = new NetworkBuilder()
  const x = b.input(['n', 64, size, size], 'x')
  const first = b.conv(x, [64, 64, 3, 3], { pads: [1, 1, 1, 1] })
  const norm = b.node('BatchNormalization', [first, b.positive(64), b.small(64), b.small(64), b.positive(64)])
  const second = b.conv(b.node('Relu', [norm]), [64, 64, 3, 3], { pads: [1, 1, 1, 1] })
  const graph = b.graph(b.node('GlobalAveragePool', [second]))
  return { graph, layers: graph.nodes.filter(({ opType }) => opType === 'Conv').map(({ name }) => name) }
}

/** The network with other names for some of its values and nodes. */
function withNames(graph: Graph, names: Readonly<Record<string, string>>): Graph {
  const of = (name: string): string => names[name] ?? name
  return {
    ...graph,
    inputs: graph.inputs.map((value) => ({ ...value, name: of(value.name) })),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [of(name), tensor])),
    nodes: graph.nodes.map((node) => ({ ...node, name: of(node.name), inputs: node.inputs.map(of), outputs: node.outputs.map(of) }))
  }
}

// Far beyond what noise could turn around: 128 times the work, and a fiftieth.
const [slow, quick] = [2000, 2]
const once = { maxIterations: 1, seed: 1, batchNorm: 'fold' } as const

void t.test('a layer whose chain is slower stays, and the result says so', async (t) => {
  const { graph, layers } = network()
  const [first = '', second = ''] = layers
  const { graph: result, layers: replaced, kept } = await compress(graph, { layers: { [first]: slow, [second]: quick }, ...once })
  t.match(kept, [{ name: first, rank: slow }])
  t.ok(kept[0]?.latency && kept[0].latency.chainMs > kept[0].latency.denseMs)
  t.same(
    replaced.map(({ name }) => name),
    [second]
  )
  t.ok(replaced[0]?.latency && replaced[0].latency.denseMs > replaced[0].latency.chainMs)
  const node = (name: string): unknown => result.nodes.find((one) => one.name === name)
  t.same(node(first), graph.nodes[0], 'the node is as it was')
  t.ok(
    result.nodes.some(({ opType }) => opType === 'BatchNormalization'),
    'nothing is folded into what stays'
  )
  t.notOk(node(second))
})

void t.test('an option that is undefined is left to its default', async (t) => {
  const { graph, layers } = network()
  const options = { layers: { [layers[0] as string]: slow }, ...once, whenSlower: undefined, precision: undefined }
  // As a caller without TypeScript's exactOptionalPropertyTypes gives them.
  t.equal((await compress(graph, options as unknown as CompressOptions)).kept.length, 1)
})

void t.test('when all of them stay, the network is what it was', async (t) => {
  const { graph, layers } = network()
  const result = await compress(graph, { layers: { [layers[0] as string]: slow }, ...once })
  t.same(result.graph, graph)
  t.same([result.layers.length, result.kept.length], [0, 1])
})

void t.test('replaced all the same: on demand, as a check, where no shape is known', async (t) => {
  const { graph, layers } = network()
  const [first = ''] = layers
  const told = await compress(graph, { layers: { [first]: 200 }, ...once, whenSlower: 'replace' })
  t.match(told, { kept: [], layers: [{ name: first }] })
  t.equal(told.layers[0]?.latency, undefined, 'nothing is measured')
  t.match(await compress(graph, { layers: { [first]: 'full' } }), { kept: [], layers: [{ name: first }] })
  const open = network('side')
  const unknown = await compress(open.graph, { layers: { [first]: 200 }, ...once })
  t.match(unknown, { kept: [], layers: [{ name: first, macsBefore: undefined }] })
  await t.rejects(compress(graph, { layers: { [first]: 2 }, whenSlower: 'never' as 'keep' }), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'whenSlower'
  })
})

void t.test('matrix products are measured too', async (t) => {
  const b = new NetworkBuilder()
  const y = b.node('MatMul', [b.input(['n', 512], 'x'), b.weight(512, 512)])
  const graph = b.graph(y)
  const layer = readLayer(graph, findLayer(graph, y))
  const shape = kernelShape(layer)
  const layers = [1, 4096].map((rank) => ({ layer, shape, rank }))
  const [small, large] = await measureLayers(graph, layers)
  t.ok(small && isFaster(small))
  t.ok(large && !isFaster(large))
  const reason = new Error('enough')
  await t.rejects(measureLayers(graph, layers, { signal: AbortSignal.abort(reason) }), reason)
})

void t.test('whatever the values and nodes of the network are called', async (t) => {
  const { graph, layers } = network()
  const [first = ''] = layers
  const conv = graph.nodes.find(({ name }) => name === first)
  const [input = '', weight = ''] = conv?.inputs ?? []
  const [output = ''] = conv?.outputs ?? []
  for (const names of [
    { [input]: 'data', [weight]: 'x', [output]: 'y' },
    { [input]: 'data', [weight]: 'y', [output]: 'x', [first]: 'before' },
    { [input]: 'y_1', [weight]: 'x_1', [output]: 'y', [first]: 'before_1' }
  ]) {
    const renamed = withNames(graph, names)
    const name = names[first] ?? first
    const { kept, layers: replaced } = await compress(renamed, { layers: { [name]: slow }, ...once })
    t.match([kept, replaced], [[{ name }], []], Object.values(names).join(', '))
  }
})

void t.test('one example of a fixed batch is measured, by plans made off this thread', async (t) => {
  const addon = native()
  const { createPlanner } = addon
  const read: number[] = []
  t.intercept(addon, 'createPlan', { value: () => t.fail('a plan was made on this thread') })
  t.intercept(addon, 'createPlanner', {
    value: (): NativePlanner => {
      const planner = createPlanner()
      return {
        createPlan: () => t.fail('a plan was made on this thread') as never,
        preparePlan(spec) {
          const { n, c, h, w } = spec.values[spec.inputs[0] as number] as PlanValue
          read.push(n * c * h * w)
          return planner.preparePlan(spec)
        }
      }
    }
  })
  for (const [dims, rows] of [
    [[8, 64, 14, 14], 1],
    [['n', 64, 14, 14], 1],
    [[8, 64], 1],
    [[8, 6, 64], 6],
    [[6, 64], 6]
  ] as const) {
    const b = new NetworkBuilder()
    const isConv = dims.length === 4
    const x = b.input(dims, 'x')
    // Without a batch in common the rows are the example's.
    if (dims[0] === 6) b.input([1], 'z')
    const y = isConv ? b.conv(x, [64, 64, 3, 3], { pads: [1, 1, 1, 1] }) : b.node('MatMul', [x, b.weight(64, 256)])
    const graph = b.graph(y)
    const layer = readLayer(graph, findLayer(graph, y))
    read.length = 0
    await measureLayers(graph, [{ layer, shape: kernelShape(layer), rank: 4 }])
    t.same(
      read,
      Array.from({ length: 2 }, () => rows * (isConv ? 64 * 14 * 14 : 64)),
      dims.join('×')
    )
  }
  read.length = 0
  const { graph, layers } = network()
  const reason = new Error('enough')
  const controller = new AbortController()
  const measured = compress(graph, { layers: { [layers[0] as string]: quick }, ...once, signal: controller.signal })
  controller.abort(reason)
  await t.rejects(measured, reason)
  t.ok(read.length <= 1, 'the next plan is not begun')
})

void t.test('in the precision that the network will run in', async (t) => {
  const { graph, layers } = network()
  const half = cpu().bf16 === undefined ? 'f32' : 'bf16'
  const measured = async (precision?: PrecisionChoice): Promise<LayerLatency[]> => {
    const result = await compress(graph, {
      layers: { [layers[0] ?? '']: slow, [layers[1] ?? '']: quick },
      ...once,
      ...(precision && { precision })
    })
    return [...result.kept, ...result.layers].map(({ latency }) => latency as LayerLatency)
  }
  const precisions = (latencies: readonly LayerLatency[]): unknown => latencies.map((one) => [one.densePrecision, one.chainPrecision])
  t.same(
    precisions(await measured()),
    [
      ['f32', 'f32'],
      ['f32', 'f32']
    ],
    'float32 unless told otherwise'
  )
  t.same(precisions(await measured('bf16')), [
    [half, half],
    [half, half]
  ])
  for (const { denseMs, chainMs } of await measured('auto')) t.ok(denseMs > 0 && chainMs > 0)
  await t.rejects(measured('fp8' as 'bf16'), { code: 'POLYADIC_ARGUMENT', subject: 'precision' })
})

// The twin of the bfloat16 kernels, element by element, is far slower than vectors in float32.
const child = fileURLToPath(new URL('child/auto.ts', import.meta.url))
const env = { ...process.env, POLYADIC_BF16: 'scalar' }
if (cpu().isa !== 'scalar') t.spawn(process.execPath, [...process.execArgv, child], { env }, 'auto takes the faster precision of each')

void t.test('a gain within the noise is none', (t) => {
  t.notOk(isFaster({ denseMs: 1.01, chainMs: 1 }))
  t.ok(isFaster({ denseMs: 1.2, chainMs: 1 }))
  t.end()
})
