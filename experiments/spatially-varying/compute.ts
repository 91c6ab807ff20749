import { cost, cpd, evaluate, type Graph } from '../../lib/index.js'
import { characters, sizes } from '../common/charnet.js'
import { type Accuracy, type Budget, denseOf, type OwnNetwork, train, trainDense } from '../common/from-scratch.js'
import type { CellContext } from '../framework/experiment.js'
import { patch } from '../../examples/charnet/architecture.js'
import { fixed, kernelDims, namedFactors } from './layer.js'
import { deployed, factored, kernelIn, type Kind, layerParameters, shape, untrained, untrainedAlike } from './network.js'

export type LocalConfig =
  /** Trained from scratch; `alike`: the kernels of a locally connected layer are the same at first. */
  | { readonly kind: Kind; readonly alike?: true; readonly rank?: number; readonly seed: number; readonly budget: Budget }
  /** Decomposed from the trained locally connected one, then tuned. */
  | {
      readonly kind: 'decomposed'
      readonly alike?: true
      readonly rank: number
      readonly seed: number
      readonly budget: Budget
      readonly local: Budget
    }

export interface LocalResult extends Accuracy {
  /** Weights of the layer itself. */
  readonly layer: number
  /** Relative, of all its kernels. */
  readonly error?: number
}

const training = { clipNorm: 10, warmUp: 0.1 }

function networkOf({ alike, seed }: Pick<LocalConfig, 'alike' | 'seed'>): OwnNetwork {
  return {
    name: alike ? 'alike' : 'local',
    seed,
    side: patch,
    create: () => (alike ? untrainedAlike(seed) : untrained('local', seed)),
    training: { ...training, frozen: [fixed] }
  }
}

export async function run(config: LocalConfig, context: CellContext): Promise<LocalResult> {
  const { kind, seed, budget } = config
  if (kind === 'decomposed') return decomposed(config, context)
  if (kind === 'local') {
    const { graph, result } = await trainDense(networkOf(config), budget, context)
    return judged(kind, graph, result, context)
  }
  const options = { ...training, seed, ...(kind !== 'shared' && { frozen: [fixed] }) }
  const { graph, result } = await train(untrained(kind, seed, config.rank), patch, budget, options, context)
  return judged(kind, graph, result, context, config.rank)
}

async function decomposed(config: LocalConfig & { kind: 'decomposed' }, context: CellContext): Promise<LocalResult> {
  const { rank, seed, budget, local } = config
  const whole = await denseOf(networkOf(config), local, context)
  const { factors, relativeError } = await cpd(kernelIn(whole), {
    rank,
    seed,
    ...(context.scale === 'quick' && { maxIterations: 5 }),
    signal: context.signal,
    onProgress: ({ iteration }) => context.progress.update('decomposing', iteration, 200)
  })
  const start = factored(whole, namedFactors(factors))
  const options = { weightDecay: 1e-4, schedule: 'one-cycle', seed, frozen: [fixed] } as const
  const { graph, result } = await train(start, patch, budget, options, context)
  return { ...(await judged('factored', graph, result, context, rank)), error: relativeError }
}

/** What is handed on is what counts: its size, and that it says the same. */
async function judged(kind: Kind, graph: Graph, result: Accuracy, context: CellContext, rank?: number): Promise<LocalResult> {
  const final = deployed(kind, graph)
  const { accuracy } = await evaluate(final, await characters('test', sizes[context.scale].test, context))
  if (Math.abs(100 * accuracy - result.after) > 0.05)
    throw new Error(`${kind}: ${result.after} % correct as it was trained, ${100 * accuracy} % as it is handed on`)
  const { macs, parameters } = cost(final, { image: [1, 1, patch, patch] })
  return { ...result, macs, parameters, layer: layerParameters(kind, rank) }
}

/** For the report. */
export const wholeDims = kernelDims(shape)
