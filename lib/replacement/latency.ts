import { PolyadicError } from '../errors.js'
import { intAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import { freshName, makeGraph, makeNode } from '../graph/rewrite.js'
import { type NativePlan, native } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import { constantFinder } from '../operators/constants.js'
import type { InputShapes } from '../operators/infer.js'
import { draftPlan, preparePlan } from '../runtime/plan.js'
import { type Precision, type PrecisionChoice, usable } from '../runtime/precision.js'
import type { Tensor } from '../tensor.js'
import { type Stage, someStages } from './factors-to-convs.js'
import type { KernelShape } from './kernel-tensor.js'
import { type Layer, readLayer } from './layer.js'
import { replaceLayer } from './rebuild.js'
import { type Dims, knownShapes } from './spatial-extents.js'

/**
 * Milliseconds on this CPU, one thread, by the kernels that `Session` would take: the layer, and the chain in its place. Of one example: of a
 * batch of one for a convolution, of the rows that each example of a fixed batch has for a matrix product (of all rows where the batch
 * does not divide them).
 */
export interface LayerLatency {
  readonly denseMs: number
  readonly chainMs: number
  /** What each was computed in. With precision `auto`: whichever was faster, of each by itself. */
  readonly densePrecision: Precision
  readonly chainPrecision: Precision
}

export interface MeasureOptions {
  /** Shapes of graph inputs by name. */
  readonly inputShapes?: InputShapes | undefined
  /** That of the session which will run the network. Default: `f32`. */
  readonly precision?: PrecisionChoice | undefined
  readonly signal?: AbortSignal | undefined
}

const defaults = { precision: 'f32' } as const

/** A gain below this is none: two runs of the same thing differ by so much. */
const leastGain = 1.05

/** Of so short a layer the clock says little, and the network will not be the slower for it. */
const tooShortMs = 0.005

const measuring = { rounds: 5, roundMs: 2, mostRuns: 200 } as const

/** Whether a chain is worth what it loses. */
export function isFaster({ denseMs, chainMs }: Pick<LayerLatency, 'denseMs' | 'chainMs'>): boolean {
  return denseMs >= leastGain * chainMs
}

/**
 * Times each layer as it is and as a chain of its rank, between values of the network's real shape, before anything is decomposed: speed
 * does not depend on weights. `undefined` for a layer whose input's shape is not known, that polyadic does not run, or that takes next to
 * no time. One after another, as two at a time would slow each other down. Rejects with `signal.reason` when aborted.
 */
export async function measureLayers(
  graph: Graph,
  layers: readonly { readonly layer: Layer; readonly shape: KernelShape; readonly rank: number }[],
  { inputShapes, precision = defaults.precision, signal }: MeasureOptions = {}
): Promise<(LayerLatency | undefined)[]> {
  const used = usable(precision)
  const precisions: readonly Precision[] = used === undefined ? ['f32', 'bf16'] : [used.precision]
  const known = knownShapes(graph, inputShapes)
  const batch = batchOf(graph, known)
  const latencies: (LayerLatency | undefined)[] = []
  for (const { layer, shape, rank } of layers) {
    const dims = oneExample(layer, known.get(layer.node.inputs[0] ?? ''), batch)
    latencies.push(dims && (await measureLayer(graph, layer, someStages(layer, shape, rank), dims, precisions, signal)))
  }
  return latencies
}

async function measureLayer(
  graph: Graph,
  layer: Layer,
  stages: readonly Stage[],
  dims: readonly number[],
  precisions: readonly Precision[],
  signal: AbortSignal | undefined
): Promise<LayerLatency | undefined> {
  try {
    const dense = layerAlone(graph, layer, dims)
    const [, node] = dense.nodes as readonly [Node, Node]
    const chain = replaceLayer(dense, { layer: readLayer(dense, node), stages }).graph
    const latency = await race(dense, chain, precisions, signal)
    return latency.denseMs < tooShortMs ? undefined : latency
  } catch (error) {
    // An abort rejects with the caller's reason, whatever that is.
    if (!signal?.aborted && isNotRun(error)) return undefined
    throw error
  }
}

/** That polyadic does not run the layer. Anything else is a fault: to take it for this one would replace layers that are to be kept. */
function isNotRun(error: unknown): boolean {
  return error instanceof PolyadicError && (error.code === 'POLYADIC_UNSUPPORTED' || error.code === 'POLYADIC_SHAPE')
}

/** How many examples the network's inputs hold: their first dimension, where it is fixed and the same. */
function batchOf(graph: Graph, known: ReadonlyMap<string, Dims | undefined>): number {
  const [batch, ...others] = new Set(graph.inputs.map(({ name }) => known.get(name)?.[0]))
  return typeof batch === 'number' && batch > 0 && others.length === 0 ? batch : 1
}

/** What the layer reads of one example of a batch. */
function oneExample({ kind, node }: Layer, dims: Dims | undefined, batch: number): readonly number[] | undefined {
  if (dims === undefined || dims.length === 0) return undefined
  // A transposed matrix has its rows in its columns.
  const axis = kind === 'matrix' && intAttribute(node, 'transA', 0) !== 0 ? 1 : 0
  const rows = dims[axis]
  const single = kind === 'convolution' || typeof rows !== 'number' ? 1 : rows % batch === 0 ? rows / batch : rows
  const result = dims.with(axis, single)
  return result.every((dim) => typeof dim === 'number') ? result : undefined
}

/** The layer behind a step that leaves its input where another layer would: conversions at the edges of a plan are not the layer's. */
function layerAlone(graph: Graph, { node, weightName, dtype }: Layer, dims: readonly number[]): Graph {
  const constant = constantFinder(graph)
  const constants = node.inputs.slice(1).flatMap((name): [string, Tensor][] => {
    const tensor = name === '' ? undefined : constant(name)
    return tensor === undefined ? [] : [[name, tensor]]
  })
  const bias = constants.flatMap(([name]) => (name === weightName ? [] : [name]))
  const output = node.outputs[0] as string
  const taken = new Set([node.name, output, ...constants.map(([name]) => name)])
  const x = freshName(taken, 'x')
  const y = freshName(taken.add(x), 'y')
  const before = makeNode({ name: freshName(taken.add(y), 'before'), opType: 'Relu', inputs: [x], outputs: [y] })
  return makeGraph({
    name: node.name,
    opset: graph.opsets.get('') ?? 17,
    inputs: [{ name: x, dtype, dims }],
    outputs: [{ name: output, dtype, dims: undefined }],
    nodes: [before, { ...node, inputs: [y, weightName, ...bias] }],
    initializers: new Map(constants)
  })
}

/** In turn, so that a machine that slows down for a while slows all; the least counts, as nothing makes a run faster than it is. */
async function race(dense: Graph, chain: Graph, precisions: readonly Precision[], signal: AbortSignal | undefined): Promise<LayerLatency> {
  const racers: Racer[] = []
  try {
    for (const graph of [dense, chain]) {
      for (const precision of precisions) {
        signal?.throwIfAborted()
        racers.push(await makeRacer(graph, precision))
      }
    }
    for (let round = 0; round <= measuring.rounds; round++) {
      for (const racer of racers) {
        const ms = await layerMs(racer, signal)
        // The first round only says how many runs make one.
        if (round === 0) racer.runs = Math.max(1, Math.min(measuring.mostRuns, Math.ceil(measuring.roundMs / Math.max(ms, 1e-3))))
        else racer.least = Math.min(racer.least, ms)
      }
    }
  } finally {
    for (const { plan } of racers) plan.close()
  }
  const fastest = (graph: Graph): Racer => racers.filter((racer) => racer.graph === graph).reduce((a, b) => (b.least < a.least ? b : a))
  const [ofDense, ofChain] = [fastest(dense), fastest(chain)]
  return { denseMs: ofDense.least, chainMs: ofChain.least, densePrecision: ofDense.precision, chainPrecision: ofChain.precision }
}

interface Racer {
  readonly graph: Graph
  readonly precision: Precision
  readonly plan: NativePlan
  /** Of the plan over its values: its steps are timed over a slice of them. */
  readonly slices: number
  least: number
  runs: number
}

/** Weights are packed off this thread. */
async function makeRacer(graph: Graph, precision: Precision): Promise<Racer> {
  const inputShapes = new Map(graph.inputs.map(({ name, dims }) => [name, dims as readonly number[]]))
  const request = { graph, inputShapes, inputValues: {}, threads: 1, planner: native().createPlanner() }
  const { native: plan, used, compiled } = await preparePlan(request, draftPlan(request, { precision }))
  const slices = (compiled.spec.values[0]?.n ?? 1) / plan.describe().imagesAtATime
  // A layer without a kernel for bf16 is computed in float32.
  return { graph, precision: used.precision, plan, slices, least: Number.POSITIVE_INFINITY, runs: 1 }
}

/** All steps but the one before the layer, and what rounds its values: in a network the layer before has written them in bfloat16. */
async function layerMs({ plan, runs, slices }: Racer, signal: AbortSignal | undefined): Promise<number> {
  const seconds = await runJob(() => plan.timeSteps(runs), signal)
  const ops = plan.describe().steps.map(({ op }) => op)
  const first = ops[0] !== 'activation' ? 0 : ops[1] !== 'convert' ? 1 : 2
  return 1000 * slices * seconds.slice(first).reduce((sum, step) => sum + step, 0)
}
