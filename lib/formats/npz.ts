import { readFile } from 'node:fs/promises'
import { crc32, inflateRawSync } from 'node:zlib'
import { PolyadicError, show } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { writeFileAtomically } from './atomic-write.js'
import { decodeNpy, encodeNpy } from './npy.js'

// NumPy's .npz: a zip archive of .npy files. Written without compression, as np.savez does; read with or without.
// The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

const localHeader = 0x04034b50
const centralHeader = 0x02014b50
const endOfCentral = 0x06054b50
const endSize = 22
const maxCommentBytes = 0xffff
const maxFileBytes = 0xfffffffe // beyond, zip64 is needed
const maxEntries = 0xfffe

/** Named arrays. */
export type Arrays = Readonly<Record<string, Tensor>>

/** Reads a .npz file. Throws `POLYADIC_IO` when it cannot be read and what `decodeNpz` throws. */
export async function readNpz(path: string): Promise<Record<string, Tensor>> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw new PolyadicError('POLYADIC_IO', `cannot read ${show(path)}: ${(cause as Error).message}`, { subject: path, cause })
  }
  return decodeNpz(bytes, path)
}

/** Writes arrays as .npz, uncompressed; the file is there in whole or not at all. */
export async function writeNpz(path: string, arrays: Arrays): Promise<void> {
  await writeFileAtomically(path, encodeNpz(arrays))
}

/** Encodes arrays as .npz, uncompressed. Throws `POLYADIC_UNSUPPORTED` beyond 4 GiB or 65,534 arrays. */
export function encodeNpz(arrays: Arrays): Uint8Array {
  const entries = Object.entries(arrays)
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [key, tensor] of entries) {
    const name = Buffer.from(`${key}.npy`, 'utf8')
    const data = Buffer.from(encodeNpy(tensor))
    const common = entryFields(crc32(data), data.length, name.length)
    const local = Buffer.concat([uint32(localHeader), common, name, data])
    directory.push(Buffer.concat([uint32(centralHeader), uint16(20), common, Buffer.alloc(10), uint32(offset), name]))
    parts.push(local)
    offset += local.length
    if (offset > maxFileBytes || entries.length > maxEntries)
      throw new PolyadicError('POLYADIC_UNSUPPORTED', '.npz: more than 4 GiB or 65,534 arrays are not supported')
  }
  const central = Buffer.concat(directory)
  const count = uint16(entries.length)
  const end = [uint32(endOfCentral), Buffer.alloc(4), count, count, uint32(central.length), uint32(offset), uint16(0)]
  return Buffer.concat([...parts, central, ...end])
}

/**
 * Decodes .npz. Throws `POLYADIC_FORMAT` for what is damaged (checksums are compared), `POLYADIC_UNSUPPORTED` for zip64,
 * encryption or compression other than deflate. `name` is only for error messages.
 */
export function decodeNpz(bytes: Uint8Array, name = 'npz'): Record<string, Tensor> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { count, start } = directoryOf(file, name)
  const arrays: [string, Tensor][] = []
  let at = start
  for (let i = 0; i < count; i++) {
    if (at + 46 > file.length || file.readUInt32LE(at) !== centralHeader) throw malformed(name, 'its directory is damaged')
    const [nameLength, extra, comment] = [file.readUInt16LE(at + 28), file.readUInt16LE(at + 30), file.readUInt16LE(at + 32)]
    const entry = file.toString('utf8', at + 46, at + 46 + nameLength)
    if (!entry.endsWith('.npy')) throw malformed(name, `its entry ${show(entry)} is no .npy file`)
    arrays.push([entry.slice(0, -4), decodeNpy(contents(file, at, entry, name), `${name}:${entry}`)])
    at += 46 + nameLength + extra + comment
  }
  return Object.fromEntries(arrays)
}

// Version needed, flags (UTF-8 names), method 0, time and date of 1980-01-01, checksum, sizes, lengths of name and extra field.
function entryFields(checksum: number, size: number, nameLength: number): Buffer {
  return Buffer.concat([
    uint16(20),
    uint16(0x800),
    uint16(0),
    uint16(0),
    uint16(0x21),
    uint32(checksum),
    uint32(size),
    uint32(size),
    uint16(nameLength),
    uint16(0)
  ])
}

function directoryOf(file: Buffer, name: string): { count: number; start: number } {
  for (let at = file.length - endSize; at >= Math.max(0, file.length - endSize - maxCommentBytes); at--) {
    if (file.readUInt32LE(at) !== endOfCentral) continue
    const [count, start] = [file.readUInt16LE(at + 10), file.readUInt32LE(at + 16)]
    if (count === 0xffff || start === 0xffffffff) throw unsupported(name, 'zip64')
    return { count, start }
  }
  throw malformed(name, 'it has no directory of a zip archive')
}

function contents(file: Buffer, at: number, entry: string, name: string): Uint8Array {
  const [flags, method, checksum] = [file.readUInt16LE(at + 8), file.readUInt16LE(at + 10), file.readUInt32LE(at + 16)]
  const [packed, size, local] = [file.readUInt32LE(at + 20), file.readUInt32LE(at + 24), file.readUInt32LE(at + 42)]
  if ((flags & 1) !== 0) throw unsupported(name, 'encryption')
  if (method !== 0 && method !== 8) throw unsupported(name, `compression method ${method}`)
  if (packed === 0xffffffff || size === 0xffffffff || local === 0xffffffff) throw unsupported(name, 'zip64')
  if (local + 30 > file.length || file.readUInt32LE(local) !== localHeader) throw malformed(name, `its entry ${show(entry)} is damaged`)
  const begin = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28)
  if (begin + packed > file.length) throw malformed(name, `its entry ${show(entry)} is truncated`)
  const data = method === 0 ? file.subarray(begin, begin + packed) : inflate(file.subarray(begin, begin + packed), size, entry, name)
  if (data.length !== size || crc32(data) !== checksum) throw malformed(name, `the checksum of its entry ${show(entry)} is wrong`)
  return data
}

// The length is known: what would grow beyond it is not unpacked any further.
function inflate(packed: Uint8Array, size: number, entry: string, name: string): Uint8Array {
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, size) })
  } catch (cause) {
    throw new PolyadicError('POLYADIC_FORMAT', `${show(name)} is not a valid .npz file: its entry ${show(entry)} cannot be unpacked`, {
      subject: name,
      cause
    })
  }
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

function malformed(name: string, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_FORMAT', `${show(name)} is not a valid .npz file: ${what}`, { subject: name })
}

function unsupported(name: string, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_UNSUPPORTED', `${show(name)}: ${what} in .npz files is not supported`, { subject: name })
}
