import { checkNames, checkOptions, isRecord } from '../arguments.js'
import { argumentError, PolyadicError, checkChoice, checkNumber, show } from '../errors.js'
import { checkForm as checkGraphForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import { inlineCalls } from '../graph/inline.js'
import { constantFinder } from '../operators/constants.js'
import { checkPrecision } from '../runtime/precision.js'
import { foldBatchNorm } from './batch-norm.js'
import { checkCalibration } from './calibration.js'
import { fullRank } from './exact.js'
import { asConvolution } from './flattened.js'
import { type KernelShape, kernelShape } from './kernel-tensor.js'
import { type Layer, checkLayers, findLayer, isLayer, readLayer } from './layer.js'
import { type CompressOptions, compressOptions, type LayerOptions, layerOptions } from './options.js'
import { type SolverOptions, checkSolverOptions } from './solver.js'
import { knownShapes } from './spatial-extents.js'

// What is asked of `compress`, checked and brought into a form in which it can be done, before anything is computed.

/** One layer to replace. */
export interface Task {
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

/** What is to be done, and the network it is done to. */
export interface Planned {
  readonly prepared: Graph
  readonly tasks: readonly Task[]
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

/** Checks all that was asked for, and brings the graph into the form in which its layers, but for those `kept`, are decomposed. */
export function planTasks(model: Graph, options: CompressOptions, kept: readonly { readonly name: string }[]): Planned {
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
    if (isRank && isRecord(value)) checkAlone(key, value)
    const own = (isRank ? { rank: value } : value) as Partial<LayerOptions>
    const rank = checkRank(`layers[${show(key)}].rank`, own.rank)
    checkNames(`layers[${show(key)}]`, own, layerOptions)
    checkSolverOptions(`layers[${show(key)}].`, own)
    checkForm(`layers[${show(key)}].`, own)
    return { name, rank, own }
  })
}

/** Throws where `{ error: 0.2 }`, a rank, holds options of the layer besides. */
function checkAlone(key: string, rank: Readonly<Record<string, unknown>>): void {
  const beside = Object.keys(rank).find((name) => Object.hasOwn(layerOptions, name) && rank[name] !== undefined)
  if (beside === undefined) return
  const message = `layers[${show(key)}]: write rank: { error: ${show(rank.error)} } where there are other options, here ${show(beside)}`
  throw new PolyadicError('POLYADIC_ARGUMENT', message, { subject: `layers[${show(key)}].error` })
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
