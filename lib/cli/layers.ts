import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { inlineCalls } from '../graph/inline.js'
import type { CompressOptions, LayerOptions } from '../replacement/options.js'
import { isLayer } from '../replacement/layer.js'
import { type CompressibleLayer, compressibleLayers } from '../replacement/layers.js'
import { list } from './arguments.js'
import { type Arguments, UsageError } from './command.js'
import { didYouMean, nearest } from '../nearest.js'

/**
 * What `--rank` says of a layer: a number of components, `full`, a part of the outputs that its groups have (`C/2`), or `error=0.2` for the least
 * one with such an error.
 */
type RankText = number | 'full' | { readonly divisor: number } | ErrorText
type ErrorText = `error=${string}`

interface LayerRequest {
  /** A layer's name; with `*` for any text, every layer that it fits and that gets smaller. */
  readonly pattern: string
  readonly rank: RankText
}

export interface LayerRequests {
  readonly ranks: readonly LayerRequest[]
  /** By layer. */
  readonly forms: ReadonlyMap<string, 'matrix' | 'convolution'>
}

/** `--rank conv2=64 --rank '*=C/2' --form fc6=convolution`. Layer names may hold `=`: the last one separates. */
export function layerRequests(args: Arguments): LayerRequests {
  const given = list(args, 'rank').flatMap((item) => item.split(','))
  if (given.length === 0)
    throw new UsageError('--rank is missing: name at least one layer, as in --rank conv2=64 (polyadic inspect lists them)')
  const ranks = given.map((item) => {
    const bounded = /^(.+)=(error=[^=]*)$/s.exec(item)
    const [pattern, value] = bounded ? [bounded[1] as string, bounded[2] as string] : halves('rank', 'LAYER=RANK', item)
    return { pattern, rank: rankOf(pattern, value) }
  })
  const twice = ranks.find(({ pattern }, i) => ranks.findIndex((other) => other.pattern === pattern) !== i)
  if (twice) throw new UsageError(`--rank: layer ${show(twice.pattern)} is given twice`)
  const forms = list(args, 'form').map((item) => {
    const [layer, form] = halves('form', 'LAYER=convolution', item)
    if (form === 'matrix' || form === 'convolution') return [layer, form] as const
    throw new UsageError(`--form: expected matrix or convolution for layer ${show(layer)}, got ${show(form)}`)
  })
  return { ranks, forms: new Map(forms) }
}

function halves(option: string, expected: string, item: string): [string, string] {
  const at = item.lastIndexOf('=')
  if (at < 1) throw new UsageError(`--${option}: expected ${expected}, got ${show(item)}`)
  return [item.slice(0, at), item.slice(at + 1)]
}

function rankOf(layer: string, value: string): RankText {
  if (value === 'full') return value
  if (isErrorText(value) && errorOf(value) > 0 && errorOf(value) < 1) return value
  const [, part, whole] = /^(?:C\/(\d+)|(\d+))$/i.exec(value) ?? []
  const number = Number(part ?? whole)
  if (Number.isSafeInteger(number) && number >= 1) return part === undefined ? number : { divisor: number }
  throw new UsageError(
    `--rank: expected a positive integer for layer ${show(layer)}, got ${show(value)}; C/2, error=0.2 and full will do too`
  )
}

function isErrorText(value: unknown): value is ErrorText {
  return typeof value === 'string' && value.startsWith('error=')
}

function errorOf(value: ErrorText): number {
  return Number(value.slice('error='.length) || Number.NaN)
}

/** The layers of `compress`. Names that are given in full win over patterns, and earlier patterns over later ones. */
export function resolveLayers(graph: Graph, { ranks, forms }: LayerRequests): CompressOptions['layers'] {
  // Looking at every layer takes a while in a large network: only where it is asked for.
  const isNeeded = ranks.some(({ pattern, rank }) => pattern.includes('*') || typeof rank === 'object')
  const known = isNeeded ? compressibleLayers(graph) : []
  const strangers = strangersOf(graph, ranks)
  const layers = new Map<string, LayerOptions['rank']>()
  for (const { pattern, rank } of ranks) {
    if (pattern.includes('*')) continue
    const own = known.find(({ name }) => name === pattern)
    if (typeof rank === 'object' && own === undefined)
      throw new UsageError(
        `--rank: C/${rank.divisor} needs the name of a layer, ${show(pattern)} is none${strangers(pattern) ?? seeInspect}`
      )
    const stranger = strangers(pattern)
    if (stranger !== undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `--rank: ${show(pattern)} names no layer${stranger}`, { subject: pattern })
    layers.set(pattern, numberOf(rank, own))
  }
  for (const { pattern, rank } of ranks.filter(({ pattern }) => pattern.includes('*'))) {
    const fits = new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`, 's')
    const found = known.filter((layer) => fits.test(layer.name) && !layers.has(layer.name) && isSmaller(layer, numberOf(rank, layer)))
    for (const layer of found) layers.set(layer.name, numberOf(rank, layer))
  }
  if (layers.size === 0)
    throw new UsageError(`--rank: no layer fits ${ranks.map(({ pattern }) => show(pattern)).join(', ')} and gets smaller`)
  const stranger = [...forms.keys()].find((name) => !layers.has(name))
  if (stranger !== undefined) throw new UsageError(`--form: layer ${show(stranger)} has no --rank`)
  return Object.fromEntries([...layers].map(([name, rank]) => [name, forms.has(name) ? { rank, form: forms.get(name) as 'matrix' } : rank]))
}

const seeInspect = ' (polyadic inspect lists them)'
const listed = 8

/** Of a name that no node, value or weight has: which layers there are, those with a name like it first. `undefined` of any other name. */
function strangersOf(model: Graph, ranks: LayerRequests['ranks']): (name: string) => string | undefined {
  if (ranks.every(({ pattern }) => pattern.includes('*'))) return () => undefined
  const { nodes } = inlineCalls(model, isLayer)
  const known = new Set(nodes.flatMap((node) => [node.name, ...node.outputs, ...(isLayer(node) ? [node.inputs[1]] : [])]))
  const layers = nodes.filter(isLayer).map(({ name }) => name)
  return (name) => {
    if (known.has(name)) return undefined
    const near = nearest(name, layers)
    if (near.length > 0) return `${didYouMean(near.map(show))}${seeInspect}`
    if (layers.length === 0) return ': the network has no Conv, Gemm or MatMul'
    const more = layers.length > listed ? ` and ${layers.length - listed} more${seeInspect}` : ''
    return `: there are ${layers.slice(0, listed).map(show).join(', ')}${more}`
  }
}

function numberOf(rank: RankText, layer: CompressibleLayer | undefined): LayerOptions['rank'] {
  if (isErrorText(rank)) return { error: errorOf(rank) }
  if (typeof rank !== 'object' || layer === undefined) return rank as LayerOptions['rank']
  return Math.max(1, Math.floor((layer.kernel[0] as number) / layer.groups / rank.divisor))
}

/** Whether a chain of this rank has fewer weights. `full` is asked for to check something, and never has; the rank of an error is not known yet. */
function isSmaller({ kernel, groups, parameters, fullRank }: CompressibleLayer, rank: LayerOptions['rank']): boolean {
  if (typeof rank !== 'number') return true
  const [outputs = 0, ...others] = kernel
  const extents = outputs / groups + others.filter((extent) => extent > 1).reduce((sum, extent) => sum + extent, 0)
  return rank < fullRank && rank * groups * extents < parameters
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
