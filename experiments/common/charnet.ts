// What the experiments on CharNet share: its data, the dense network, tuning and judging. Nothing here looks at the test set but `testAccuracy`.

import { patch } from '../../examples/charnet/architecture.js'
import { type CharacterSet, createCharacters } from '../../examples/charnet/dataset.js'
import { charnetFile } from '../../examples/charnet/paths.js'
import { compress, cost, evaluate, type FineTuneResult, floatTensor, type Graph, initialise, readOnnx } from '../../lib/index.js'
import { random } from '../../lib/random.js'
import type { Distillation } from '../../lib/training/objective.js'
import type { CellContext, Scale } from '../framework/experiment.js'
import { fineTuneResumably, percent, validationAccuracies } from './tuning.js'

/** Images of each split; training sets are the first of one endless list. */
export const sizes = {
  full: { validation: 6_000, test: 12_000, calibration: 512 },
  quick: { validation: 360, test: 720, calibration: 64 }
} as const satisfies Record<Scale, object>

const batchSize = 64
const drawn = new Map<string, Promise<CharacterSet>>()

/** Characters, drawn once a process. */
export function characters(split: 'train' | 'validation' | 'test', count: number, { progress }: CellContext): Promise<CharacterSet> {
  const key = `${split} ${count}`
  const known = drawn.get(key)
  if (known !== undefined) return known
  const onProgress = (done: number, total: number): void => progress.update(`drawing ${split} characters`, done, total)
  const made = createCharacters({ split, count, onProgress })
  drawn.set(key, made)
  return made
}

/** The trained dense network that is in git. */
export function denseCharNet(): Promise<Graph> {
  return readOnnx(charnetFile)
}

/** In percent. */
export async function testAccuracy(graph: Graph, context: CellContext): Promise<number> {
  const test = await characters('test', sizes[context.scale].test, context)
  return 100 * (await evaluate(graph, test)).accuracy
}

/** In percent: what choices are made by. */
export async function validationAccuracy(graph: Graph, context: CellContext): Promise<number> {
  const validation = await characters('validation', sizes[context.scale].validation, context)
  return percent((await evaluate(graph, validation)).accuracy)
}

/** Multiply-adds and parameters for one patch. */
export function size(graph: Graph): { macs: number; parameters: number } {
  const { macs, parameters } = cost(graph, { image: [1, 1, patch, patch] })
  return { macs, parameters }
}

/** Ranks by layer, such as `{ conv1: 16, conv2: 32 }`. */
export type Ranks = Readonly<Record<string, number>>

/** How a layer's factors are found before anything is tuned. */
export const starts = ['random', 'greedy', 'als', 'nls', 'nls + correction', 'data-aware nls'] as const
export type Start = (typeof starts)[number]

/** Relative error of a layer's weights, and of its output where inputs were used. */
export interface LayerError {
  readonly weights: number
  readonly output?: number
}

export interface Decomposed {
  readonly graph: Graph
  /** By layer; nothing for random factors. */
  readonly errors: Readonly<Record<string, LayerError>>
  readonly seconds: number
}

/** CharNet, or what has become of it, with layers replaced at the ranks given. */
export async function decompose(graph: Graph, ranks: Ranks, start: Start, seed: number, context: CellContext): Promise<Decomposed> {
  const isQuick = context.scale === 'quick'
  const method = start === 'als' || start === 'greedy' ? start : 'nls'
  const result = await compress(graph, {
    layers: ranks,
    method,
    seed,
    ...(start === 'random' && { maxIterations: 1 }),
    ...(isQuick && start !== 'random' && { maxIterations: 5 }),
    ...(start === 'nls + correction' && { correction: 'epc' as const }),
    ...(start === 'data-aware nls' && { calibration: await calibration(context) }),
    signal: context.signal,
    onProgress: ({ layer, fraction }) => context.progress.update(`decomposing ${layer}`, fraction, 1)
  })
  const errors = result.layers.map(({ name, relativeError, outputError }) => [
    name,
    { weights: relativeError, ...(outputError !== undefined && { output: outputError }) }
  ])
  const nodes = result.layers.flatMap((layer) => layer.nodes)
  return {
    graph: start === 'random' ? withRandomFactors(result.graph, nodes, seed) : result.graph,
    errors: start === 'random' ? {} : Object.fromEntries(errors),
    seconds: result.layers.reduce((sum, { seconds }) => sum + seconds, 0)
  }
}

async function calibration(context: CellContext) {
  const { calibration: count } = sizes[context.scale]
  const { images } = await characters('train', count, context)
  return { inputs: { image: floatTensor(images.slice(0, count * patch * patch), [count, 1, patch, patch]) } }
}

/** Nothing of the trained layer is kept but its bias: the chain's weights are drawn as for training from scratch. */
function withRandomFactors(graph: Graph, nodes: readonly string[], seed: number): Graph {
  const weights = new Set(graph.nodes.filter(({ name }) => nodes.includes(name)).map(({ inputs }) => inputs[1] as string))
  const fresh = initialise(graph, { seed: Math.floor(random(seed, 1).next() * 2 ** 31) })
  const initializers = new Map(
    [...graph.initializers].map(([name, tensor]) => [name, weights.has(name) ? (fresh.initializers.get(name) ?? tensor) : tensor])
  )
  return { ...graph, initializers }
}

/** How a network is tuned; all of it decides the result. */
export interface Tuning {
  /** Training images, the first of the list. */
  readonly images: number
  readonly epochs: number
  readonly learningRate: number
  readonly weightDecay?: number
  readonly labelSmoothing?: number
  readonly optimiser?: 'sgd' | 'adamw'
  /** Softened outputs of the dense network are learned as well as the labels. */
  readonly distillation?: Omit<Distillation, 'teacher'>
}

/** Accuracies in percent, on the validation set: before the first epoch, after each, and the best. */
export interface Tuned {
  readonly graph: Graph
  readonly validation: readonly number[]
  readonly training: readonly number[]
  readonly best: number
  readonly rollbacks: number
  readonly seconds: number
}

/** Tunes a network; an interrupted run goes on from its checkpoint. */
export async function tune(graph: Graph, tuning: Tuning, seed: number, context: CellContext): Promise<Tuned> {
  const { images, distillation, ...settings } = tuning
  const train = await characters('train', images, context)
  const validation = await characters('validation', sizes[context.scale].validation, context)
  const result = await fineTuneResumably(
    graph,
    {
      ...settings,
      schedule: 'one-cycle',
      ...(distillation && { distillation: { ...distillation, teacher: await denseCharNet() } }),
      batchSize,
      train,
      validation,
      seed
    },
    'tuning',
    context
  )
  return figures(result)
}

function figures(result: FineTuneResult): Tuned {
  const { graph, history, best, rollbacks } = result
  return {
    graph,
    validation: validationAccuracies(result),
    training: history.map(({ accuracy }) => percent(accuracy)),
    best: percent(best.accuracy),
    rollbacks: rollbacks.length,
    seconds: Math.round(history.reduce((sum, { seconds }) => sum + seconds, 0))
  }
}

/** `conv1 16, conv2 32`. */
export function ranksText(ranks: Ranks): string {
  return Object.entries(ranks)
    .map(([layer, rank]) => `${layer} ${rank}`)
    .join(', ')
}
