import { type FileHandle, open } from 'node:fs/promises'
import { type AbortOptions, abortOptions } from '../abortable.js'
import { checkBytes, checkOptions, filePath, checkString } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import { arrayType, checkTensor, type DataType, elementCount, type Tensor, type TensorData } from '../tensor.js'
import { writeFileAtomically } from './atomic-write.js'
import { readExactly } from './read-exactly.js'

// NumPy's .npy: magic, version, header length, a Python dict literal, raw elements.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const // \x93NUMPY
const alignment = 64
// A header holds three short entries; NumPy itself refuses more than 10,000 characters.
const maxHeaderBytes = 10_000
/** Magic, version and the length of the header. */
const longestPrefix = 12
const maxRank = 32

const types: Readonly<Record<string, DataType>> = {
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64',
  b1: 'bool'
}

/** Reads a .npy file. Throws `POLYADIC_IO` when it cannot be read and what `decodeNpy` throws; rejects with `signal.reason` when aborted. */
export async function readNpy(location: string | URL, options: AbortOptions = {}): Promise<Tensor> {
  const path = filePath('path', location)
  checkOptions(options, abortOptions)
  const { signal } = options
  signal?.throwIfAborted()
  try {
    const file = await open(path)
    try {
      const there = await file.stat()
      // What is no regular file has no size before it has been read.
      return there.isFile() ? await readOpened(file, there.size, path, signal) : decodeNpy(await file.readFile({ signal }), path)
    } finally {
      await file.close()
    }
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof PolyadicError) throw cause
    throw new PolyadicError('POLYADIC_IO', `cannot read ${show(path)}: ${(cause as Error).message}`, { subject: path, cause })
  }
}

/** Straight into the tensor's own memory: a file may be larger than what one read takes, and than half of the memory there is. */
async function readOpened(file: FileHandle, size: number, path: string, signal: AbortSignal | undefined): Promise<Tensor> {
  const head = new Uint8Array(Math.min(size, longestPrefix + maxHeaderBytes))
  await readExactly(file, head, 0, show(path))
  const layout = readLayout(head, size, path)
  const elements = new Uint8Array(layout.bytes)
  await readExactly(file, elements, layout.offset, show(path), signal)
  return tensorOf(layout, elements)
}

/**
 * Writes a tensor as .npy version 1, C order; the file is there in whole or not at all. Throws what `encodeNpy` throws; rejects with
 * `signal.reason` when aborted.
 */
export async function writeNpy(location: string | URL, tensor: Tensor, options: AbortOptions = {}): Promise<void> {
  const path = filePath('path', location)
  checkOptions(options, abortOptions)
  await writeFileAtomically(path, npyChunks(tensor), options.signal)
}

/** A .npy file in pieces: the second one is a view of the tensor. `name`: of the tensor, for errors. */
export function npyChunks(tensor: Tensor, name = 'tensor'): readonly [header: Uint8Array, elements: Uint8Array] {
  return [headerOf(tensor, name), elementsOf(tensor)]
}

/** Decodes .npy versions 1 to 3; Fortran order is turned into C order. `name` is only for error messages. */
export function decodeNpy(bytes: Uint8Array, name = 'npy'): Tensor {
  checkBytes('bytes', bytes)
  checkString('name', name)
  const layout = readLayout(bytes, bytes.length, name)
  // Copied: elements may stand at any offset of a pooled buffer, where no typed array could lie.
  return tensorOf(layout, new Uint8Array(bytes.subarray(layout.offset)))
}

/**
 * Encodes a tensor as .npy version 1, little-endian, C order. Throws POLYADIC_UNSUPPORTED for bfloat16, which has no NumPy type, POLYADIC_SHAPE
 * when `data` has not as many elements as `dims` say, POLYADIC_ARGUMENT when it is no array of the type.
 */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const [header, elements] = npyChunks(tensor)
  const bytes = new Uint8Array(header.length + elements.length)
  bytes.set(header)
  bytes.set(elements, header.length)
  return bytes
}

function elementsOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** What stands before the elements. */
function headerOf(tensor: Tensor, name: string): Uint8Array {
  checkTensor(name, tensor)
  const code = Object.keys(types).find((key) => types[key] === tensor.dtype)
  if (code === undefined)
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `npy: there is no NumPy type for ${tensor.dtype}`, { subject: tensor.dtype })
  const descr = code.endsWith('1') ? `|${code}` : `<${code}`
  const shape = tensor.dims.length === 1 ? `${tensor.dims[0]},` : tensor.dims.join(', ')
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`
  const unpadded = magic.length + 4 + text.length + 1
  const header = `${text}${' '.repeat((alignment - (unpadded % alignment)) % alignment)}\n`
  return Buffer.concat([Buffer.from([...magic, 1, 0, header.length & 255, header.length >> 8]), Buffer.from(header, 'latin1')])
}

/** What a header says, and where the elements stand. */
interface Layout {
  readonly dtype: DataType
  readonly dims: readonly number[]
  readonly isFortran: boolean
  /** Of the elements in the file, which goes on for so many `bytes`. */
  readonly offset: number
  readonly bytes: number
}

/** `head`: the beginning of a file of `size` bytes, which holds the header. */
function readLayout(head: Uint8Array, size: number, name: string): Layout {
  const { header, dataOffset: offset } = readHeader(head, name)
  const dtype = parseType(header, name)
  const dims = parseShape(header, name)
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1]
  if (order === undefined) throw malformed(name, 'the header has no fortran_order')
  const bytes = elementCount(dims) * arrayType(dtype).BYTES_PER_ELEMENT
  if (!Number.isSafeInteger(bytes) || size - offset < bytes) {
    throw malformed(name, `it is truncated: shape ${show(dims)} of ${dtype} needs ${bytes} bytes, ${size - offset} are there`)
  }
  if (size - offset > bytes) throw malformed(name, `${size - offset - bytes} bytes follow the last element`)
  return { dtype, dims, isFortran: order === 'True', offset, bytes }
}

/** `elements`: memory of their own. */
function tensorOf({ dtype, dims, isFortran }: Layout, elements: Uint8Array): Tensor {
  const data = new (arrayType(dtype))(elements.buffer as ArrayBuffer)
  return { dtype, dims, data: isFortran ? fromFortranOrder(data, dims) : data }
}

function readHeader(bytes: Uint8Array, name: string): { header: string; dataOffset: number } {
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte)) throw malformed(name, 'it does not begin with the NumPy magic')
  const version = bytes[6] as number
  if (version < 1 || version > 3)
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `${show(name)}: .npy version ${version} is not supported, expected 1 to 3`, {
      subject: name
    })
  const wide = version > 1 // a 4-byte header length
  if (wide && bytes.length < 12) throw malformed(name, 'it is truncated')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = wide ? 12 : 10
  if (length > maxHeaderBytes) throw malformed(name, `its header of ${length} bytes is longer than ${maxHeaderBytes}`)
  if (start + length > bytes.length) throw malformed(name, 'it ends inside its header')
  return { header: Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1'), dataOffset: start + length }
}

function parseType(header: string, name: string): DataType {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1]
  if (descr === undefined) throw malformed(name, 'the header has no plain descr (structured types are not supported)')
  const dtype = types[descr.slice(1)]
  // Byte order: < little, | and = not applicable or native, which is little on every platform of Node with typed arrays we support.
  if (dtype === undefined || !(descr[0] === '<' || descr[0] === '|' || descr[0] === '=')) {
    throw new PolyadicError(
      'POLYADIC_UNSUPPORTED',
      `${show(name)}: NumPy type ${show(descr)} is not supported, expected a little-endian number${remedyFor(descr)}`,
      { subject: name }
    )
  }
  return dtype
}

/** What to do about it, in NumPy. */
function remedyFor(descr: string): string {
  if (types[descr.slice(1)] !== undefined) return `: save x.astype('<${descr.slice(1)}')`
  if (/^\|O|^[<>|=][UO]|^\|S/.test(descr)) return `: save x.astype('int64') of whole numbers, x.astype('float32') of others`
  return ''
}

function parseShape(header: string, name: string): number[] {
  const inner = /'shape'\s*:\s*\(([^)]*)\)/.exec(header)?.[1]
  if (inner === undefined) throw malformed(name, 'the header has no shape')
  const parts = inner.split(',').map((part) => part.trim())
  // A Python tuple: `()`, `(2,)`, `(2, 3)` or `(2, 3,)`, but not `(2)`, which is a number.
  const isTuple = parts.length > 1 || parts[0] === ''
  if (parts.at(-1) === '') parts.pop()
  // Python 2 has written `3L`.
  if (!isTuple || !parts.every((part) => /^\d+L?$/.test(part)))
    throw malformed(name, `its shape is ${show(`(${inner})`)}, which is no tuple of integers`)
  const dims = parts.map((part) => Number.parseInt(part, 10))
  if (dims.length > maxRank || dims.some((dim) => !Number.isSafeInteger(dim))) throw malformed(name, `the shape (${inner}) is out of range`)
  return dims
}

/** The first axis runs fastest in `data`; the result is row-major. */
function fromFortranOrder(data: TensorData, dims: readonly number[]): TensorData {
  const result = data.slice()
  const source: ArrayLike<number | bigint> = data
  const target: { [index: number]: number | bigint } = result
  const index = new Array<number>(dims.length).fill(0)
  const strides = dims.map((_, axis) => elementCount(dims.slice(0, axis)))
  for (let i = 0; i < data.length; i++) {
    let from = 0
    for (let axis = 0; axis < dims.length; axis++) from += (index[axis] ?? 0) * (strides[axis] ?? 0)
    target[i] = source[from] as number | bigint
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1
      index[axis] = next === dims[axis] ? 0 : next
      if (next !== dims[axis]) break
    }
  }
  return result
}

function malformed(name: string, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_FORMAT', `${show(name)} is not a valid .npy file: ${what}`, { subject: name })
}
