import { PolyadicError } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { makeGraph, makeNode } from '../graph/rewrite.js'
import { type NativePlan, native } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import { constantFinder } from '../operators/constants.js'
import type { InputShapes } from '../operators/infer.js'
import { compile } from '../runtime/compile.js'
import type { Tensor } from '../tensor.js'
import { type Stage, factorsToConvs } from './factors-to-convs.js'
import type { KernelShape } from './kernel-tensor.js'
import { type Layer, readLayer } from './layer.js'
import { replaceLayer } from './rebuild.js'
import { type Dims, knownShapes } from './spatial-extents.js'

/** Milliseconds of one example on this CPU, one thread, by the kernels that `Session` would take: the layer, and the chain in its place. */
export interface LayerLatency {
  readonly denseMs: number
  readonly chainMs: number
}

/** A gain below this is none: two runs of the same thing differ by so much. */
const leastGain = 1.05

/** Of so short a layer the clock says little, and the network will not be the slower for it. */
const tooShortMs = 0.005

const measuring = { rounds: 5, roundMs: 2, mostRuns: 200 } as const

/** Whether a chain is worth what it loses. */
export function isFaster({ denseMs, chainMs }: LayerLatency): boolean {
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
  inputShapes: InputShapes | undefined,
  signal: AbortSignal | undefined
): Promise<(LayerLatency | undefined)[]> {
  const known = knownShapes(graph, inputShapes)
  const latencies: (LayerLatency | undefined)[] = []
  for (const { layer, shape, rank } of layers) {
    const dims = oneExample(known.get(layer.node.inputs[0] ?? ''))
    latencies.push(dims && (await measureLayer(graph, layer, someStages(layer, shape, rank), dims, signal)))
  }
  return latencies
}

async function measureLayer(
  graph: Graph,
  layer: Layer,
  stages: readonly Stage[],
  dims: readonly number[],
  signal: AbortSignal | undefined
): Promise<LayerLatency | undefined> {
  try {
    const dense = layerAlone(graph, layer, dims)
    const [, node] = dense.nodes as readonly [Node, Node]
    const chain = replaceLayer(dense, { layer: readLayer(dense, node), stages }).graph
    const latency = await race(dense, chain, signal)
    return latency.denseMs < tooShortMs ? undefined : latency
  } catch (error) {
    // What polyadic does not run. An abort rejects with the caller's reason, whatever that is.
    if (error instanceof PolyadicError && !signal?.aborted) return undefined
    throw error
  }
}

function oneExample(dims: Dims | undefined): readonly number[] | undefined {
  const [batch, ...others] = dims ?? []
  if (batch === undefined || !others.every((dim) => typeof dim === 'number')) return undefined
  return [typeof batch === 'number' ? batch : 1, ...others]
}

/** The layer behind a step that leaves its input where another layer would: conversions at the edges of a plan are not the layer's. */
function layerAlone(graph: Graph, { node, weightName, dtype }: Layer, dims: readonly number[]): Graph {
  const constant = constantFinder(graph)
  const constants = node.inputs.slice(1).flatMap((name): [string, Tensor][] => {
    const tensor = name === '' ? undefined : constant(name)
    return tensor === undefined ? [] : [[name, tensor]]
  })
  const bias = constants.flatMap(([name]) => (name === weightName ? [] : [name]))
  const before = makeNode({ name: 'before', opType: 'Relu', inputs: ['x'], outputs: ['y'] })
  return makeGraph({
    name: node.name,
    opset: graph.opsets.get('') ?? 17,
    inputs: [{ name: 'x', dtype, dims }],
    outputs: [{ name: node.outputs[0] as string, dtype, dims: undefined }],
    nodes: [before, { ...node, inputs: ['y', weightName, ...bias] }],
    initializers: new Map(constants)
  })
}

function someStages(layer: Layer, { modes, dims }: KernelShape, rank: number): readonly Stage[] {
  const factors = Array.from({ length: layer.spec.groups }, () => dims.map((dim) => new Float64Array(dim * rank).fill(1)))
  return factorsToConvs(layer, modes, factors, rank)
}

/** In turn, so that a machine that slows down for a while slows both; the least counts, as nothing makes a run faster than it is. */
async function race(dense: Graph, chain: Graph, signal: AbortSignal | undefined): Promise<LayerLatency> {
  const racers = [dense, chain].map((graph) => ({
    plan: native().createPlan(compile(graph).spec),
    least: Number.POSITIVE_INFINITY,
    runs: 1
  }))
  try {
    for (let round = 0; round <= measuring.rounds; round++) {
      for (const racer of racers) {
        const ms = await layerMs(racer.plan, racer.runs, signal)
        // The first round only says how many runs make one.
        if (round === 0) racer.runs = Math.max(1, Math.min(measuring.mostRuns, Math.ceil(measuring.roundMs / Math.max(ms, 1e-3))))
        else racer.least = Math.min(racer.least, ms)
      }
    }
  } finally {
    for (const { plan } of racers) plan.close()
  }
  const [denseMs = 0, chainMs = 0] = racers.map(({ least }) => least)
  return { denseMs, chainMs }
}

/** All steps but the one before the layer. */
async function layerMs(plan: NativePlan, runs: number, signal: AbortSignal | undefined): Promise<number> {
  const [before = 0, ...steps] = await runJob(() => plan.timeSteps(runs), signal)
  const others = plan.describe().steps[0]?.op === 'activation' ? 0 : before
  return 1000 * (others + steps.reduce((sum, seconds) => sum + seconds, 0))
}
