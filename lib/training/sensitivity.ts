import type { Graph } from '../graph/graph.js'
import type { NativeSensitivity } from '../native/binding.js'
import { type FloatTensor, floatTensor } from '../tensor.js'
import { type FactorChain, factorChains } from './factor-chains.js'
import { parameterOf, type ParameterSources } from './parameters.js'

/** Penalties of all chains whose factors the plan has as parameters, each times `weight`. */
export function sensitivities(graph: Graph, parameters: ParameterSources, weight: number): NativeSensitivity[] {
  if (weight === 0) return []
  return factorChains(graph).flatMap(({ rank, groups, factors }) => {
    const found = factors.map(({ weight: name, component, extent }) => ({ parameter: parameterOf(parameters, name), component, extent }))
    return found.some(({ parameter }) => parameter < 0) ? [] : [{ weight, components: rank * groups, factors: found }]
  })
}

/** The CP sensitivity of all chains together: Σ over components and factors of a factor's rows times the squared norms of the others. */
export function sensitivityOf(graph: Graph): number {
  let sum = 0
  for (const { rank, groups, factors } of factorChains(graph)) {
    const squares = squaredNorms(graph, rank * groups, factors)
    factors.forEach(({ extent }, n) => {
      for (let r = 0; r < rank * groups; r++)
        sum += extent * squares.reduce((product, square, other) => (other === n ? product : product * (square[r] as number)), 1)
    })
  }
  return sum
}

/** ‖f_r‖² of each factor's components. */
function squaredNorms(graph: Graph, components: number, factors: FactorChain['factors']): Float64Array[] {
  return factors.map(({ weight, component }) => {
    const { data } = graph.initializers.get(weight) as FloatTensor
    const squares = new Float64Array(components)
    component.forEach((r, i) => {
      squares[r] = (squares[r] as number) + (data[i] as number) ** 2
    })
    return squares
  })
}

/**
 * The graph with the weight of each component spread evenly over its chain: the network computes the same, and no layer of a chain is much
 * stiffer than the others.
 */
export function balanceFactors(graph: Graph): Graph {
  const initializers = new Map(graph.initializers)
  for (const { rank, groups, factors } of factorChains(graph)) {
    const tensors = factors.map(({ weight }) => graph.initializers.get(weight) as FloatTensor)
    const norms = squaredNorms(graph, rank * groups, factors).map((squares) => squares.map(Math.sqrt))
    const mean = Float64Array.from({ length: rank * groups }, (_, r) =>
      norms.some((norm) => norm[r] === 0) ? 0 : Math.exp(norms.reduce((sum, norm) => sum + Math.log(norm[r] as number), 0) / norms.length)
    )
    factors.forEach(({ weight, component }, n) => {
      const { data, dims } = tensors[n] as FloatTensor
      // A component with a factor of zeros stays as it is: it contributes nothing, but gradients may revive it.
      const scale = mean.map((value, r) => (value === 0 ? 1 : value / (norms[n]?.[r] as number)))
      initializers.set(
        weight,
        floatTensor(
          data.map((value, i) => value * (scale[component[i] as number] as number)),
          dims
        )
      )
    })
  }
  return { ...graph, initializers }
}
