import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { native } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import type { FloatTensor } from '../tensor.js'
import { type FactorChain, factorChains } from './factor-chains.js'

/** How stiff the factors of one decomposed convolution are. */
export interface LayerStiffness {
  /** The convolutions that hold them. */
  readonly nodes: readonly string[]
  /**
   * λ: a small gradient step on the factors moves the kernel that they stand for up to so many times as far as the same step on the kernel itself would.
   * The largest eigenvalue of JᵀJ, J the derivative of the kernel by all factors; of the stiffest group of the convolution.
   */
  readonly stiffness: number
}

// The smallest normal float32: less would be 0, which freezes.
const leastRate = 2 ** -126

interface ChainStiffness extends LayerStiffness {
  /** Initializers. */
  readonly weights: readonly string[]
}

/**
 * The stiffness of every decomposed convolution: none where there is no chain of factors. Throws POLYADIC_NUMERIC for factors that are not finite or so
 * large that it overflows; rejects with `signal.reason` when aborted.
 */
export async function stiffnessOf(graph: Graph, threads: number, signal?: AbortSignal): Promise<ChainStiffness[]> {
  const result: ChainStiffness[] = []
  for (const chain of factorChains(graph, 2)) {
    const { nodes, rank, groups, factors } = chain
    const dims = factors.map(({ extent }) => extent)
    let stiffness = 0
    for (let group = 0; group < groups; group++) {
      const spec = { dims, rank, factors: factorsOf(graph, chain, group), threads }
      stiffness = Math.max(stiffness, await runJob(() => native().stiffness(spec), signal))
    }
    if (!Number.isFinite(stiffness)) {
      const message = `layer ${show(nodes[0])}: its factors are not finite, or so large that no learning rate fits them`
      throw new PolyadicError('POLYADIC_NUMERIC', message, { subject: nodes[0] ?? '' })
    }
    result.push({ nodes, stiffness, weights: factors.map(({ weight }) => weight) })
  }
  return result
}

/**
 * The factor on the learning rate of each chain's weights, by initializer: 1/λ, where λ is above 1. As long as the factors are about what they are
 * now, no gradient step then moves a kernel further than the layer's own weights would have moved.
 */
export function stiffnessRates(layers: readonly ChainStiffness[]): ReadonlyMap<string, number> {
  return new Map(
    layers.flatMap(({ weights, stiffness }) => weights.map((name) => [name, Math.max(1 / Math.max(1, stiffness), leastRate)] as const))
  )
}

/** I_n×R row-major, one a mode. */
function factorsOf(graph: Graph, { rank, factors }: FactorChain, group: number): Float64Array[] {
  return factors.map(({ weight, component, extent }) => {
    const { data } = graph.initializers.get(weight) as FloatTensor
    const matrix = new Float64Array(extent * rank)
    const rows = new Int32Array(rank) // of each column, filled so far: a component's weights lie in the order of their rows
    component.forEach((of, i) => {
      const r = of - group * rank
      if (r < 0 || r >= rank) return
      const row = rows[r] as number
      matrix[row * rank + r] = data[i] as number
      rows[r] = row + 1
    })
    return matrix
  })
}
