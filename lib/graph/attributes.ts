import { PolyadicError, show } from '../errors.js'
import type { Tensor } from '../tensor.js'
import type { Attribute, Node } from './graph.js'

type Kind = Exclude<Attribute['kind'], 'opaque'>
type ValueOf<K extends Kind> = Extract<Attribute, { kind: K }>['value']

/** An integer attribute, or `fallback` where the node does not have it (required when there is no fallback). */
export function intAttribute(node: Node, name: string, fallback?: number): number {
  return read(node, name, 'int', fallback)
}

/** A float attribute; an integer will do, since some exporters write `alpha: 1`. */
export function floatAttribute(node: Node, name: string, fallback?: number): number {
  const attribute = node.attributes.get(name)
  return attribute?.kind === 'int' ? attribute.value : read(node, name, 'float', fallback)
}

export function stringAttribute(node: Node, name: string, fallback?: string): string {
  return read(node, name, 'string', fallback)
}

export function intsAttribute(node: Node, name: string, fallback?: readonly number[]): readonly number[] {
  return read(node, name, 'ints', fallback)
}

export function floatsAttribute(node: Node, name: string, fallback?: readonly number[]): readonly number[] {
  return read(node, name, 'floats', fallback)
}

export function stringsAttribute(node: Node, name: string, fallback?: readonly string[]): readonly string[] {
  return read(node, name, 'strings', fallback)
}

export function tensorAttribute(node: Node, name: string, fallback?: Tensor): Tensor {
  return read(node, name, 'tensor', fallback)
}

/** Throws `POLYADIC_GRAPH`, naming node and attribute, when it is of another kind or missing without a fallback. */
function read<K extends Kind>(node: Node, name: string, kind: K, fallback: ValueOf<K> | undefined): ValueOf<K> {
  const attribute = node.attributes.get(name)
  if (attribute?.kind === kind) return attribute.value as ValueOf<K>
  if (attribute === undefined && fallback !== undefined) return fallback
  const found = attribute === undefined ? 'none' : attribute.kind
  const message = `node ${show(node.name)} (${node.opType}): attribute ${show(name)}: expected ${kind}, got ${found}`
  throw new PolyadicError('POLYADIC_GRAPH', message, { subject: node.name })
}
