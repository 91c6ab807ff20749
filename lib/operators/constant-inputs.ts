import { bodyOf, calledFunction, expansionLimits } from '../graph/body.js'
import type { Body, Graph, Node, ValueInfo } from '../graph/graph.js'
import { producers } from '../graph/values.js'
import { operators } from './registry.js'

/** Their results depend on shapes alone. */
const shapeOperators: ReadonlySet<string> = new Set(['Shape', 'Size'])

/** Bodies that are searched at most, to no greater depth than they may have; what is beyond will not run either. */
const maximumScopes = 10_000

const known = new WeakMap<Graph, ReadonlySet<string>>()

/**
 * Inputs of the graph that determine shapes or steps: the shape of a Reshape, the pads of a Pad, what those are computed from. A plan is
 * made for their contents.
 */
export function constantInputs(graph: Graph): ReadonlySet<string> {
  const result = known.get(graph) ?? new Search(graph).run()
  known.set(graph, result)
  return result
}

/** Where a name means something: a branch sees what is around it, a function its inputs. */
interface Scope {
  readonly producer: ReadonlyMap<string, Node>
  readonly outer: Scope | undefined
  readonly depth: number
  /** What the outputs of nodes with bodies are computed from. */
  readonly results: Map<Node, readonly Needed[]>
  /** A function's inputs: what the call gives. */
  readonly given?: ReadonlyMap<string, Needed>
}

interface Needed {
  readonly name: string
  readonly scope: Scope
}

/** Follows what determines shapes back to inputs of the graph. */
class Search {
  readonly #graph: Graph
  readonly #stack: Needed[] = []
  readonly #seen = new Map<Scope, Set<string>>()
  #scopes = 0

  constructor(graph: Graph) {
    this.#graph = graph
  }

  run(): ReadonlySet<string> {
    const inputs = new Set(this.#graph.inputs.filter(isSmall).map(({ name }) => name))
    const found = new Set<string>()
    if (inputs.size === 0) return found
    this.#enter(this.#graph.nodes, { outer: undefined, depth: 0 })
    for (let next = this.#stack.pop(); next !== undefined; next = this.#stack.pop()) {
      const origin = this.#follow(next)
      if (origin !== undefined && inputs.has(origin)) found.add(origin)
    }
    return found
  }

  /** Notes what the nodes of a body need to know. */
  #enter(nodes: readonly Node[], place: Pick<Scope, 'outer' | 'depth' | 'given'>): Scope {
    const scope: Scope = { ...place, producer: producers({ nodes }), results: new Map() }
    if (++this.#scopes > maximumScopes || scope.depth > expansionLimits.depth) return scope
    for (const node of nodes) {
      const called = calledFunction(this.#graph, node)
      const indices = called !== undefined || node.domain !== '' ? [] : (operators.get(node.opType)?.constants ?? [])
      for (const index of indices) this.#stack.push({ name: node.inputs[index] ?? '', scope })
      const bodies = called === undefined ? [...node.attributes.values()].flatMap((attribute) => bodyOf(attribute) ?? []) : [called]
      if (bodies.length > 0)
        scope.results.set(
          node,
          bodies.flatMap((body) => this.#inside(body, node, scope, called !== undefined))
        )
    }
    return scope
  }

  #inside(body: Body, node: Node, scope: Scope, isFunction: boolean): Needed[] {
    const given = new Map(body.inputs.map((name, i) => [name, { name: node.inputs[i] ?? '', scope }]))
    const depth = scope.depth + 1
    const inner = this.#enter(body.nodes, isFunction ? { outer: undefined, depth, given } : { outer: scope, depth })
    return body.outputs.map((name) => ({ name, scope: inner }))
  }

  /** Goes a step back from a value; the name of what no node computes. */
  #follow({ name, scope }: Needed): string | undefined {
    const seen = this.#seen.get(scope) ?? new Set()
    if (name === '' || seen.has(name)) return undefined
    this.#seen.set(scope, seen.add(name))
    const node = scope.producer.get(name)
    const given = scope.given?.get(name)
    if (node !== undefined) {
      if (shapeOperators.has(node.opType)) return undefined
      this.#stack.push(...node.inputs.map((input) => ({ name: input, scope })), ...(scope.results.get(node) ?? []))
    } else if (given !== undefined) this.#stack.push(given)
    else if (scope.outer !== undefined) this.#stack.push({ name, scope: scope.outer })
    else return name
    return undefined
  }
}

/** No image: shapes, axes and scales are integers or vectors. */
function isSmall({ dtype, dims }: ValueInfo): boolean {
  return !dtype.includes('float') || (dims !== undefined && dims.length <= 1)
}
