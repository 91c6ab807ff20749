// Networks of ours that are trained on the characters at another size, and then decomposed.

import { existsSync } from 'node:fs'
import { cost, evaluate, type FineTuneOptions, floatTensor, type Graph, readOnnx, writeOnnx } from '../../lib/index.js'
import type { CellContext } from '../framework/experiment.js'
import { characters, sizes } from './charnet.js'
import { resized } from './resize.js'
import { fineTuneResumably, percent, validationAccuracies } from './tuning.js'

/** What a training may cost. */
export interface Budget {
  /** Training images, the first of the list. */
  readonly images: number
  readonly epochs: number
  readonly learningRate: number
}

/** Accuracies in percent. */
export interface Accuracy {
  readonly macs: number
  readonly parameters: number
  /** On the test set, before and after training. */
  readonly before: number
  readonly after: number
  /** Before the first epoch and after each. */
  readonly validation: readonly number[]
  /** Times that training went back to earlier weights. */
  readonly rollbacks: number
}

export interface TrainedNetwork {
  readonly graph: Graph
  readonly result: Accuracy
}

/** A network over N×1×side×side, which its name stands for with the seed of its weights and batches. */
export interface OwnNetwork {
  readonly name: string
  readonly seed: number
  readonly side: number
  readonly create: (seed: number) => Graph
  readonly training: Partial<FineTuneOptions>
}

/** Trains the dense network and keeps it for the cells that follow. */
export async function trainDense(network: OwnNetwork, budget: Budget, context: CellContext): Promise<TrainedNetwork> {
  const trained = await train(network.create(network.seed), network.side, budget, { ...network.training, seed: network.seed }, context)
  await writeOnnx(trained.graph, denseFile(network, budget, context))
  return trained
}

/** The trained dense network; it is trained first where it is not at hand, to the same bits. */
export async function denseOf(network: OwnNetwork, budget: Budget, context: CellContext): Promise<Graph> {
  const file = denseFile(network, budget, context)
  if (existsSync(file)) return readOnnx(file)
  const own = { ...context, scratch: (name: string) => context.shared(`${network.name}-${network.seed}.${name}`) }
  return (await trainDense(network, budget, own)).graph
}

function denseFile({ name, seed }: OwnNetwork, budget: Budget, { shared }: CellContext): string {
  return shared(`${name}-${seed}-${Object.values(budget).join('-')}.onnx`)
}

/** Trains or tunes; an interrupted run goes on from its checkpoint. */
export async function train(
  graph: Graph,
  side: number,
  { images, ...settings }: Budget,
  options: Partial<FineTuneOptions>,
  context: CellContext
): Promise<TrainedNetwork> {
  const set = async (split: 'train' | 'validation' | 'test', count: number) => resized(await characters(split, count, context), side)
  const [train, validation] = [await set('train', images), await set('validation', sizes[context.scale].validation)]
  const test = await set('test', sizes[context.scale].test)
  const before = percent((await evaluate(graph, test)).accuracy)
  const tuned = await fineTuneResumably(graph, { ...settings, ...options, train, validation }, 'training', context)
  const { macs, parameters } = cost(tuned.graph, { image: [1, 1, side, side] })
  const after = percent((await evaluate(tuned.graph, test)).accuracy)
  return {
    graph: tuned.graph,
    result: { macs, parameters, before, after, validation: validationAccuracies(tuned), rollbacks: tuned.rollbacks.length }
  }
}

/** Unlabelled inputs for data-aware decomposition. */
export async function calibrationAt(side: number, context: CellContext) {
  const { calibration: count } = sizes[context.scale]
  const { images } = resized(await characters('train', count, context), side)
  return { inputs: { image: floatTensor(images, [count, 1, side, side]) } }
}
