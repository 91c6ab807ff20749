import { PolyadicError, show } from '../errors.js'
import type { ValueInfo } from '../graph/graph.js'
import { carriedAs } from './carried.js'
import { dataTypeNumbers, dimensionProto, shapeProto, tensorTypeProto, typeProto, valueInfoProto } from './schema.js'
import { MessageWriter } from './wire-writer.js'

/** Encodes a ValueInfoProto. Denotations and the like stay with their place in the shape as long as the rank stays. */
export function encodeValueInfo(info: ValueInfo): MessageWriter {
  const carried = carriedAs('value', info.carried)
  const writer = new MessageWriter(carried?.extra)
  writer.optionalString(valueInfoProto.fields.name, info.name)
  if (info.opaque === true) return writer
  const tensorType = new MessageWriter(carried?.tensorExtra)
  tensorType.integer(tensorTypeProto.fields.elem_type, dataTypeNumbers[info.dtype])
  if (info.dims !== undefined) {
    const shape = new MessageWriter(carried?.shapeExtra)
    const dimExtra = carried?.dimExtra.length === info.dims.length ? carried.dimExtra : []
    info.dims.forEach((dim, i) => {
      const writer = new MessageWriter(dimExtra[i])
      writeDimension(writer, dim, info.name)
      shape.message(shapeProto.fields.dim, writer)
    })
    tensorType.message(tensorTypeProto.fields.shape, shape)
  }
  const type = new MessageWriter(carried?.typeExtra)
  type.message(typeProto.fields.tensor_type, tensorType)
  writer.message(valueInfoProto.fields.type, type)
  return writer
}

function writeDimension(writer: MessageWriter, dim: number | string | null, name: string): void {
  if (typeof dim === 'string') writer.string(dimensionProto.fields.dim_param, dim)
  else if (dim !== null && Number.isSafeInteger(dim) && dim >= 0) writer.integer(dimensionProto.fields.dim_value, dim)
  else if (dim !== null) {
    throw new PolyadicError('POLYADIC_GRAPH', `value ${show(name)}: ${show(dim)} is not a dimension`, { subject: name })
  }
}
