import { show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { consumers } from '../graph/rewrite.js'
import type { CompressResult, KeptLayer } from '../replacement/compress.js'
import type { LayerReport } from '../replacement/layer-report.js'
import { layerRows, shortLayerColumns } from '../report/compression.js'
import { formatChange, formatCount, formatMilliseconds } from '../report/format.js'
import { textTable } from '../report/table.js'
import type { FineTuneResult } from '../training/fine-tune.js'
import type { Shapes, Totals } from './network.js'
import { type GivenShapes, knownShapes, openInput } from './shapes.js'
import { measure, quality } from './training.js'
import type { TrainingData } from './training-data.js'

/** What was asked for. */
export interface Asked {
  readonly output: string
  readonly report: string | undefined
  readonly shapes: GivenShapes
  /** Whether layers were to stay where their chain is not faster. */
  readonly keepsSlower: boolean
}

/** What came out. */
export interface Done {
  /** As it was. */
  readonly graph: Graph
  readonly compressed: CompressResult
  readonly before: Totals
  readonly after: Totals
  readonly shapes: Shapes | undefined
  readonly data: TrainingData | undefined
  readonly tuned: FineTuneResult | undefined
}

/** The text of `polyadic compress`. */
export function summary(plan: Asked, done: Done): string {
  const { compressed, before, after, data, tuned } = done
  const lines = [
    ...(compressed.layers.length === 0 ? [] : [textTable(shortLayerColumns, layerRows(compressed.layers)), '']),
    `parameters     ${formatCount(before.parameters)} → ${formatCount(after.parameters)} (${formatChange(before.parameters, after.parameters)})`,
    ...(before.macs === undefined || after.macs === undefined
      ? []
      : [`multiply-adds  ${formatCount(before.macs)} → ${formatCount(after.macs)} (${formatChange(before.macs, after.macs)})`])
  ]
  for (const layer of compressed.kept) lines.push(`${layer.name} stays: ${reasonOf(layer)} (--when-slower replace)`)
  lines.push(...remarks(plan, done))
  if (tuned && data) {
    const { initial = { accuracy: Number.NaN, loss: Number.NaN }, best } = tuned
    lines.push(`fine-tuned     ${measure(data)} ${quality(initial, data)} → ${quality(best, data)} on ${data.validation.count} examples`)
  }
  return [...lines, `${plan.output} written${plan.report === undefined ? '' : `, ${plan.report} too`}`].join('\n')
}

/** Why a layer was not replaced. */
function reasonOf({ rank, latency, error }: KeptLayer): string {
  if (latency !== undefined)
    return `${formatMilliseconds(latency.denseMs)} ms as it is (${latency.densePrecision}), ${formatMilliseconds(latency.chainMs)} ms at rank ${rank} (${latency.chainPrecision}) on this CPU`
  if (error === undefined) return 'no chain has fewer weights'
  return `no chain with fewer weights has the error asked for, at rank ${rank} it is ${error.toFixed(3)}`
}

/** What somebody may not expect of the layers that were replaced. */
function remarks(plan: Asked, { graph, compressed, shapes }: Done): string[] {
  const lines: string[] = []
  const { layers } = compressed
  const untimed = layers.filter(({ latency }) => latency === undefined).map(({ name }) => name)
  const open =
    shapes === undefined ? graph.inputs.find((input) => knownShapes({ ...graph, inputs: [input] }, plan.shapes) === undefined) : undefined
  if (plan.keepsSlower && open !== undefined && untimed.length > 0)
    lines.push(`not timed, and replaced whether that is faster on this CPU or not: ${untimed.join(', ')}; ${openInput(open)}`)
  for (const { name, rank, requestedRank, relativeError } of layers) {
    const reason = relativeError < 5e-5 ? 'which is exact' : 'the other components vanished'
    if (rank < requestedRank) lines.push(`${name}: rank ${rank} instead of ${requestedRank}, ${reason}`)
  }
  const grown = (before: keyof LayerReport, after: keyof LayerReport): string =>
    layers
      .filter((layer) => Number(layer[after]) > Number(layer[before]))
      .map(({ name }) => name)
      .join(', ')
  const slower = grown('macsBefore', 'macsAfter')
  if (slower !== '') lines.push(`${slower}: more multiply-adds than before at this rank`)
  const larger = grown('parametersBefore', 'parametersAfter')
  if (larger !== '') lines.push(`${larger}: more parameters than before at this rank`)
  return [...lines, ...sharedWeights(graph, layers)]
}

/** Weights that several nodes use stay in the network for those that were not replaced. */
function sharedWeights(graph: Graph, layers: readonly LayerReport[]): string[] {
  const users = consumers(graph)
  const replaced = new Set(layers.map(({ name }) => name))
  const told = new Set<string>()
  return layers.flatMap(({ name }) => {
    const weight = graph.nodes.find((node) => node.name === name)?.inputs[1] ?? ''
    const others = (users.get(weight) ?? []).map((node) => node.name).filter((other) => other !== name)
    if (others.length === 0 || told.has(weight)) return []
    told.add(weight)
    const stay = others.filter((other) => !replaced.has(other))
    if (stay.length === 0) return [`${name} shared its weights ${show(weight)} with ${others.join(', ')}: now each has its own`]
    return [
      `${name}: its weights ${show(weight)} are those of ${stay.join(', ')}, too, and stay in the network for ${stay.length === 1 ? 'it' : 'them'}`
    ]
  })
}
