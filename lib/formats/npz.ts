import { open } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { crc32, inflateRaw, inflateRawSync } from 'node:zlib'
import { type AbortOptions, abortOptions } from '../abortable.js'
import { checkBytes, checkOptions, filePath, checkRecord, checkString } from '../arguments.js'
import { PolyadicError, show } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { writeFileAtomically } from './atomic-write.js'
import { decodeNpy, npyChunks } from './npy.js'
import { readExactly } from './read-exactly.js'

// NumPy's .npz: a zip archive of .npy files. Written without compression, as np.savez does; read with or without.
// The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

const localHeader = 0x04034b50
const centralHeader = 0x02014b50
const endOfCentral = 0x06054b50
const endSize = 22
const localLength = 30 // of a local header, without name and extra field
const maxCommentBytes = 0xffff
const maxFileBytes = 0xfffffffe // beyond, zip64 is needed
const maxEntries = 0xfffe
/** What is summed up between two turns of the event loop. */
const pieceLength = 2 ** 24

const inflateOnPool = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(inflateRaw)

/** Named arrays. */
export type Arrays = Readonly<Record<string, Tensor>>

/**
 * Reads a .npz file, one array after the other: the event loop stays free. Throws `POLYADIC_IO` when it cannot be read and what `decodeNpz`
 * throws; rejects with `signal.reason` when aborted.
 */
export async function readNpz(location: string | URL, options: AbortOptions = {}): Promise<Record<string, Tensor>> {
  const path = filePath('path', location)
  checkOptions(options, abortOptions)
  const { signal } = options
  signal?.throwIfAborted()
  try {
    const file = await open(path)
    try {
      const there = await file.stat()
      // What is no regular file has no size before it has been read.
      if (!there.isFile()) return decodeNpz(await file.readFile({ signal }), path)
      const read = async (at: number, length: number): Promise<Buffer> => {
        const bytes = Buffer.from(new ArrayBuffer(length))
        await readExactly(file, bytes, at, show(path), signal)
        return bytes
      }
      return await readArchive(read, there.size, path, signal)
    } finally {
      await file.close()
    }
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof PolyadicError) throw cause
    throw new PolyadicError('POLYADIC_IO', `cannot read ${show(path)}: ${(cause as Error).message}`, { subject: path, cause })
  }
}

/**
 * Writes arrays as .npz, uncompressed; the file is there in whole or not at all, and the event loop stays free meanwhile: the arrays must not
 * be changed before the promise settles. Throws what `encodeNpz` throws; rejects with `signal.reason` when aborted.
 */
export async function writeNpz(location: string | URL, arrays: Arrays, options: AbortOptions = {}): Promise<void> {
  const path = filePath('path', location)
  checkOptions(options, abortOptions)
  const { signal } = options
  const entries = layOut(arrays)
  const sums: number[] = []
  for (const { chunks } of entries) sums.push(await slowChecksum(chunks, signal))
  await writeFileAtomically(path, archive(entries, sums), signal)
}

/** Encodes arrays as .npz, uncompressed. Throws `POLYADIC_UNSUPPORTED` beyond 4 GiB or 65,534 arrays. */
export function encodeNpz(arrays: Arrays): Uint8Array {
  const entries = layOut(arrays)
  return Buffer.concat([
    ...archive(
      entries,
      entries.map(({ chunks }) => checksum(chunks))
    )
  ])
}

/** An array on its way into an archive: its name there, its .npy file in pieces, and where its local header will be. */
interface Entry {
  readonly name: Buffer
  readonly chunks: readonly Uint8Array[]
  readonly size: number
  readonly offset: number
}

function layOut(arrays: Arrays): readonly Entry[] {
  checkRecord('arrays', arrays, 'an object of tensors by name')
  let offset = 0
  const named = Object.entries(arrays)
  const entries = named.map(([key, tensor]): Entry => {
    const name = Buffer.from(`${key}.npy`, 'utf8')
    const chunks = npyChunks(tensor, `arrays.${key}`)
    const size = chunks.reduce((sum, { length }) => sum + length, 0)
    const entry = { name, chunks, size, offset }
    offset += localLength + name.length + size
    return entry
  })
  if (offset > maxFileBytes || named.length > maxEntries)
    throw new PolyadicError('POLYADIC_UNSUPPORTED', '.npz: more than 4 GiB or 65,534 arrays are not supported', { subject: 'arrays' })
  return entries
}

/** The file in pieces; `sums`: the checksum of each entry. */
function* archive(entries: readonly Entry[], sums: readonly number[]): Generator<Uint8Array> {
  const directory: Buffer[] = []
  let end = 0
  for (const [i, { name, chunks, size, offset }] of entries.entries()) {
    const common = entryFields(sums[i] as number, size, name.length)
    yield Buffer.concat([uint32(localHeader), common, name])
    yield* chunks
    directory.push(Buffer.concat([uint32(centralHeader), uint16(20), common, Buffer.alloc(10), uint32(offset), name]))
    end = offset + localLength + name.length + size
  }
  const central = Buffer.concat(directory)
  const count = uint16(entries.length)
  yield central
  yield Buffer.concat([uint32(endOfCentral), Buffer.alloc(4), count, count, uint32(central.length), uint32(end), uint16(0)])
}

function checksum(chunks: readonly Uint8Array[]): number {
  // Of nothing Node's crc32 is 0, whatever came before it.
  return chunks.reduce((sum, chunk) => (chunk.length === 0 ? sum : crc32(chunk, sum)), 0)
}

/** The same, with a turn of the event loop between pieces. */
async function slowChecksum(chunks: readonly Uint8Array[], signal: AbortSignal | undefined): Promise<number> {
  let sum = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += pieceLength) {
      signal?.throwIfAborted()
      sum = crc32(chunk.subarray(at, at + pieceLength), sum)
      await turn()
    }
  }
  return sum
}

/**
 * Decodes .npz. Throws `POLYADIC_FORMAT` for what is damaged (checksums are compared), `POLYADIC_UNSUPPORTED` for zip64,
 * encryption or compression other than deflate. `name` is only for error messages.
 */
export function decodeNpz(bytes: Uint8Array, name = 'npz'): Record<string, Tensor> {
  checkBytes('bytes', bytes)
  checkString('name', name)
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { count, start } = endOf(file.subarray(Math.max(0, file.length - endSize - maxCommentBytes)), name)
  const arrays = entriesOf(file.subarray(start), count, name).map((entry): [string, Tensor] => {
    const head = file.subarray(entry.local, entry.local + localLength)
    const begin = contentsAt(head, entry, file.length, name)
    const packed = file.subarray(begin, begin + entry.packed)
    const data = entry.method === 0 ? packed : inflate(packed, entry, name)
    checkContents(entry, data.length, checksum([data]), name)
    return [entry.name.slice(0, -4), decodeNpy(data, `${name}:${entry.name}`)]
  })
  return Object.fromEntries(arrays)
}

/** As `decodeNpz`, of `size` bytes of which `read` gives some. */
async function readArchive(
  read: (at: number, length: number) => Promise<Buffer>,
  size: number,
  name: string,
  signal: AbortSignal | undefined
): Promise<Record<string, Tensor>> {
  const tail = Math.min(size, endSize + maxCommentBytes)
  const { count, start } = endOf(await read(size - tail, tail), name)
  const arrays: [string, Tensor][] = []
  for (const entry of entriesOf(await read(Math.min(start, size), Math.max(0, size - start)), count, name)) {
    const head = await read(Math.min(entry.local, size), Math.min(localLength, Math.max(0, size - entry.local)))
    const begin = contentsAt(head, entry, size, name)
    const packed = await read(begin, entry.packed)
    const data = entry.method === 0 ? packed : await inflateSlowly(packed, entry, name)
    checkContents(entry, data.length, await slowChecksum([data], signal), name)
    arrays.push([entry.name.slice(0, -4), decodeNpy(data, `${name}:${entry.name}`)])
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

/** What the end of an archive says of its directory; `tail`: the last bytes of the file. */
function endOf(tail: Buffer, name: string): { count: number; start: number } {
  for (let at = tail.length - endSize; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== endOfCentral) continue
    const [count, start] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 16)]
    if (count === 0xffff || start === 0xffffffff) throw unsupported(name, 'zip64')
    return { count, start }
  }
  throw malformed(name, 'it has no directory of a zip archive')
}

/** What the directory says of an array. */
interface Listed {
  readonly name: string
  readonly method: number
  readonly checksum: number
  /** Bytes in the archive, and unpacked. */
  readonly packed: number
  readonly size: number
  /** Where its local header stands. */
  readonly local: number
}

function entriesOf(directory: Buffer, count: number, name: string): readonly Listed[] {
  const entries: Listed[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== centralHeader) throw malformed(name, 'its directory is damaged')
    const [nameLength, extra, comment] = [directory.readUInt16LE(at + 28), directory.readUInt16LE(at + 30), directory.readUInt16LE(at + 32)]
    const entry = directory.toString('utf8', at + 46, at + 46 + nameLength)
    if (!entry.endsWith('.npy')) throw malformed(name, `its entry ${show(entry)} is no .npy file`)
    const [flags, method, checksum] = [directory.readUInt16LE(at + 8), directory.readUInt16LE(at + 10), directory.readUInt32LE(at + 16)]
    const [packed, size, local] = [directory.readUInt32LE(at + 20), directory.readUInt32LE(at + 24), directory.readUInt32LE(at + 42)]
    if ((flags & 1) !== 0) throw unsupported(name, 'encryption')
    if (method !== 0 && method !== 8) throw unsupported(name, `compression method ${method}`)
    if (packed === 0xffffffff || size === 0xffffffff || local === 0xffffffff) throw unsupported(name, 'zip64')
    entries.push({ name: entry, method, checksum, packed, size, local })
    at += 46 + nameLength + extra + comment
  }
  return entries
}

/** Where the contents begin, by the local header `head` in front of them, in a file of `length` bytes. */
function contentsAt(head: Buffer, { name: entry, local, packed }: Listed, length: number, name: string): number {
  if (head.length < localLength || head.readUInt32LE(0) !== localHeader) throw malformed(name, `its entry ${show(entry)} is damaged`)
  const begin = local + localLength + head.readUInt16LE(26) + head.readUInt16LE(28)
  if (begin + packed > length) throw malformed(name, `its entry ${show(entry)} is truncated`)
  return begin
}

function checkContents(entry: Listed, length: number, sum: number, name: string): void {
  if (length !== entry.size || sum !== entry.checksum) throw malformed(name, `the checksum of its entry ${show(entry.name)} is wrong`)
}

// The length is known: what would grow beyond it is not unpacked any further.
const limitOf = ({ size }: Listed): { maxOutputLength: number } => ({ maxOutputLength: Math.max(1, size) })

function inflate(packed: Uint8Array, entry: Listed, name: string): Uint8Array {
  try {
    return inflateRawSync(packed, limitOf(entry))
  } catch (cause) {
    throw notUnpacked(entry, name, cause)
  }
}

/** On a thread of Node's pool. */
async function inflateSlowly(packed: Uint8Array, entry: Listed, name: string): Promise<Uint8Array> {
  return inflateOnPool(packed, limitOf(entry)).catch((cause: unknown) => {
    throw notUnpacked(entry, name, cause)
  })
}

function notUnpacked({ name: entry }: Listed, name: string, cause: unknown): PolyadicError {
  return new PolyadicError('POLYADIC_FORMAT', `${show(name)} is not a valid .npz file: its entry ${show(entry)} cannot be unpacked`, {
    subject: name,
    cause
  })
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
