import { attributeProto, graphProto, nodeProto, sparseTensorProto, tensorProto, valueInfoProto } from './schema.js'
import { wireType } from './wire.js'
import type { WireReader } from './wire.js'

/**
 * Adds to `captures` the names that a sub-graph takes from the graphs around it: those it uses and does not define.
 * Sub-graphs are otherwise not interpreted, but what they use must not be removed.
 */
export function collectCaptures(reader: WireReader, captures: Set<string>): void {
  const f = graphProto.fields
  const used = new Set<string>()
  const defined = new Set<string>()
  while (reader.next()) {
    if (reader.wire !== wireType.bytes) reader.skip()
    else if (reader.field === f.node) scanNode(reader.message(nodeProto), used, defined)
    else if (reader.field === f.initializer) defined.add(nameIn(reader.message(tensorProto), tensorProto.fields.name))
    else if (reader.field === f.sparse_initializer) defined.add(sparseName(reader.message(sparseTensorProto)))
    else if (reader.field === f.input) defined.add(nameIn(reader.message(valueInfoProto), valueInfoProto.fields.name))
    else if (reader.field === f.output) used.add(nameIn(reader.message(valueInfoProto), valueInfoProto.fields.name))
    else reader.skip()
  }
  for (const name of used) if (name !== '' && !defined.has(name)) captures.add(name)
}

/** The name of a sparse tensor: that of its values. */
export function sparseName(reader: WireReader): string {
  let name = ''
  while (reader.next()) {
    if (reader.field === sparseTensorProto.fields.values) name = nameIn(reader.message(tensorProto), tensorProto.fields.name)
    else reader.skip()
  }
  return name
}

function scanNode(reader: WireReader, used: Set<string>, defined: Set<string>): void {
  const f = nodeProto.fields
  while (reader.next()) {
    if (reader.field === f.input) used.add(reader.string())
    else if (reader.field === f.output) defined.add(reader.string())
    else if (reader.field === f.attribute) scanAttribute(reader.message(attributeProto), used)
    else reader.skip()
  }
}

function scanAttribute(reader: WireReader, used: Set<string>): void {
  const f = attributeProto.fields
  while (reader.next()) {
    if (reader.field === f.g || reader.field === f.graphs) collectCaptures(reader.message(graphProto), used)
    else reader.skip()
  }
}

function nameIn(reader: WireReader, field: number): string {
  let name = ''
  while (reader.next()) {
    if (reader.field === field) name = reader.string()
    else reader.skip()
  }
  return name
}
