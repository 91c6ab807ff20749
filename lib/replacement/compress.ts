import { performance } from 'node:perf_hooks'
import { checkOptions } from '../arguments.js'
import type { Graph } from '../graph/graph.js'
import { gatherMoments, type Moments } from './calibration.js'
import { denseCost, stagesCost } from './cost.js'
import { type GroupReport, type LayerDecomposition, decomposeKernel, overallError, overallOutputError, overallTrace } from './decompose.js'
import { isSaving } from './exact.js'
import { type Stage, factorsToConvs } from './factors-to-convs.js'
import { type KernelTensor, kernelTensor } from './kernel-tensor.js'
import type { LayerReport } from './layer-report.js'
import { isFaster, type LayerLatency, measureLayers } from './latency.js'
import { type CompressOptions, compressOptions } from './options.js'
import { checkCompression, type Planned, planTasks, type Task } from './plan.js'
import { progressOf } from './progress.js'
import { searchRanks, withRanks } from './rank-of-error.js'
import { replaceLayer } from './rebuild.js'
import { type MakeSolve, solver } from './solver.js'
import { spatialExtents } from './spatial-extents.js'

/**
 * A layer that stayed as it is, as its chain is not faster on this CPU, or as no chain with fewer weights is as near to it as was asked for. Neither
 * `latency` nor `error`: an error was asked for, and no chain at all has fewer weights.
 */
export interface KeptLayer {
  readonly name: string
  /** That was asked for, or found for the error that was; the largest one tried where none has that. */
  readonly rank: number
  /** Where its chain is not faster. */
  readonly latency?: LayerLatency
  /** Where no chain is near enough: the error at `rank`. */
  readonly error?: number
}

export interface CompressResult {
  readonly graph: Graph
  /** What was replaced, in the order of `options.layers`. */
  readonly layers: readonly LayerReport[]
  readonly kept: readonly KeptLayer[]
}

/**
 * Replaces convolutions (of one to three axes) by chains of small ones, by CP decomposition of their kernels (of each group's, one by
 * one), and matrix products by two. All layers are checked before anything is computed, and the graph given is not changed. What the
 * network does elsewhere is carried through as it is, operators that polyadic does not know among it.
 *
 * Throws POLYADIC_ARGUMENT (unknown layer, bad rank), POLYADIC_UNSUPPORTED (weights that are not constant),
 * POLYADIC_NUMERIC (weights that are not finite); rejects with `signal.reason` when aborted.
 */
export async function compress(graph: Graph, options: CompressOptions): Promise<CompressResult> {
  checkOptions(options, compressOptions)
  const { whenSlower = 'keep' } = options
  return compressWith(graph, { ...options, whenSlower }, (layerOptions, moments) => solver(layerOptions, options.signal, moments))
}

/** `compress` with a solver of one's own: for tests and exact decompositions. Nothing is measured unless `whenSlower` is `keep`. */
export async function compressWith(graph: Graph, options: CompressOptions, makeSolve: MakeSolve): Promise<CompressResult> {
  const requested = checkCompression(graph, options)
  options.signal?.throwIfAborted()
  // Inputs to calibrate by may be a stream: they are gone through once, for all layers, however many of them stay as they are.
  const isSearched = requested.tasks.some(({ bound }) => bound !== undefined)
  const early = isSearched ? await momentsOf(requested, options) : undefined
  const searched = await searchRanks(requested, options, early, makeSolve, progressOf(requested.tasks, options.onProgress))
  const planned = withRanks(requested, searched)
  const latencies = options.whenSlower === 'keep' ? await measureTasks(planned, options) : new Map<string, LayerLatency>()
  const kept = planned.tasks.flatMap(({ layer: { node }, shape, bound, rank }): KeptLayer[] => {
    const latency = latencies.get(node.name)
    const missed = searched.get(node.name)
    if (options.whenSlower === 'keep' && bound !== undefined && !isSaving(shape.dims, rank)) return [{ name: node.name, rank }]
    if (missed?.isReached === false) return [{ name: node.name, rank, error: missed.tried.at(-1)?.error ?? 1 }]
    return latency === undefined || isFaster(latency) ? [] : [{ name: node.name, rank, latency }]
  })
  // Without what stays, whose batch normalisation is not folded either.
  const { prepared, tasks } = kept.length === 0 ? planned : withRanks(planTasks(graph, options, kept), searched)
  options.signal?.throwIfAborted()
  const extents = spatialExtents(
    prepared,
    tasks.map((task) => task.layer.node),
    options.inputShapes
  )
  const moments = isSearched ? early : await momentsOf({ prepared, tasks }, options)
  const names = new Set(tasks.map(({ layer }) => layer.node.name))
  const progress = progressOf(
    requested.tasks.filter(({ layer, bound }) => bound !== undefined || names.has(layer.node.name)),
    options.onProgress
  )
  let compressed = prepared
  const layers: LayerReport[] = []
  for (const [index, task] of tasks.entries()) {
    const started = performance.now()
    const { layer } = task
    // In float64, of one layer at a time: a network's largest layer may be most of it.
    const kernel = kernelTensor(layer)
    const search = searched.get(layer.node.name)
    const solve = makeSolve(task.solver, moments?.get(layer.node.name))
    const found = search?.result ?? (await decomposeKernel(layer.node.name, kernel, task.rank, solve, (...done) => progress(task, ...done)))
    options.signal?.throwIfAborted()
    const last = found.groups.at(-1) as GroupReport
    if (search === undefined) progress(task, found.groups.length - 1, 1, last.iterations, last.relativeError)
    const stages = factorsToConvs(layer, kernel.modes, found.factors, found.rank)
    const replaced = replaceLayer(compressed, { layer, stages })
    compressed = replaced.graph
    const seconds = (search?.seconds ?? 0) + (performance.now() - started) / 1000
    const latency = latencies.get(layer.node.name)
    layers.push({
      ...layerReport(task, kernel, found, stages, extents[index]),
      ...(task.bound !== undefined && search !== undefined && { requestedError: task.bound, ranksTried: search.tried }),
      ...(latency !== undefined && { latency }),
      nodes: replaced.nodes,
      seconds
    })
  }
  return { graph: compressed, layers, kept }
}

/** Second moments of the inputs of convolutions, where there is something to calibrate by. */
async function momentsOf(
  { prepared, tasks }: Planned,
  { calibration, threads = 1, signal }: CompressOptions
): Promise<Moments | undefined> {
  const convolutions = tasks.map(({ layer }) => layer).filter(({ kind }) => kind === 'convolution')
  return calibration && convolutions.length > 0 ? gatherMoments(prepared, convolutions, calibration, threads, signal) : undefined
}

/** By layer, where it can be told. */
async function measureTasks({ prepared, tasks }: Planned, options: CompressOptions): Promise<Map<string, LayerLatency>> {
  const measured = tasks.filter(({ isCheck }) => !isCheck)
  const latencies = await measureLayers(prepared, measured, options)
  return new Map(
    latencies.flatMap((latency, i): [string, LayerLatency][] =>
      latency === undefined ? [] : [[(measured[i] as Task).layer.node.name, latency]]
    )
  )
}

function layerReport(
  task: Task,
  kernel: KernelTensor,
  found: LayerDecomposition,
  stages: readonly Stage[],
  extents: readonly number[] | undefined
): Omit<LayerReport, 'nodes' | 'seconds'> {
  const { layer } = task
  const errors = found.groups.map((group) => group.relativeError)
  const hasBias = (layer.node.inputs[2] ?? '') !== ''
  const before = denseCost(layer, hasBias ? layer.outputs : 0, extents)
  const after = stagesCost(stages, layer.autoPad, hasBias ? layer.outputs : 0, extents)
  const outputError = overallOutputError(found.groups)
  const outputErrorBefore = overallOutputError(found.groups, 'outputErrorBefore')
  const worst = found.groups.reduce((a, b) => (b.relativeError > a.relativeError ? b : a))
  return {
    name: layer.node.name,
    rank: found.rank,
    requestedRank: task.rank,
    groups: layer.spec.groups,
    kernel: [layer.outputs, layer.inputsPerGroup, ...layer.spec.kernel],
    form: kernel.form,
    foldedBatchNorm: task.folded,
    relativeError: overallError(kernel, errors),
    ...(outputError !== undefined && { outputError }),
    ...(outputErrorBefore !== undefined && { outputErrorBefore }),
    sensitivity: found.groups.reduce((sum, group) => sum + group.sensitivity, 0),
    sensitivityBefore: found.groups.reduce((sum, group) => sum + group.sensitivityBefore, 0),
    congruence: Math.max(...found.groups.map((group) => group.congruence)),
    iterations: found.groups.reduce((sum, group) => sum + group.iterations, 0),
    stopReason: worst.stopReason,
    trace: overallTrace(kernel, found.groups),
    perGroup: found.groups,
    parametersBefore: before.parameters,
    parametersAfter: after.parameters,
    macsBefore: before.macs,
    macsAfter: after.macs,
    saves: (after.macs ?? after.parameters) < (before.macs ?? before.parameters)
  }
}
