import { PolyadicError, show } from '../errors.js'
import type { Attribute, Body } from '../graph/graph.js'
import type { Tensor } from '../tensor.js'
import type { AttributeCarried, OpaqueAttribute } from './carried.js'
import { collectCaptures } from './captures.js'
import { readBody } from './read-body.js'
import { decodeSparse, sparseFactor } from './read-sparse.js'
import { decodeTensor } from './read-tensor.js'
import type { DecodedTensor, TensorContext } from './read-tensor.js'
import { attributeFields, attributeProto, attributeTypes, graphProto, sparseTensorProto, tensorProto } from './schema.js'
import type { AttributeKind } from './schema.js'
import { decodeUtf8, wireType } from './wire.js'
import type { RawField, WireReader } from './wire.js'

const f = attributeProto.fields

export interface DecodedAttribute {
  readonly name: string
  readonly attribute: Attribute
  /** undefined for opaque attributes, which carry all of themselves. */
  readonly carried: AttributeCarried | undefined
}

interface Header {
  name: string
  type: number
  reference: string
  readonly present: Set<number>
}

/**
 * Decodes an AttributeProto. Which field holds the value is known only when the type is, and that comes last in the file:
 * hence two passes. What Attribute cannot express becomes `opaque`.
 */
export function decodeAttribute(reader: WireReader, context: TensorContext): DecodedAttribute {
  const again = reader.fork()
  const opaqueAgain = reader.fork()
  const header = readHeader(reader)
  if (header.name === '') {
    throw new PolyadicError('POLYADIC_FORMAT', `${context.owner}: an attribute has no name`, { subject: context.owner })
  }
  const kind = kindOf(header)
  const owner = `${context.owner}, attribute ${show(header.name)}`
  const value = kind === undefined ? undefined : readValue(again, kind, header, { ...context, owner })
  return value ?? { name: header.name, attribute: readOpaque(opaqueAgain, header, context), carried: undefined }
}

function readHeader(reader: WireReader): Header {
  const header: Header = { name: '', type: 0, reference: '', present: new Set() }
  while (reader.next()) {
    header.present.add(reader.field)
    if (reader.field === f.name) header.name = reader.string()
    else if (reader.field === f.type) header.type = reader.integer()
    else if (reader.field === f.ref_attr_name) header.reference = reader.string() || header.reference
    else reader.skip()
  }
  return header
}

/** The kind by the type given, or by the only value field there is (the type is missing in IR version 1). */
function kindOf({ type, reference, present }: Header): AttributeKind | undefined {
  if (reference !== '') return undefined
  const kinds = Object.keys(attributeTypes) as AttributeKind[]
  if (type !== 0) return kinds.find((kind) => attributeTypes[kind] === type)
  const others = [f.g, f.tensors, f.graphs, f.tp, f.type_protos, f.sparse_tensor, f.sparse_tensors]
  if (others.some((field) => present.has(field))) return undefined
  const candidates = kinds.filter((kind) => present.has(attributeFields[kind]))
  return candidates.length === 1 ? candidates[0] : undefined
}

interface Accumulator {
  readonly numbers: number[]
  readonly exact: bigint[]
  readonly strings: (string | undefined)[]
  packed: boolean
  tensor: DecodedTensor | undefined
  readonly extra: RawField[]
}

/** undefined when the value turns out to be one that Attribute cannot express. */
function readValue(reader: WireReader, kind: AttributeKind, header: Header, context: TensorContext): DecodedAttribute | undefined {
  const values: Accumulator = { numbers: [], exact: [], strings: [], packed: false, tensor: undefined, extra: [] }
  while (reader.next()) {
    if (reader.field === attributeFields[kind]) readElement(reader, kind, values, context)
    else if (reader.field === f.name || reader.field === f.type) reader.skip()
    else values.extra.push(reader.raw())
  }
  const attribute = toAttribute(kind, values)
  if (attribute === undefined) return undefined
  const isExact = (kind !== 'int' && kind !== 'ints') || values.numbers.every(Number.isSafeInteger)
  const carried = {
    kind,
    extra: values.extra,
    untyped: header.type === 0,
    omitted: !header.present.has(attributeFields[kind]),
    packed: values.packed,
    ...(isExact ? {} : { exact: values.exact }),
    ...(values.tensor === undefined ? {} : { tensor: values.tensor.carried })
  }
  return { name: header.name, attribute, carried }
}

function readElement(reader: WireReader, kind: AttributeKind, values: Accumulator, context: TensorContext): void {
  if (kind === 'tensor') values.tensor = decodeTensor(reader.message(tensorProto), context)
  else if (kind === 'string' || kind === 'strings') values.strings.push(decodeUtf8(reader.view()))
  else if (kind === 'float' || kind === 'floats') {
    if (kind === 'float') reader.expect(wireType.fixed32) // only the plural can be packed
    const packed = reader.elements(wireType.fixed32, () => values.numbers.push(reader.float32()))
    values.packed ||= packed
  } else {
    if (kind === 'int') reader.expect(wireType.varint)
    const packed = reader.elements(wireType.varint, () => {
      values.numbers.push(reader.varint())
      values.exact.push(reader.lastInt64())
    })
    values.packed ||= packed
  }
}

function toAttribute(kind: AttributeKind, { numbers, strings, tensor }: Accumulator): Attribute | undefined {
  if (strings.includes(undefined)) return undefined // bytes that are no text
  const texts = strings as string[]
  switch (kind) {
    case 'int':
      return { kind, value: numbers.at(-1) ?? 0 }
    case 'float':
      return { kind, value: numbers.at(-1) ?? 0 }
    case 'string':
      return { kind, value: texts.at(-1) ?? '' }
    case 'ints':
      return { kind, value: numbers }
    case 'floats':
      return { kind, value: numbers }
    case 'strings':
      return { kind, value: texts }
    case 'tensor':
      return tensor?.tensor === undefined ? undefined : { kind, value: tensor.tensor }
  }
}

/** What a sparse tensor is: `undefined` where it has its data elsewhere, or is much larger than what the file has of it. */
function denseForm(reader: WireReader, name: string): Tensor | undefined {
  try {
    return decodeSparse(reader.peek(sparseTensorProto), name, sparseFactor * reader.peekView().length)
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_UNSUPPORTED') return undefined
    throw error
  }
}

function readOpaque(reader: WireReader, { name, reference }: Header, { pending }: TensorContext): Attribute {
  const fields: RawField[] = []
  const captures = new Set<string>()
  let body: Body | undefined
  let tensor: Tensor | undefined
  let isExternal = false
  const requests = pending?.requests ?? []
  while (reader.next()) {
    if (reader.field === f.name) {
      reader.skip()
      continue
    }
    if ((reader.field === f.g || reader.field === f.graphs) && reader.wire === wireType.bytes) {
      collectCaptures(reader.peek(graphProto), captures)
      if (reader.field === f.g) {
        const before = requests.length
        body = readBody(reader.peek(graphProto), pending)
        isExternal = body === undefined || requests.slice(before).some(({ location }) => location !== undefined)
      }
    }
    if (reader.field === f.sparse_tensor && reader.wire === wireType.bytes) tensor = denseForm(reader, name)
    fields.push(reader.raw())
  }
  const value: OpaqueAttribute = { format: 'onnx', fields, captures: [...captures], ...(isExternal ? { external: true } : {}) }
  const known = { ...(body === undefined ? {} : { body }), ...(tensor === undefined ? {} : { tensor }) }
  return { kind: 'opaque', value, ...known, ...(reference === '' ? {} : { reference }) }
}
