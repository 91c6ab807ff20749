import { PolyadicError, show } from '../errors.js'
import { sortNodes } from './check.js'
import type { Attribute, Body, Graph, GraphFunction, Node } from './graph.js'
import { makeNode } from './rewrite.js'
import { capturesOf, producedValues } from './values.js'

/** What takes the place of a node: its nodes, in topological order, give the node's outputs. */
export interface Expansion {
  readonly nodes: readonly Node[]
  readonly initializers: Body['initializers']
}

/** Files are not trusted: functions that call each other could otherwise be any number of nodes. */
export const expansionLimits = { depth: 64, nodes: 30_000 } as const

/** By what `Graph.functions` knows a function. */
export function functionKey({ domain, opType }: Pick<Node, 'domain' | 'opType'>): string {
  return `${domain}:${opType}`
}

/** The function that `node` is a call of. */
export function calledFunction(graph: Pick<Graph, 'functions'>, node: Node): GraphFunction | undefined {
  return graph.functions?.get(functionKey(node))
}

/** What the sub-graph that an attribute holds does. */
export function bodyOf(attribute: Attribute | undefined): Body | undefined {
  return attribute?.kind === 'opaque' ? attribute.body : undefined
}

/**
 * The nodes of `body` in the place of `node`: its inputs are the node's, its own values and nodes are named after the node. `attributes`:
 * what the body's nodes refer to. Throws `POLYADIC_GRAPH` when the two do not fit each other.
 */
export function expandNode(node: Node, body: Body, attributes?: GraphFunction['attributes']): Expansion {
  const fail = (what: string): PolyadicError =>
    new PolyadicError('POLYADIC_GRAPH', `node ${show(node.name)} (${node.opType}): ${what}`, { subject: node.name })
  if (node.inputs.length > body.inputs.length && attributes !== undefined)
    throw fail(`${node.inputs.length} inputs for a function of ${body.inputs.length}`)
  if (node.outputs.length > body.outputs.length) throw fail(`${node.outputs.length} outputs of a body that has ${body.outputs.length}`)
  const names = new Map(body.inputs.map((name, i) => [name, node.inputs[i] ?? '']))
  for (const name of [...body.initializers.keys(), ...body.nodes.flatMap(producedValues)]) {
    if (names.has(name)) throw fail(`value ${show(name)} is defined more than once in its body`)
    names.set(name, `${node.name}/${name}`)
  }
  const substitution: Substitution = {
    value(name) {
      const known = names.get(name)
      // A function sees nothing but its inputs.
      if (known === undefined && name !== '' && attributes !== undefined) throw fail(`value ${show(name)} does not exist in the function`)
      return known ?? name
    },
    node: (name) => `${node.name}/${name}`,
    attribute: (name) => (attributes === undefined ? undefined : (node.attributes.get(name) ?? attributes.get(name)))
  }
  const outputs = node.outputs.flatMap((output, i) => {
    const own = substitution.value(body.outputs[i] as string)
    return output === '' || own === ''
      ? []
      : makeNode({ opType: 'Identity', name: `${node.name}/output ${i}`, inputs: [own], outputs: [output] })
  })
  return {
    nodes: [...sortNodes(body).map((own) => substituted(own, substitution)), ...outputs],
    initializers: new Map([...body.initializers].map(([name, tensor]) => [substitution.value(name), tensor]))
  }
}

interface Substitution {
  readonly value: (name: string) => string
  readonly node: (name: string) => string
  readonly attribute: (name: string) => Attribute | undefined
}

function substituted(node: Node, to: Substitution): Node {
  const attributes = [...node.attributes].flatMap(([name, attribute]): [string, Attribute][] => {
    const own = substitutedAttribute(attribute, to)
    return own === undefined ? [] : [[name, own]]
  })
  const { inputs, outputs } = node
  return {
    ...node,
    name: to.node(node.name),
    inputs: inputs.map(to.value),
    outputs: outputs.map(to.value),
    attributes: new Map(attributes)
  }
}

/** Bodies are the only place that names occur in; the bytes that a file has of them are those of other names, and go. */
function substitutedAttribute(attribute: Attribute, to: Substitution): Attribute | undefined {
  if (attribute.kind !== 'opaque') return attribute
  if (attribute.reference !== undefined) return to.attribute(attribute.reference)
  const { body } = attribute
  if (body === undefined) return attribute
  // Names that the body itself defines are renamed when it is expanded.
  const own = new Set([...body.inputs, ...body.initializers.keys(), ...body.nodes.flatMap(producedValues)])
  const inner: Substitution = { ...to, value: (name) => (own.has(name) ? name : to.value(name)), node: (name) => name }
  return {
    kind: 'opaque',
    value: { captures: capturesOf(attribute.value).map(to.value) },
    body: { ...body, outputs: body.outputs.map(inner.value), nodes: body.nodes.map((node) => substituted(node, inner)) }
  }
}
