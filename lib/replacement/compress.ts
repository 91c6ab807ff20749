import { performance } from 'node:perf_hooks'
import { checkNames, checkOptions, isRecord, type Names } from '../arguments.js'
import { argumentError, PolyadicError, checkChoice, checkNumber, show } from '../errors.js'
import { checkForm as checkGraphForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import { inlineCalls } from '../graph/inline.js'
import { constantFinder } from '../operators/constants.js'
import type { InputShapes } from '../operators/infer.js'
import { checkPrecision, type PrecisionChoice } from '../runtime/precision.js'
import { leastRank, type RankSearch } from '../decomposition/rank-search.js'
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
import { type KernelShape, type KernelTensor, kernelShape, kernelTensor } from './kernel-tensor.js'
import { foldBatchNorm } from './batch-norm.js'
import { fullRank } from './exact.js'
import { asConvolution } from './flattened.js'
import { type Layer, checkLayers, findLayer, isLayer, readLayer } from './layer.js'
import type { LayerReport } from './layer-report.js'
import { isFaster, type LayerLatency, measureLayers } from './latency.js'
import { replaceLayer } from './rebuild.js'
import { type SolverOptions, checkSolverOptions, solver, solverOptions } from './solver.js'
import { type Calibration, checkCalibration, gatherMoments, type Moments } from './calibration.js'
import { knownShapes, spatialExtents } from './spatial-extents.js'

/** What becomes of a layer besides the decomposition of its kernel. */
export interface FormOptions {
  /**
   * `fold` multiplies a batch normalisation behind a Conv into its weights first: one node less, and the decomposition minds channels by
   * what they are scaled to. `keep` (default) leaves it, which fine-tuning can make use of. Nothing happens where there is none.
   */
  readonly batchNorm?: 'keep' | 'fold'
}

/** One layer's rank (components a group) and whatever it does differently from the other layers. */
export interface LayerOptions extends SolverOptions, FormOptions {
  /**
   * `{ error: 0.2 }`: the least rank with a relative error of at most that (of the layer's output with `calibration`, else of its weights), found by
   * doubling and halving as `cpd` does; the layer stays as it is where no chain with fewer weights reaches it, unless `whenSlower` is `replace`.
   * `full`: what an exact decomposition takes, which costs more than the layer: to check that nothing else changes.
   */
  readonly rank: number | 'full' | { readonly error: number }
  /**
   * Of a Gemm or MatMul: `matrix` (default) makes two of it, by truncated singular value decomposition. `convolution`, for one behind a
   * flatten of C×H×W maps, makes the chain of small convolutions, by CP decomposition of its outputs×C×H×W tensor.
   */
  readonly form?: 'matrix' | 'convolution'
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

export interface CompressOptions extends SolverOptions, FormOptions {
  /** Rank by layer (a Conv, Gemm or MatMul), such as 64 or `{ error: 0.2 }`; a layer is named by its node, its output or its weights. */
  readonly layers: Readonly<Record<string, LayerOptions['rank'] | LayerOptions>>
  /** Shapes of graph inputs by name, for exact counts of multiply-adds when the graph leaves dimensions open. */
  readonly inputShapes?: InputShapes
  /**
   * Unlabelled inputs: the error of each convolution's output over them is minimised instead of that of its weights, and
   * reported. Method `nls` without correction. Matrix products are decomposed by their weights all the same.
   */
  readonly calibration?: Calibration
  /**
   * What becomes of a layer whose chain is not faster on this CPU than the layer itself, by the kernels that `Session` would take (Winograd's among
   * them): `keep` (default) leaves it as it is and says so in the result; `replace` replaces it all the same, for fewer parameters or for
   * another machine, and measures nothing. Measured with one thread and one example before anything is decomposed, where the shape of the
   * layer's input is known; rank `full` is always replaced.
   */
  readonly whenSlower?: 'keep' | 'replace'
  /**
   * The precision that the network will run in, as `Session` takes it: layers and chains are measured in it. Which one was used is in
   * each `latency` of the result. Default: `f32`.
   */
  readonly precision?: PrecisionChoice
  readonly signal?: AbortSignal
  /** What it throws ends the call. */
  readonly onProgress?: (progress: CompressProgress) => void
}

const formOptions: Names<FormOptions> = { batchNorm: true }
const layerOptions: Names<LayerOptions> = { ...solverOptions, ...formOptions, rank: true, form: true }

/** The names of all options. */
export const compressOptions: Names<CompressOptions> = {
  ...solverOptions,
  ...formOptions,
  layers: true,
  inputShapes: true,
  calibration: true,
  whenSlower: true,
  precision: true,
  signal: true,
  onProgress: true
}

/** A layer that stayed as it is, as its chain is not faster on this CPU, or as no chain with fewer weights is as near to it as was asked for. */
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

interface Task {
  readonly layer: Layer
  readonly shape: KernelShape
  /** 0 as long as the rank of an error is searched for. */
  readonly rank: number
  readonly bound: number | undefined
  readonly solver: SolverOptions
  readonly folded: string | undefined
  /** Rank `full` is a check, whatever it costs. */
  readonly isCheck: boolean
}

/** A layer found, its options checked, and nothing else done. */
interface Request {
  readonly name: string
  readonly rank: LayerOptions['rank']
  readonly own: Partial<LayerOptions>
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
  const searched = await searchRanks(requested, options, makeSolve, progressOf(requested.tasks, options.onProgress))
  const planned = withRanks(requested, searched)
  const latencies = options.whenSlower === 'keep' ? await measureTasks(planned, options) : new Map<string, LayerLatency>()
  const kept = planned.tasks.flatMap(({ layer: { node }, rank }): KeptLayer[] => {
    const latency = latencies.get(node.name)
    const missed = searched.get(node.name)
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
  const moments = await momentsOf(
    prepared,
    tasks.filter(({ bound }) => bound === undefined),
    options
  )
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

/**
 * All that `compress` checks before it computes anything, and what it would do; throws as it does. For who is to call it later, after hours of
 * something else.
 */
export function checkCompression(graph: Graph, options: CompressOptions): Planned {
  checkGraphForm(graph)
  checkOptions(options, compressOptions)
  return planTasks(graph, options, [])
}

/** Second moments of the inputs of convolutions, where there is something to calibrate by. */
async function momentsOf(graph: Graph, tasks: readonly Task[], options: CompressOptions): Promise<Moments | undefined> {
  const convolutions = tasks.map(({ layer }) => layer).filter(({ kind }) => kind === 'convolution')
  return options.calibration && gatherMoments(graph, convolutions, options.calibration, options.threads ?? 1, options.signal)
}

interface LayerSearch extends RankSearch<LayerDecomposition> {
  readonly seconds: number
}

/** Decomposes the layers that an error is asked of, at the least rank that has it; by name. */
async function searchRanks(
  { prepared, tasks }: Planned,
  options: CompressOptions,
  makeSolve: MakeSolve,
  progress: TaskProgress
): Promise<ReadonlyMap<string, LayerSearch>> {
  const searching = tasks.filter(({ bound }) => bound !== undefined)
  const found = new Map<string, LayerSearch>()
  if (searching.length === 0) return found
  const moments = await momentsOf(prepared, searching, options)
  for (const task of searching) {
    const started = performance.now()
    const { node } = task.layer
    const kernel = kernelTensor(task.layer)
    const solve = makeSolve(task.solver, moments?.get(node.name))
    let tried = 0
    const search = await leastRank(
      options.whenSlower === 'keep' ? mostSaving(task.shape) : fullRank(task.shape.dims),
      task.bound as number,
      async (rank) => {
        const result = await decomposeKernel(node.name, kernel, rank, solve, (group, done, ...reached) => {
          const part = tried + (group + done) / kernel.groups.length
          progress(task, 0, part / (part + usualTrials), ...reached)
        })
        options.signal?.throwIfAborted()
        tried++
        return result
      },
      ({ groups }) =>
        overallOutputError(groups) ??
        overallError(
          kernel,
          groups.map(({ relativeError }) => relativeError)
        )
    )
    const last = search.result.groups.at(-1) as GroupReport
    progress(task, task.layer.spec.groups - 1, 1, last.iterations, last.relativeError)
    found.set(node.name, { ...search, seconds: (performance.now() - started) / 1000 })
  }
  return found
}

/** After so many ranks half of a search is said to be done. */
const usualTrials = 6

/** The largest rank at which a chain has fewer weights than the layer; at least 1. */
function mostSaving({ dims }: KernelShape): number {
  const most = Math.ceil(elementCount(dims) / dims.reduce((sum, dim) => sum + dim, 0)) - 1
  return Math.max(1, Math.min(most, fullRank(dims)))
}

function withRanks({ prepared, tasks }: Planned, searched: ReadonlyMap<string, LayerSearch>): Planned {
  const ranked = tasks.map((task) => ({ ...task, rank: searched.get(task.layer.node.name)?.rank ?? task.rank }))
  return { prepared, tasks: ranked }
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

export interface Planned {
  readonly prepared: Graph
  readonly tasks: readonly Task[]
}

/** Checks all that was asked for, and brings the graph into the form in which its layers, but for those `kept`, are decomposed. */
function planTasks(model: Graph, options: CompressOptions, kept: readonly KeptLayer[]): Planned {
  const graph = inlineCalls(model, isLayer)
  const requests = checkRequests(graph, options).filter(({ name }) => !kept.some((layer) => layer.name === name))
  let prepared = graph
  const folded = requests.map(({ name, own }) => {
    if ((own.batchNorm ?? options.batchNorm) !== 'fold') return undefined
    const result = foldBatchNorm(prepared, findLayer(prepared, name))
    prepared = result.graph
    return result.folded
  })
  if (requests.some(({ own }) => own.form === 'convolution')) {
    const shapes = knownShapes(prepared, options.inputShapes)
    for (const { name, own } of requests)
      if (own.form === 'convolution') prepared = asConvolution(prepared, findLayer(prepared, name), shapes)
  }
  const constant = constantFinder(prepared)
  const tasks = requests.map(({ name, rank, own }, index): Task => {
    const layer = readLayer(prepared, findLayer(prepared, name), constant)
    const shape = kernelShape(layer)
    const common = { layer, shape, solver: { ...options, ...own }, folded: folded[index], isCheck: rank === 'full' }
    if (typeof rank === 'object') return { ...common, rank: 0, bound: rank.error }
    return { ...common, rank: rank === 'full' ? fullRank(shape.dims) : rank, bound: undefined }
  })
  return { prepared, tasks }
}

function checkRequests(graph: Graph, options: CompressOptions): readonly Request[] {
  checkLayers(options.layers)
  checkSolverOptions('', options)
  if (options.calibration !== undefined) checkCalibration(options.calibration)
  checkForm('', options)
  if (options.whenSlower !== undefined) checkChoice('whenSlower', options.whenSlower, ['keep', 'replace'])
  if (options.precision !== undefined) checkPrecision(options.precision)
  const seen = new Map<string, string>()
  return Object.entries(options.layers).map(([key, value]) => {
    const { name } = findLayer(graph, key)
    const before = seen.get(name)
    if (before !== undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `layers: ${show(key)} and ${show(before)} name the same layer`, { subject: key })
    seen.set(name, key)
    const isRank = !isRecord(value) || ('error' in value && !('rank' in value))
    const own = (isRank ? { rank: value } : value) as Partial<LayerOptions>
    const rank = checkRank(`layers[${show(key)}].rank`, own.rank)
    checkNames(`layers[${show(key)}]`, own, layerOptions)
    checkSolverOptions(`layers[${show(key)}].`, own)
    checkForm(`layers[${show(key)}].`, own)
    return { name, rank, own }
  })
}

function checkRank(name: string, rank: unknown): LayerOptions['rank'] {
  if (rank === 'full' || (typeof rank === 'number' && Number.isSafeInteger(rank) && rank >= 1)) return rank
  if (!isRecord(rank))
    throw argumentError(name, "an integer of at least 1, { error: 0.2 } for the least rank with such an error, or 'full'", rank)
  checkNames(name, rank, { error: true })
  return { error: checkNumber(`${name}.error`, rank.error, 0, 1) }
}

function checkForm(prefix: string, { batchNorm, form }: Partial<LayerOptions>): void {
  if (batchNorm !== undefined) checkChoice(`${prefix}batchNorm`, batchNorm, ['keep', 'fold'])
  if (form !== undefined) checkChoice(`${prefix}form`, form, ['matrix', 'convolution'])
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

type MakeSolve = (options: SolverOptions, moments?: readonly Float64Array[]) => Solve

type TaskProgress = (task: Task, group: number, ...progress: Parameters<OnSolveProgress>) => void

/** Of the layers whose rank is searched for, which come first, and of the others. Layers count by the work of a sweep over their tensor. */
function progressOf(tasks: readonly Task[], report: CompressOptions['onProgress']): TaskProgress {
  const workOf = ({ layer, shape, rank, bound }: Task): number =>
    elementCount(shape.dims) * (bound === undefined ? rank : mostSaving(shape)) * layer.spec.groups
  const ordered = [...tasks.filter(({ bound }) => bound !== undefined), ...tasks.filter(({ bound }) => bound === undefined)]
  const names = ordered.map(({ layer }) => layer.node.name)
  const work = ordered.map(workOf)
  const total = work.reduce((sum, value) => sum + value, 0)
  return ({ layer }, group, done, iteration, error) => {
    const index = names.indexOf(layer.node.name)
    const before = work.slice(0, index).reduce((sum, value) => sum + value, 0)
    const within = (group + done) / layer.spec.groups
    report?.({
      fraction: Math.min(1, (before + within * (work[index] as number)) / total),
      layer: layer.node.name,
      group,
      iteration,
      error
    })
  }
}
