import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { endianness } from 'node:os'
import { PolyadicError, show } from '../errors.js'
import { writeFileAtomically } from '../formats/atomic-write.js'

const magic = 'polyadic training checkpoint 2\n'
/** Of version 1, which did not say which network's weights it began with. */
const formerMagic = 'polyadic training checkpoint 1\n'

/** Any JSON-like value with float32 arrays in it; one array in several places is stored once. */
export type Saved = null | boolean | number | string | Float32Array | readonly Saved[] | { readonly [key: string]: Saved | undefined }

/**
 * Writes a value whole or not at all: the magic line, the length of the header (8 digits and a newline would not do for all, so 16
 * hexadecimal ones), a JSON header that says where arrays are, the arrays (little-endian float32), and the SHA-256 of all of it.
 * Numbers that JSON lacks (NaN, ±Infinity, −0) survive. Throws POLYADIC_IO.
 */
export async function writeCheckpoint(path: string, value: object): Promise<void> {
  const arrays: Float32Array[] = []
  const known = new Map<Float32Array, number>()
  const encode = (item: unknown): unknown => {
    if (item instanceof Float32Array) {
      const index = known.get(item) ?? arrays.push(item) - 1
      known.set(item, index)
      return { $array: index }
    }
    if (typeof item === 'number' && (!Number.isFinite(item) || Object.is(item, -0)))
      return { $number: Object.is(item, -0) ? '-0' : String(item) }
    if (Array.isArray(item)) return item.map(encode)
    if (typeof item !== 'object' || item === null) return item
    return Object.fromEntries(Object.entries(item).flatMap(([key, field]) => (field === undefined ? [] : [[key, encode(field)]])))
  }
  const body = encode(value)
  const header = Buffer.from(JSON.stringify({ lengths: arrays.map(({ length }) => length), body }))
  const chunks = [Buffer.from(magic), Buffer.from(header.length.toString(16).padStart(16, '0')), header, ...arrays.map(bytesOf)]
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  await writeFileAtomically(path, [...chunks, hash.digest()])
}

/** Reads it back; `undefined` when there is no such file. Throws POLYADIC_FORMAT for one that is cut short, changed or something else. */
export async function readCheckpoint(path: string): Promise<unknown> {
  if ((await stat(path).catch(() => undefined)) === undefined) return undefined
  const data = await readWhole(path)
  const fail = (what: string): never => {
    throw new PolyadicError('POLYADIC_FORMAT', `${show(path)}: ${what}`, { subject: path })
  }
  const start = magic.length + 16
  const found = data.subarray(0, magic.length).toString('latin1')
  if (found === formerMagic)
    fail('a training checkpoint of an earlier version, which this one cannot go on from; begin again without resume')
  if (found !== magic) fail('not a training checkpoint of this version')
  if (data.length < start + 32) fail('the checkpoint is cut short')
  const content = data.subarray(0, data.length - 32)
  if (!createHash('sha256').update(content).digest().equals(data.subarray(content.length)))
    fail('the checkpoint is cut short or was changed')
  const length = Number.parseInt(data.subarray(magic.length, start).toString('latin1'), 16)
  const { lengths, body } = JSON.parse(data.subarray(start, start + length).toString()) as { lengths: number[]; body: unknown }
  let at = start + length
  const arrays = lengths.map((count) => {
    const bytes = data.subarray(at, (at += 4 * count))
    return floatsOf(bytes, count)
  })
  return decode(body, arrays)
}

function decode(item: unknown, arrays: readonly Float32Array[]): unknown {
  if (Array.isArray(item)) return item.map((part) => decode(part, arrays))
  if (typeof item !== 'object' || item === null) return item
  if ('$array' in item) return arrays[item.$array as number]
  if ('$number' in item) return Number(item.$number)
  return Object.fromEntries(Object.entries(item).map(([key, field]) => [key, decode(field, arrays)]))
}

function bytesOf(array: Float32Array): Buffer {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength)
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32()
}

function floatsOf(bytes: Buffer, count: number): Float32Array {
  const result = new Float32Array(count)
  const to = Buffer.from(result.buffer)
  bytes.copy(to)
  if (endianness() === 'BE') to.swap32()
  return result
}

// In pieces: readFile stops at 2 GiB.
async function readWhole(path: string): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const data = Buffer.allocUnsafe(size)
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(data, at, Math.min(size - at, 1 << 30), at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return data
  } finally {
    await file.close()
  }
}
