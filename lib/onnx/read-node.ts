import { PolyadicError, show } from '../errors.js'
import type { Attribute, Node } from '../graph/graph.js'
import type { AttributeCarried, NodeCarried } from './carried.js'
import { decodeAttribute } from './read-attribute.js'
import type { PendingData } from './external-data.js'
import { attributeProto, nodeProto } from './schema.js'
import type { RawField, WireReader } from './wire.js'

/** The ONNX domain under its second name. */
export const domainAlias = 'ai.onnx'

/** Decodes a NodeProto; `index` is its place in the graph, by which errors call a node without a name. */
export function decodeNode(reader: WireReader, index: number, pending: PendingData | undefined): Node {
  const f = nodeProto.fields
  const extra: RawField[] = []
  const inputs: string[] = []
  const outputs: string[] = []
  const attributes = new Map<string, Attribute>()
  const carried = new Map<string, AttributeCarried>()
  const node = { name: '', opType: '', domain: '', docString: '' }
  while (reader.next()) {
    if (reader.field === f.input) inputs.push(reader.string())
    else if (reader.field === f.output) outputs.push(reader.string())
    else if (reader.field === f.name) node.name = reader.string(extra)
    else if (reader.field === f.op_type) node.opType = reader.string()
    else if (reader.field === f.doc_string) node.docString = reader.string(extra)
    else if (reader.field === f.domain) node.domain = reader.string(extra)
    else if (reader.field === f.attribute) {
      const owner = `node ${show(node.name || index)} (${node.opType})`
      const decoded = decodeAttribute(reader.message(attributeProto), { owner, pending })
      if (attributes.has(decoded.name)) throw nodeError(`${owner} has more than one attribute ${show(decoded.name)}`, node.name)
      attributes.set(decoded.name, decoded.attribute)
      if (decoded.carried !== undefined) carried.set(decoded.name, decoded.carried)
    } else extra.push(reader.raw())
  }
  if (node.opType === '') throw nodeError(`node ${show(node.name || index)} has no operator type`, node.name)
  const alias = node.domain === domainAlias ? { domainAlias } : {}
  const kept: NodeCarried = { format: 'onnx', extra, attributes: carried, ...alias }
  return { ...node, domain: node.domain === domainAlias ? '' : node.domain, inputs, outputs, attributes, carried: kept }
}

/** Gives every node a unique name: `Conv_3` (its place) where the file has none, `relu_1` for the second `relu`. */
export function nameNodes(nodes: readonly Node[]): Node[] {
  const taken = new Set(nodes.map((node) => node.name))
  const seen = new Set<string>([''])
  const counters = new Map<string, number>()
  return nodes.map((node, index) => {
    if (!seen.has(node.name)) {
      seen.add(node.name)
      return node
    }
    const base = node.name === '' ? `${node.opType}_${index}` : node.name
    let name = base
    // Counters by base keep this linear when a file gives thousands of nodes one name.
    for (let i = counters.get(base) ?? 1; taken.has(name); i++) {
      name = `${base}_${i}`
      counters.set(base, i + 1)
    }
    taken.add(name)
    const renamed: NodeCarried = { ...(node.carried as NodeCarried), renamed: { from: node.name, to: name } }
    return { ...node, name, carried: renamed }
  })
}

function nodeError(message: string, subject: string): PolyadicError {
  return new PolyadicError('POLYADIC_FORMAT', message, { subject })
}
