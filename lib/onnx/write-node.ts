import { PolyadicError, show } from '../errors.js'
import type { Attribute, Node } from '../graph/graph.js'
import { carriedAs } from './carried.js'
import type { AttributeCarried } from './carried.js'
import { attributeFields, attributeProto, attributeTypes, nodeProto } from './schema.js'
import { MessageWriter } from './wire-writer.js'
import { encodeTensor } from './write-tensor.js'

/** Encodes a NodeProto; a name that the reader invented and nobody has changed is left out again. */
export function encodeNode(node: Node): MessageWriter {
  const f = nodeProto.fields
  const carried = carriedAs('node', node.carried)
  const writer = new MessageWriter(carried?.extra)
  for (const input of node.inputs) writer.string(f.input, input)
  for (const output of node.outputs) writer.string(f.output, output)
  writer.optionalString(f.name, carried?.renamed?.to === node.name ? carried.renamed.from : node.name)
  writer.string(f.op_type, node.opType)
  for (const [name, attribute] of node.attributes) {
    writer.message(f.attribute, encodeAttribute(node, name, attribute, carried?.attributes.get(name)))
  }
  writer.optionalString(f.doc_string, node.docString)
  writer.optionalString(f.domain, node.domain === '' ? (carried?.domainAlias ?? '') : node.domain)
  return writer
}

function encodeAttribute(node: Node, name: string, attribute: Attribute, kept: AttributeCarried | undefined): MessageWriter {
  const label = `node ${show(node.name)} (${node.opType}), attribute ${show(name)}`
  if (attribute.kind === 'opaque') {
    const { fields, external } = carriedAs('attribute', attribute.value) ?? {}
    if (external === true) {
      const what = 'is a sub-graph with data in other files, which cannot be written again'
      throw new PolyadicError('POLYADIC_UNSUPPORTED', `${label}: ${what}`, { subject: node.name })
    }
    if (fields === undefined) throw attributeError(label, 'is opaque and did not come from an ONNX file', node.name)
    const writer = new MessageWriter(fields)
    writer.string(attributeProto.fields.name, name)
    return writer
  }
  // What was kept of an attribute that now is of another kind no longer applies.
  const carried = kept?.kind === attribute.kind ? kept : undefined
  const writer = new MessageWriter(carried?.extra)
  writer.string(attributeProto.fields.name, name)
  writeValue(writer, attribute, carried, label, node.name)
  if (carried?.untyped !== true) writer.integer(attributeProto.fields.type, attributeTypes[attribute.kind])
  return writer
}

type ValueAttribute = Exclude<Attribute, { kind: 'opaque' }>

function writeValue(
  writer: MessageWriter,
  attribute: ValueAttribute,
  carried: AttributeCarried | undefined,
  label: string,
  subject: string
): void {
  const field = attributeFields[attribute.kind]
  const packed = carried?.packed ?? false
  const integer = (value: number, i: number): number | bigint => exactInteger(value, carried?.exact?.[i], label, subject)
  switch (attribute.kind) {
    case 'int':
      if (attribute.value !== 0 || carried?.omitted !== true) writer.integer(field, integer(attribute.value, 0))
      return
    case 'float':
      if (!Object.is(attribute.value, 0) || carried?.omitted !== true) writer.float32(field, attribute.value)
      return
    case 'string':
      if (attribute.value !== '' || carried?.omitted !== true) writer.string(field, attribute.value)
      return
    case 'ints':
      return writer.integers(field, attribute.value.map(integer), packed)
    case 'floats':
      return writer.floats(field, attribute.value, packed)
    case 'strings':
      for (const text of attribute.value) writer.string(field, text)
      return
    case 'tensor':
      writer.message(field, encodeTensor(carried?.tensor?.name ?? '', attribute.value, carried?.tensor, label))
  }
}

/**
 * The int64 for `value`. Integers that a number cannot hold exactly are those of the file as long as nobody has changed them;
 * others are cut off at the limits, as `Infinity`-like ends of slices want it.
 */
function exactInteger(value: number, exact: bigint | undefined, label: string, subject: string): number | bigint {
  if (Number.isSafeInteger(value)) return value
  if (exact !== undefined && Number(exact) === value) return exact
  if (Number.isNaN(value) || Math.abs(value) < 2 ** 53) throw attributeError(label, `${show(value)} is not an integer`, subject)
  if (value >= 2 ** 63) return 2n ** 63n - 1n
  return value <= -(2 ** 63) ? -(2n ** 63n) : BigInt(value)
}

function attributeError(label: string, what: string, subject: string): PolyadicError {
  return new PolyadicError('POLYADIC_GRAPH', `${label}: ${what}`, { subject })
}
