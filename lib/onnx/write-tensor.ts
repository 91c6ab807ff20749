import { checkTensorData } from '../graph/check.js'
import type { Tensor } from '../tensor.js'
import type { TensorCarried } from './carried.js'
import { dataTypeNumbers, stringEntryProto, tensorProto, typedDataFields } from './schema.js'
import { MessageWriter } from './wire-writer.js'

const f = tensorProto.fields

/** Where the data of large tensors goes when it does not stay in the model's file. */
export interface ExternalSink {
  /** The other file's name, beside the model's. */
  readonly location: string
  /** Takes the data and gives the offset that it will have in that file. */
  add(data: Uint8Array): number
}

/** Smaller tensors stay in the model's file: shapes and scalars, which readers want at once. */
const externalLength = 1024

/**
 * Encodes a TensorProto under `name`. Data goes where the file had it, new tensors' into `raw_data`, that of large ones into
 * `external` if it is given. Throws `POLYADIC_GRAPH` naming the tensor (`label` when it has no name) when dims and data disagree.
 */
export function encodeTensor(
  name: string,
  tensor: Tensor,
  carried: TensorCarried | undefined,
  label: string,
  external?: ExternalSink
): MessageWriter {
  checkTensorData(tensor, label)
  if (external !== undefined && tensor.data.byteLength >= externalLength) return encodeExternal(name, tensor, carried, external)
  const typedField = typedDataFields[tensor.dtype]
  const isKept = carried?.storage === typedField || (carried?.storage === 0 && tensor.data.length === 0)
  const storage = isKept ? carried.storage : f.raw_data
  const writer = new MessageWriter(carried?.extra)
  // Without packing unless the file had it: so does everything that is generated from ONNX's own (proto2) schema.
  writer.integers(f.dims, tensor.dims, carried?.packedDims ?? false)
  writer.integer(f.data_type, dataTypeNumbers[tensor.dtype])
  const writeTyped = (): void => {
    if (storage === typedField) writeTypedData(writer, typedField, tensor)
  }
  if (typedField < f.name) writeTyped()
  writer.optionalString(f.name, name)
  if (storage === f.raw_data) writer.bytes(f.raw_data, bytesOf(tensor))
  if (typedField > f.name) writeTyped()
  return writer
}

function encodeExternal(name: string, tensor: Tensor, carried: TensorCarried | undefined, external: ExternalSink): MessageWriter {
  const writer = new MessageWriter(carried?.extra)
  writer.integers(f.dims, tensor.dims, carried?.packedDims ?? false)
  writer.integer(f.data_type, dataTypeNumbers[tensor.dtype])
  writer.optionalString(f.name, name)
  const bytes = bytesOf(tensor)
  const entries = { location: external.location, offset: String(external.add(bytes)), length: String(bytes.length) }
  for (const [key, value] of Object.entries(entries)) {
    const entry = new MessageWriter()
    entry.string(stringEntryProto.fields.key, key)
    entry.string(stringEntryProto.fields.value, value)
    writer.message(f.external_data, entry)
  }
  writer.integer(f.data_location, 1)
  return writer
}

function writeTypedData(writer: MessageWriter, field: number, tensor: Tensor): void {
  if (tensor.data.length === 0) return
  if (tensor.dtype === 'float32' || tensor.dtype === 'float64') writer.bytes(field, bytesOf(tensor))
  else writer.integers(field, tensor.data, true)
}

/** Little-endian, as this machine (x86) is. */
function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
