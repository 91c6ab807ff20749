import { performance } from 'node:perf_hooks'
import { PolyadicError, checkInteger, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import type { InputShapes } from '../operators/infer.js'
import { elementCount } from '../tensor.js'
import { denseCost, stagesCost } from './cost.js'
import {
  type GroupReport,
  type LayerDecomposition,
  type OnSolveProgress,
  type Solve,
  decomposeKernel,
  overallError,
  overallOutputError,
  overallTrace
} from './decompose.js'
import { type Stage, factorsToConvs } from './factors-to-convs.js'
import { type KernelTensor, kernelTensor } from './kernel-tensor.js'
import { type ConvLayer, checkLayers, findConv, readConv } from './layer.js'
import type { LayerReport } from './layer-report.js'
import { replaceConv } from './rebuild.js'
import { type SolverOptions, checkSolverOptions, solver } from './solver.js'
import { type Calibration, checkCalibration, gatherMoments } from './calibration.js'
import { spatialExtents } from './spatial-extents.js'

/** One layer's rank (components a group) and whatever it does differently from the other layers. */
export interface LayerOptions extends SolverOptions {
  readonly rank: number
}

export interface CompressProgress {
  /** Of the whole call, from 0 to 1. */
  readonly fraction: number
  readonly layer: string
  readonly group: number
  readonly iteration: number
  /** Relative error reached in this group. */
  readonly error: number
}

export interface CompressOptions extends SolverOptions {
  /** Rank by layer; a layer is named by its node, its output or its weights. */
  readonly layers: Readonly<Record<string, number | LayerOptions>>
  /** Shapes of graph inputs by name, for exact counts of multiply-adds when the graph leaves dimensions open. */
  readonly inputShapes?: InputShapes
  /**
   * Unlabelled inputs: the error of each layer's output over them is minimised instead of that of its weights, and
   * reported. Method `nls` without correction.
   */
  readonly calibration?: Calibration
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: CompressProgress) => void
}

export interface CompressResult {
  readonly graph: Graph
  /** In the order of `options.layers`. */
  readonly layers: readonly LayerReport[]
}

interface Task {
  readonly layer: ConvLayer
  readonly kernel: KernelTensor
  readonly rank: number
  readonly solver: SolverOptions
}

/**
 * Replaces convolutions by chains of small ones, by CP decomposition of their kernels (of each group's, one by one).
 * All layers are checked before anything is computed, and the graph given is not changed.
 *
 * Throws POLYADIC_ARGUMENT (unknown layer, bad rank), POLYADIC_UNSUPPORTED (weights that are not constant),
 * POLYADIC_NUMERIC (weights that are not finite); rejects with `signal.reason` when aborted.
 */
export async function compress(graph: Graph, options: CompressOptions): Promise<CompressResult> {
  return compressWith(graph, options, (layerOptions, moments) => solver(layerOptions, options.signal, moments))
}

/** `compress` with a solver of one's own: for tests and exact decompositions. */
export async function compressWith(
  graph: Graph,
  options: CompressOptions,
  makeSolve: (options: SolverOptions, moments?: readonly Float64Array[]) => Solve
): Promise<CompressResult> {
  const tasks = planTasks(graph, options)
  options.signal?.throwIfAborted()
  const extents = spatialExtents(
    graph,
    tasks.map((task) => task.layer.node),
    options.inputShapes
  )
  const moments =
    options.calibration &&
    (await gatherMoments(
      graph,
      tasks.map((task) => task.layer),
      options.calibration,
      options.threads ?? 1,
      options.signal
    ))
  const progress = progressOf(tasks, options.onProgress)
  let compressed = graph
  const layers: LayerReport[] = []
  for (const [index, task] of tasks.entries()) {
    const started = performance.now()
    const { layer, kernel } = task
    const solve = makeSolve(task.solver, moments?.get(layer.node.name))
    const found = await decomposeKernel(layer.node.name, kernel, task.rank, solve, (...done) => progress(index, ...done))
    options.signal?.throwIfAborted()
    const last = found.groups.at(-1) as GroupReport
    progress(index, found.groups.length - 1, 1, last.iterations, last.relativeError)
    const stages = factorsToConvs(layer, kernel.modes, found.factors, found.rank)
    const replaced = replaceConv(compressed, { layer, stages })
    compressed = replaced.graph
    const seconds = (performance.now() - started) / 1000
    layers.push({ ...layerReport(task, found, stages, extents[index]), nodes: replaced.nodes, seconds })
  }
  return { graph: compressed, layers }
}

function planTasks(graph: Graph, options: CompressOptions): Task[] {
  checkLayers(options.layers)
  checkSolverOptions('', options)
  if (options.calibration !== undefined) checkCalibration(options.calibration)
  const seen = new Map<string, string>()
  return Object.entries(options.layers).map(([key, value]) => {
    const node = findConv(graph, key)
    const before = seen.get(node.name)
    if (before !== undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `layers: ${show(key)} and ${show(before)} name the same layer`, { subject: key })
    seen.set(node.name, key)
    const own: Partial<LayerOptions> = typeof value === 'object' && value !== null ? value : { rank: value }
    const rank = checkInteger(`layers[${show(key)}].rank`, own.rank, 1)
    checkSolverOptions(`layers[${show(key)}].`, own)
    const layer = readConv(graph, node)
    return { layer, kernel: kernelTensor(layer), rank, solver: { ...options, ...own } }
  })
}

function layerReport(
  task: Task,
  found: LayerDecomposition,
  stages: readonly Stage[],
  extents: readonly number[] | undefined
): Omit<LayerReport, 'nodes' | 'seconds'> {
  const { layer, kernel } = task
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

// Layers count by the work of a sweep over their tensor.
function progressOf(
  tasks: readonly Task[],
  report: CompressOptions['onProgress']
): (task: number, group: number, ...progress: Parameters<OnSolveProgress>) => void {
  const work = tasks.map((task) => elementCount(task.kernel.dims) * task.rank * task.kernel.groups.length)
  const total = work.reduce((sum, value) => sum + value, 0)
  return (index, group, done, iteration, error) => {
    const { layer, kernel } = tasks[index] as Task
    const before = work.slice(0, index).reduce((sum, value) => sum + value, 0)
    const within = (group + done) / kernel.groups.length
    report?.({
      fraction: Math.min(1, (before + within * (work[index] as number)) / total),
      layer: layer.node.name,
      group,
      iteration,
      error
    })
  }
}
