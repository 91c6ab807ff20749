import { open, realpath, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { isAbsolute, relative, resolve, win32 } from 'node:path'
import { PolyadicError, show } from '../errors.js'
import { arrayType } from '../tensor.js'
import type { Tensor, TensorData } from '../tensor.js'
import { readExactly } from './files.js'
import { stringEntryProto, tensorProto } from './schema.js'
import { WireReader } from './wire.js'
import type { RawField } from './wire.js'

/** A tensor whose data is still to be read: `byteLength` bytes at `offset` of the file `location`. */
export interface ExternalRequest {
  readonly tensor: Tensor
  readonly count: number
  readonly location: string
  readonly offset: number
  readonly byteLength: number
  readonly label: string
  readonly subject: string
}

/** What the `external_data` entries of a tensor with `count` elements ask for. Throws `POLYADIC_FORMAT` naming the tensor. */
export function externalRequest(
  tensor: Tensor,
  count: number,
  fields: readonly RawField[],
  { label, subject }: { label: string; subject: string }
): ExternalRequest {
  const entries = readEntries(fields)
  const fail = (what: string): PolyadicError => {
    return new PolyadicError('POLYADIC_FORMAT', `${label}: external data: ${what}`, { subject })
  }
  const number = (key: string, fallback: number): number => {
    const text = entries.get(key)
    const value = text === undefined ? fallback : Number(text)
    if (text !== undefined && !/^\d{1,15}$/.test(text)) throw fail(`${key} ${show(text)} is not a non-negative integer`)
    return value
  }
  const location = entries.get('location') ?? ''
  if (!isInside(location)) throw fail(`location ${show(location)} is not a path inside of the model's folder`)
  const byteLength = count * arrayType(tensor.dtype).BYTES_PER_ELEMENT
  const given = number('length', byteLength)
  if (given !== byteLength) throw fail(`length: expected ${byteLength} bytes for dims ${show(tensor.dims)}, got ${given}`)
  return { tensor, count, location, offset: number('offset', 0), byteLength, label, subject }
}

/**
 * Reads the data of all `requests` from files in `folder` and puts it into their tensors, which nobody has seen yet.
 * Each file is opened once. A file that is outside of the folder once symbolic links are followed is refused.
 */
export async function loadExternalData(folder: string, requests: readonly ExternalRequest[]): Promise<void> {
  const byLocation = new Map<string, ExternalRequest[]>()
  for (const request of requests) {
    const group = byLocation.get(request.location)
    if (group === undefined) byLocation.set(request.location, [request])
    else group.push(request)
  }
  for (const [location, group] of byLocation) {
    const first = group[0] as ExternalRequest
    const file = await openInside(folder, location, first)
    try {
      const { size } = await file.stat()
      for (const request of group) {
        ;(request.tensor as { data: TensorData }).data = await readData(file, size, request)
      }
    } finally {
      await file.close()
    }
  }
}

async function readData(file: FileHandle, size: number, request: ExternalRequest): Promise<TensorData> {
  const { offset, byteLength, count, location } = request
  // Before anything is allocated: the file says how much there can be.
  if (offset + byteLength > size) {
    const what = `bytes ${offset} to ${offset + byteLength} are past the end of ${show(location)} (${size} bytes)`
    throw externalError('POLYADIC_FORMAT', request, what)
  }
  const data = new (arrayType(request.tensor.dtype))(count)
  await readExactly(file, new Uint8Array(data.buffer), offset, show(location))
  return data
}

async function openInside(folder: string, location: string, request: ExternalRequest): Promise<FileHandle> {
  try {
    const root = await realpath(folder)
    const target = await realpath(resolve(root, location))
    if (!isInside(relative(root, target))) {
      throw externalError('POLYADIC_FORMAT', request, `location ${show(location)} leads out of the model's folder`)
    }
    if ((await stat(target)).isFile()) return await open(target, 'r')
    throw externalError('POLYADIC_FORMAT', request, `location ${show(location)} is not a file`)
  } catch (cause) {
    if (cause instanceof PolyadicError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw externalError('POLYADIC_IO', request, `cannot read ${show(location)}: ${reason}`, cause)
  }
}

/** A relative path, by the rules of any system (models travel), that does not climb. */
function isInside(path: string): boolean {
  if (path === '' || path.includes('\0') || isAbsolute(path) || win32.isAbsolute(path) || /^[a-z]:/i.test(path)) return false
  return !path.split(/[\\/]/).includes('..')
}

function readEntries(fields: readonly RawField[]): Map<string, string> {
  const entries = new Map<string, string>()
  for (const { bytes } of fields) {
    const outer = new WireReader(bytes, tensorProto)
    outer.next()
    let key = ''
    let value = ''
    for (const entry = outer.message(stringEntryProto); entry.next(); ) {
      if (entry.field === stringEntryProto.fields.key) key = entry.string()
      else if (entry.field === stringEntryProto.fields.value) value = entry.string()
      else entry.skip()
    }
    entries.set(key, value)
  }
  return entries
}

function externalError(
  code: 'POLYADIC_FORMAT' | 'POLYADIC_IO',
  { label, subject }: ExternalRequest,
  what: string,
  cause?: unknown
): PolyadicError {
  return new PolyadicError(code, `${label}: external data: ${what}`, { subject, cause })
}
