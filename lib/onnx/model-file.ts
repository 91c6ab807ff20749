import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { PolyadicError } from '../errors.js'
import { readExactly } from '../formats/read-exactly.js'
import { attributeProto, graphProto, modelProto, nodeProto, tensorProto } from './schema.js'
import { wireType } from './wire.js'

/** In bytes. */
export interface ScanLimits {
  /** Smaller files are read at once. */
  readonly whole: number
  /** Smaller tensors stay where they are in the file's bytes. */
  readonly hole: number
  /** What is read ahead of the place that is looked at. */
  readonly window: number
}

const defaults: ScanLimits = { whole: 2 ** 20, hole: 2 ** 16, window: 2 ** 18 }

/** The longest tag with the longest length behind it. */
const headerLength = 20

/** A model file that is open, with everything in memory but the large pieces of raw tensor data. */
export interface ModelFile {
  readonly file: FileHandle
  /** As long as the file. Memory of holes was never written to, so that it takes no place. */
  readonly bytes: Uint8Array
  /** The length of each hole by where it begins. */
  readonly holes: ReadonlyMap<number, number>
}

/**
 * Opens a model file and reads it, without the large pieces of raw tensor data: those are read later, straight into the arrays that keep
 * them (where they also are aligned). A model thus takes its own size in memory, not twice that. Throws `POLYADIC_IO` naming the path.
 * Rejects with `signal.reason` when aborted.
 */
export async function openModelFile(path: string, signal?: AbortSignal, limits: ScanLimits = defaults): Promise<ModelFile> {
  let file: FileHandle | undefined
  try {
    // Asked before opening: opening a pipe would wait for somebody to write to it.
    if (!(await stat(path)).isFile()) throw new PolyadicError('POLYADIC_IO', `${JSON.stringify(path)}: not a file`, { subject: path })
    file = await open(path, 'r')
    const bytes = new Uint8Array((await file.stat()).size)
    return { file, bytes, holes: await new Scanner(file, bytes, limits, JSON.stringify(path), signal).scan() }
  } catch (cause) {
    await file?.close()
    signal?.throwIfAborted()
    if (cause instanceof PolyadicError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    const code = cause instanceof RangeError ? 'POLYADIC_MEMORY' : 'POLYADIC_IO'
    throw new PolyadicError(code, `${JSON.stringify(path)}: cannot be read: ${reason}`, { subject: path, cause })
  }
}

/** A message that may hold raw data, by field number; `hole` is the raw data itself. */
interface Level {
  readonly [field: number]: Level | 'hole'
}

const tensorLevel: Level = { [tensorProto.fields.raw_data]: 'hole' }
const modelLevel: Level = {
  [modelProto.fields.graph]: {
    [graphProto.fields.initializer]: tensorLevel,
    [graphProto.fields.node]: { [nodeProto.fields.attribute]: { [attributeProto.fields.t]: tensorLevel } }
  }
}

/**
 * Reads a file from front to back and finds holes on the way. It only follows lengths: what it cannot follow is read whole, and the
 * reader of the model says what is wrong with it.
 */
class Scanner {
  readonly #file: FileHandle
  readonly #bytes: Uint8Array
  readonly #limits: ScanLimits
  readonly #name: string
  readonly #signal: AbortSignal | undefined
  readonly #holes = new Map<number, number>()
  /** All before it is in memory or a hole. */
  #loaded = 0

  constructor(file: FileHandle, bytes: Uint8Array, limits: ScanLimits, name: string, signal: AbortSignal | undefined) {
    this.#file = file
    this.#bytes = bytes
    this.#limits = limits
    this.#name = name
    this.#signal = signal
  }

  async scan(): Promise<ReadonlyMap<number, number>> {
    const { length } = this.#bytes
    if (length >= this.#limits.whole) await this.#walk(0, length, modelLevel)
    await this.#load(length)
    return this.#holes
  }

  /** Goes through the fields of a message; false when they cannot be followed. */
  async #walk(start: number, end: number, level: Level): Promise<boolean> {
    let position = start
    while (position < end) {
      if (position + headerLength > this.#loaded) await this.#load(position + headerLength)
      const header = this.#header(position, end)
      if (header === undefined) return false
      const { field, content, next } = header
      const inside = level[field]
      if (inside === 'hole' && header.isLong && next - content >= this.#limits.hole) this.#skip(content, next)
      else if (typeof inside === 'object' && header.isLong && !(await this.#walk(content, next, inside))) return false
      position = next
    }
    return true
  }

  #skip(start: number, end: number): void {
    this.#holes.set(start, end - start)
    this.#loaded = Math.max(this.#loaded, end)
  }

  /** Reads on up to `end`, and some more. */
  async #load(end: number): Promise<void> {
    const to = Math.min(this.#bytes.length, Math.max(end, this.#loaded + this.#limits.window))
    if (to <= this.#loaded || end <= this.#loaded) return
    await readExactly(this.#file, this.#bytes.subarray(this.#loaded, to), this.#loaded, this.#name, this.#signal)
    this.#loaded = to
  }

  #header(position: number, end: number): { field: number; isLong: boolean; content: number; next: number } | undefined {
    const tag = this.#varint(position, end)
    if (tag === undefined) return undefined
    const [wire, field] = [tag.value % 8, Math.floor(tag.value / 8)]
    const content = tag.next
    let next: number | undefined
    if (wire === wireType.fixed32) next = content + 4
    else if (wire === wireType.fixed64) next = content + 8
    else {
      const varint = this.#varint(content, end)
      if (varint === undefined || (wire !== wireType.varint && wire !== wireType.bytes)) return undefined
      if (wire === wireType.bytes && varint.next + varint.value <= end) {
        return { field, isLong: true, content: varint.next, next: varint.next + varint.value }
      }
      next = wire === wireType.varint ? varint.next : undefined
    }
    return next === undefined || next > end ? undefined : { field, isLong: false, content, next }
  }

  #varint(position: number, end: number): { value: number; next: number } | undefined {
    let value = 0
    for (let i = 0; i < 10 && position + i < end; i++) {
      const byte = this.#bytes[position + i] as number
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return { value, next: position + i + 1 }
    }
    return undefined
  }
}
