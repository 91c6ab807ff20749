import { PolyadicError, show } from '../errors.js'
import { arrayType } from '../tensor.js'
import type { DataType, Tensor, TensorData } from '../tensor.js'
import type { TensorCarried } from './carried.js'
import { externalRequest } from './external-data.js'
import type { PendingData } from './external-data.js'
import { dataTypeOf, tensorProto, typedDataFields } from './schema.js'
import { wireType } from './wire.js'
import type { RawField, WireReader } from './wire.js'

const f = tensorProto.fields
const dataFields: readonly number[] = [f.float_data, f.int32_data, f.int64_data, f.double_data, f.uint64_data]

export interface DecodedTensor {
  readonly name: string
  /** undefined: of a type that a Tensor cannot have, to be carried as it is. */
  readonly tensor: Tensor | undefined
  readonly carried: TensorCarried
}

export interface TensorContext {
  /** What errors call the tensor when it has no name itself. */
  readonly owner: string
  /** Takes the tensors whose data is to be read from files later; undefined when that is not possible. */
  readonly pending: PendingData | undefined
}

interface Parts {
  name: string
  readonly dims: number[]
  dataType: number
  raw: Uint8Array | undefined
  /** Fields with typed data, empty ones left out. */
  readonly typed: Set<number>
  dataLocation: number
  readonly externalFields: RawField[]
  packedDims: boolean
  isSegment: boolean
  readonly extra: RawField[]
}

/**
 * Decodes a TensorProto. Aligned raw data becomes a view of the file's bytes, all else a copy. Throws `POLYADIC_FORMAT`
 * naming the tensor when dims and data disagree, `POLYADIC_UNSUPPORTED` for data in other files that cannot be reached.
 */
export function decodeTensor(reader: WireReader, context: TensorContext): DecodedTensor {
  const again = reader.fork()
  const parts = readParts(reader)
  const label = parts.name === '' ? `tensor of ${context.owner}` : `tensor ${show(parts.name)}`
  const subject = parts.name === '' ? context.owner : parts.name
  if (parts.dataType === 0) throw tensorError('POLYADIC_FORMAT', label, 'no data type is given', subject)
  const isExternal = checkedLocation(parts, label, subject)
  const storage = parts.raw !== undefined || isExternal ? f.raw_data : ([...parts.typed][0] ?? 0)
  const carried = { extra: parts.extra, name: parts.name, packedDims: parts.packedDims, storage }
  const dtype = dataTypeOf(parts.dataType)
  if (dtype === undefined || parts.isSegment) {
    if (!isExternal) return { name: parts.name, tensor: undefined, carried }
    throw tensorError('POLYADIC_UNSUPPORTED', label, `external data of data type ${parts.dataType}`, subject)
  }
  const source = { again, parts, dtype, count: checkedCount(parts.dims, label, subject), label, subject }
  const isHole = !isExternal && parts.raw !== undefined && context.pending?.holes.get(parts.raw.byteOffset) === parts.raw.length
  const tensor = { dtype, dims: parts.dims, data: isExternal || isHole ? new (arrayType(dtype))(0) : decodeData(source) }
  if (isExternal) requestExternal(tensor, source, context)
  if (isHole) requestOwn(tensor, source, context)
  return { name: parts.name, tensor, carried }
}

interface Source {
  readonly again: WireReader
  readonly parts: Parts
  readonly dtype: DataType
  readonly count: number
  readonly label: string
  readonly subject: string
}

function readParts(reader: WireReader): Parts {
  const parts: Parts = {
    name: '',
    dims: [],
    dataType: 0,
    raw: undefined,
    typed: new Set(),
    dataLocation: 0,
    externalFields: [],
    packedDims: false,
    isSegment: false,
    extra: []
  }
  while (reader.next()) {
    if (reader.field === f.dims) {
      parts.packedDims = reader.elements(wireType.varint, () => parts.dims.push(reader.varint())) || parts.packedDims
    } else if (reader.field === f.data_type) parts.dataType = reader.integer()
    else if (reader.field === f.name) parts.name = reader.string(parts.extra)
    else if (reader.field === f.raw_data) parts.raw = reader.view()
    else if (reader.field === f.data_location) parts.dataLocation = reader.integer(parts.extra)
    else if (reader.field === f.external_data) parts.externalFields.push(reader.raw())
    else if (dataFields.includes(reader.field)) {
      const { field, wire } = reader
      const isEmpty = reader.raw().bytes.length === 2 && wire === wireType.bytes
      if (!isEmpty) parts.typed.add(field)
    } else {
      parts.isSegment ||= reader.field === f.segment
      parts.extra.push(reader.raw())
    }
  }
  return parts
}

/** Whether the data is in another file. External entries of a tensor whose data is here mean nothing, and are carried. */
function checkedLocation(parts: Parts, label: string, subject: string): boolean {
  if (parts.dataLocation === 1) return true
  if (parts.dataLocation !== 0) {
    throw tensorError('POLYADIC_FORMAT', label, `data location ${parts.dataLocation} is not known`, subject)
  }
  parts.extra.push(...parts.externalFields)
  return false
}

function checkedCount(dims: readonly number[], label: string, subject: string): number {
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw tensorError('POLYADIC_FORMAT', label, `dims ${show(dims)} are not all non-negative`, subject)
  }
  // A zero anywhere makes an empty tensor, however large the others are.
  const count = dims.includes(0) ? 0 : dims.reduce((product, dim) => product * dim, 1)
  if (Number.isSafeInteger(count * 8)) return count
  throw tensorError('POLYADIC_FORMAT', label, `dims ${show(dims)} are too large`, subject)
}

function requestExternal(tensor: Tensor, { parts, count, label, subject }: Source, context: TensorContext): void {
  if (context.pending === undefined) {
    const what = 'its data is in another file, which bytes alone do not give: read the model from its path'
    throw tensorError('POLYADIC_UNSUPPORTED', label, what, subject)
  }
  context.pending.requests.push(externalRequest(tensor, count, parts.externalFields, { label, subject }))
}

/** Raw data that was left in the model's file is read straight into the tensor's array. */
function requestOwn(tensor: Tensor, source: Source, context: TensorContext): void {
  checkDataField(source)
  const { byteOffset, length } = checkedRaw(source, source.parts.raw as Uint8Array)
  const { count, label, subject } = source
  context.pending?.requests.push({ tensor, count, location: undefined, offset: byteOffset, byteLength: length, label, subject })
}

function decodeData(source: Source): TensorData {
  checkDataField(source)
  return source.parts.raw === undefined ? fromTyped(source) : fromRaw(source, source.parts.raw)
}

/** Throws when there are elements in a field that is not for this type. */
function checkDataField({ parts, dtype, label, subject }: Source): void {
  const expected = parts.raw === undefined ? typedDataFields[dtype] : f.raw_data
  const unexpected = [...parts.typed].find((field) => field !== expected)
  if (unexpected !== undefined) {
    const what = `has data in ${fieldName(unexpected)}; ${fieldName(expected)} was expected for ${dtype}`
    throw tensorError('POLYADIC_FORMAT', label, what, subject)
  }
}

/** `raw`, which must be as long as dims say. */
function checkedRaw({ parts, dtype, count, label, subject }: Source, raw: Uint8Array): Uint8Array {
  const expected = count * arrayType(dtype).BYTES_PER_ELEMENT
  if (raw.length === expected) return raw
  const what = `raw_data: expected ${expected} bytes (${dtype}, dims ${show(parts.dims)}), got ${raw.length}`
  throw tensorError('POLYADIC_FORMAT', label, what, subject)
}

/** Little-endian, as this machine (x86) is. */
function fromRaw(source: Source, raw: Uint8Array): TensorData {
  const { dtype, count } = source
  checkedRaw(source, raw)
  const ArrayType = arrayType(dtype)
  // Where in a file the data begins is chance: only aligned data can be a view of it.
  const isAligned = raw.byteOffset % ArrayType.BYTES_PER_ELEMENT === 0
  const { buffer, byteOffset } = isAligned ? raw : new Uint8Array(raw)
  return new ArrayType(buffer as ArrayBuffer, byteOffset, count)
}

function fromTyped({ again, parts, dtype, count, label, subject }: Source): TensorData {
  const field = typedDataFields[dtype]
  const mismatch = (got: string): PolyadicError => {
    const expected = `${count} elements (dims ${show(parts.dims)})`
    return tensorError('POLYADIC_FORMAT', label, `${fieldName(field)}: expected ${expected}, got ${got}`, subject)
  }
  // An element takes at least a byte: checked first, so that false dims cannot make us allocate.
  if (count > again.remaining) throw mismatch('fewer')
  const data: TensorData = new (arrayType(dtype))(count)
  const [wire, read] = elementReader(again, dtype)
  let index = 0
  const store = data as { [index: number]: number | bigint }
  while (again.next()) {
    if (again.field !== field) again.skip()
    else if (wire !== wireType.varint && again.wire === wireType.bytes) {
      // Packed floats are what raw data is: copied at once, not one by one.
      const view = again.view()
      const size = data.BYTES_PER_ELEMENT
      if (view.length % size !== 0) throw again.error(`${view.length} bytes are no whole number of ${dtype} elements`)
      if (index + view.length / size <= count) new Uint8Array(data.buffer).set(view, index * size)
      index += view.length / size
    } else {
      again.elements(wire, () => {
        const value = read()
        if (index < count) store[index] = value
        index++
      })
    }
  }
  if (index !== count) throw mismatch(String(index))
  return data
}

/** How one element is read. Small integers wrap as typed arrays do: exporters disagree on sign extension. */
function elementReader(reader: WireReader, dtype: DataType): [wire: number, read: () => number | bigint] {
  if (dtype === 'float32') return [wireType.fixed32, () => reader.float32()]
  if (dtype === 'float64') return [wireType.fixed64, () => reader.float64()]
  if (dtype !== 'int64' && dtype !== 'uint64') return [wireType.varint, () => reader.varint()]
  return [
    wireType.varint,
    () => {
      reader.varint()
      return reader.lastInt64()
    }
  ]
}

function fieldName(field: number): string {
  return Object.entries(f).find(([, number]) => number === field)?.[0] ?? `field ${field}`
}

function tensorError(code: 'POLYADIC_FORMAT' | 'POLYADIC_UNSUPPORTED', label: string, what: string, subject: string): PolyadicError {
  return new PolyadicError(code, `${label}: ${what}`, { subject })
}
