import { PolyadicError } from '../errors.js'
import { bodyOf, calledFunction, expandNode, expansionLimits } from './body.js'
import { checkGraph } from './check.js'
import type { Graph, GraphFunction, Node } from './graph.js'

/**
 * `graph` with the nodes of functions in the place of calls, where a function, or one that it calls, has a node that `isWanted`: those can
 * then be replaced. A call stays where that cannot be written: a function of another opset, with sub-graphs, or that calls itself. What
 * does not fit at all stays as it is: whoever runs the network will say what is wrong with it.
 */
export function inlineCalls(graph: Graph, isWanted: (node: Node) => boolean): Graph {
  if (graph.functions === undefined) return graph
  try {
    return inlined(graph, isWanted)
  } catch (error) {
    if (error instanceof PolyadicError) return graph
    throw error
  }
}

function inlined(graph: Graph, isWanted: (node: Node) => boolean): Graph {
  const chosen = chooseFunctions(graph, isWanted)
  const nodes: Node[] = []
  let isSame = true
  const opsets = new Map(graph.opsets)
  const stack = [...graph.nodes].reverse()
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const called = calledFunction(graph, node)
    if (called === undefined || !chosen.has(called) || nodes.length + stack.length > expansionLimits.nodes) nodes.push(node)
    else {
      isSame = false
      for (const [domain, version] of called.opsets) opsets.set(domain, version)
      stack.push(...[...expandNode(node, called, called.attributes).nodes].reverse())
    }
  }
  return isSame ? graph : checkGraph({ ...graph, nodes, opsets })
}

/** `wanted`: has such a node, or calls a function that has; `plain`: has none; `kept`: cannot be inlined. */
type Verdict = 'wanted' | 'plain' | 'kept'

/** The functions that are wanted and can be inlined, with all that they call. */
function chooseFunctions(graph: Graph, isWanted: (node: Node) => boolean): ReadonlySet<GraphFunction> {
  // While a function is judged it is `kept`: that is what one that calls itself finds.
  const known = new Map<GraphFunction, Verdict>()
  const judge = (called: GraphFunction, depth: number): Verdict => {
    const before = depth > expansionLimits.depth ? 'kept' : known.get(called)
    if (before !== undefined) return before
    known.set(called, 'kept')
    const inner = called.nodes.flatMap((node) => calledFunction(graph, node) ?? []).map((other) => judge(other, depth + 1))
    const fits =
      !inner.includes('kept') &&
      [...called.opsets].every(([domain, version]) => (graph.opsets.get(domain) ?? version) === version) &&
      called.nodes.every((node) => [...node.attributes.values()].every((attribute) => bodyOf(attribute) === undefined))
    const verdict = !fits ? 'kept' : called.nodes.some(isWanted) || inner.includes('wanted') ? 'wanted' : 'plain'
    known.set(called, verdict)
    return verdict
  }
  return new Set([...(graph.functions?.values() ?? [])].filter((called) => judge(called, 0) === 'wanted'))
}
