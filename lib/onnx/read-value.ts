import type { ValueInfo } from '../graph/graph.js'
import type { ValueCarried } from './carried.js'
import { dataTypeOf, dimensionProto, shapeProto, tensorTypeProto, typeProto, valueInfoProto } from './schema.js'
import type { RawField, WireReader } from './wire.js'

type Dim = number | string | null

interface TypeParts {
  elementType: number
  dims: Dim[] | undefined
  readonly typeExtra: RawField[]
  readonly tensorExtra: RawField[]
  readonly shapeExtra: RawField[]
  dimExtra: RawField[][]
}

/** Decodes a ValueInfoProto. A type that is not that of a Tensor (a sequence, strings, none) is carried: `opaque`. */
export function decodeValueInfo(reader: WireReader): ValueInfo {
  const f = valueInfoProto.fields
  const extra: RawField[] = []
  let name = ''
  let typeField: RawField | undefined
  let type: TypeParts | undefined
  while (reader.next()) {
    if (reader.field === f.name) name = reader.string(extra)
    else if (reader.field === f.type) {
      type = readType(reader.peek(typeProto))
      typeField = reader.raw()
    } else extra.push(reader.raw())
  }
  const dtype = type === undefined ? undefined : dataTypeOf(type.elementType)
  const none = { format: 'onnx', typeExtra: [], tensorExtra: [], shapeExtra: [], dimExtra: [] } as const
  if (type === undefined || dtype === undefined) {
    const carried: ValueCarried = { ...none, extra: typeField === undefined ? extra : [...extra, typeField] }
    return { name, dtype: 'float32', dims: undefined, opaque: true, carried }
  }
  const { typeExtra, tensorExtra, shapeExtra, dimExtra } = type
  const carried: ValueCarried = { format: 'onnx', extra, typeExtra, tensorExtra, shapeExtra, dimExtra }
  return { name, dtype, dims: type.dims, carried }
}

function readType(reader: WireReader): TypeParts {
  const parts: TypeParts = { elementType: 0, dims: undefined, typeExtra: [], tensorExtra: [], shapeExtra: [], dimExtra: [] }
  while (reader.next()) {
    if (reader.field === typeProto.fields.tensor_type) readTensorType(reader.message(tensorTypeProto), parts)
    else parts.typeExtra.push(reader.raw())
  }
  return parts
}

function readTensorType(reader: WireReader, parts: TypeParts): void {
  while (reader.next()) {
    if (reader.field === tensorTypeProto.fields.elem_type) parts.elementType = reader.integer()
    else if (reader.field === tensorTypeProto.fields.shape) readShape(reader.message(shapeProto), parts)
    else parts.tensorExtra.push(reader.raw())
  }
}

function readShape(reader: WireReader, parts: TypeParts): void {
  const dims: Dim[] = []
  parts.dims = dims
  parts.dimExtra = []
  while (reader.next()) {
    if (reader.field !== shapeProto.fields.dim) parts.shapeExtra.push(reader.raw())
    else {
      const extra: RawField[] = []
      dims.push(readDimension(reader.message(dimensionProto), extra))
      parts.dimExtra.push(extra)
    }
  }
}

function readDimension(reader: WireReader, extra: RawField[]): Dim {
  const f = dimensionProto.fields
  let dim: Dim = null
  while (reader.next()) {
    if (reader.field === f.dim_value) {
      const before = reader.peekRaw()
      const value = reader.integer()
      const isSize = Number.isSafeInteger(value) && value >= 0
      // Some exporters write -1 for "unknown"; it stays in the file as long as the size stays unknown.
      if (!isSize) extra.push(before)
      dim = isSize ? value : null
    } else if (reader.field === f.dim_param) {
      const text = reader.string(extra)
      dim = text === '' ? null : text
    } else extra.push(reader.raw())
  }
  return dim
}
