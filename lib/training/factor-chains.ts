import type { Graph, Node } from '../graph/graph.js'
import { consumers, intAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'

/** The convolutions that took a layer's place: a chain whose weights are the factors of its kernel, group by group. */
export interface FactorChain {
  /** In their order. */
  readonly nodes: readonly string[]
  readonly rank: number
  readonly groups: number
  readonly factors: readonly {
    readonly weight: string
    /** Component (group·rank + r) of each weight in its order. */
    readonly component: Int32Array
    /** Rows of the factor matrix of one group. */
    readonly extent: number
  }[]
}

/** A convolution whose weights no other node uses. */
interface Stage {
  readonly node: Node
  readonly weight: string
  /** Outputs, inputs a group, kernel. */
  readonly dims: readonly number[]
  readonly groups: number
}

/**
 * Finds what `factorsToConvs` makes: chains reduce 1×1 → one convolution of each component along one or more axes … → expand 1×1 (without the
 * reduce, for one channel a group) in which nothing lies between the convolutions, none but the last has a bias, no two go along one axis, and each
 * weight is used once. A weight is in one chain at most. `shortest` 2: also reduce → expand, which a matrix becomes, where no longer chain has
 * either; networks that were never decomposed may have those, too.
 */
export function factorChains(graph: Graph, shortest: 2 | 3 = 3): FactorChain[] {
  const found = new Map<Node, FactorChain>()
  const taken = new Set<Stage>()
  const runs = runsOfStages(graph)
  // Longer ones first: a convolution before a chain makes a pair with its reduce.
  for (let least = 3; least >= shortest; least--) {
    for (const run of runs) {
      for (let at = 0; at < run.length; at++) {
        const stages = candidate(run, at, taken)
        const chain = stages.length < least ? undefined : chainOf(stages)
        if (chain === undefined) continue
        found.set((run[at] as Stage).node, chain)
        for (const stage of stages) taken.add(stage)
        at += stages.length - 1
      }
    }
  }
  return graph.nodes.flatMap((node) => found.get(node) ?? [])
}

/** Convolutions one behind the other, each but the last without a bias and the only reader's input. */
function runsOfStages(graph: Graph): Stage[][] {
  const users = consumers(graph)
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const stages = new Map(
    graph.nodes.flatMap((node): [Node, Stage][] => {
      const weight = node.inputs[1] ?? ''
      const tensor = graph.initializers.get(weight)
      if (node.opType !== 'Conv' || tensor?.dtype !== 'float32' || users.get(weight)?.length !== 1) return []
      return [[node, { node, weight, dims: tensor.dims, groups: intAttribute(node, 'group', 1) }]]
    })
  )
  const next = ({ node }: Stage): Stage | undefined => {
    const [value = ''] = node.outputs
    const readers = users.get(value) ?? []
    const [reader] = readers
    if (node.inputs[2] || reader === undefined || readers.length > 1 || outputs.has(value) || reader.inputs[0] !== value) return undefined
    return stages.get(reader)
  }
  const followers = new Set([...stages.values()].map(next))
  return [...stages.values()]
    .filter((stage) => !followers.has(stage))
    .map((first) => {
      const run: Stage[] = []
      for (let at: Stage | undefined = first; at !== undefined; at = next(at)) run.push(at)
      return run
    })
}

/** From `at` on: a first stage, all that treat its channels one by one, and the one after them. */
function candidate(run: readonly Stage[], at: number, taken: ReadonlySet<Stage>): Stage[] {
  const first = run[at] as Stage
  if (taken.has(first)) return []
  const stages = [first]
  for (const stage of run.slice(at + 1)) {
    if (taken.has(stage)) break
    stages.push(stage)
    if (!isDepthwise(stage, first.dims[0] as number)) break
  }
  return stages
}

function isDepthwise({ dims, groups }: Stage, channels: number): boolean {
  return dims[0] === channels && dims[1] === 1 && groups === channels
}

function chainOf(stages: readonly Stage[]): FactorChain | undefined {
  const [first, last] = [stages[0] as Stage, stages.at(-1) as Stage]
  const { groups } = last
  const [from, to] = [first.dims, last.dims]
  const rank = to[1] as number
  const channels = rank * groups
  const isFlat = ({ dims }: Stage): boolean => elementCount(dims.slice(2)) === 1
  if (!isFlat(last) || !(from[1] === 1 || isFlat(first)) || from[0] !== channels || first.groups !== groups) return undefined
  if (!stages.slice(1, -1).every((stage) => isDepthwise(stage, channels)) || !areDisjoint(stages)) return undefined
  const outputs = (to[0] as number) / groups
  const factors = stages.map(({ weight, dims }, n) => {
    const row = elementCount(dims.slice(1))
    const component = Int32Array.from({ length: elementCount(dims) }, (_, i) =>
      n < stages.length - 1 ? Math.floor(i / row) : Math.floor(i / row / outputs) * rank + (i % rank)
    )
    return { weight, component, extent: n < stages.length - 1 ? row : outputs }
  })
  return { nodes: stages.map(({ node }) => node.name), rank, groups, factors }
}

/** Two filters along one axis make a longer filter, not a product of factors. */
function areDisjoint(stages: readonly Stage[]): boolean {
  const axes = stages.flatMap(({ dims }) => dims.slice(2).flatMap((extent, axis) => (extent > 1 ? [axis] : [])))
  return new Set(axes).size === axes.length
}
