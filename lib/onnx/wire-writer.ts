import { wireType } from './wire.js'
import type { RawField } from './wire.js'

/** Content at least this long is kept by reference, so that weights are not copied while a model is put together. */
const referenceLength = 4096

const encoder = new TextEncoder()

/**
 * Writes one protobuf message. Fields are to be written in ascending order; `extra` fields (unknown to us, or carried
 * uninterpreted) are merged in by number, as the canonical encoding has them. An extra field whose number is
 * also written by the caller is superseded and dropped.
 */
export class MessageWriter {
  readonly #chunks: Uint8Array[] = []
  readonly #extra: readonly RawField[]
  #extraIndex = 0
  #buffer = new Uint8Array(64)
  #used = 0

  constructor(extra: readonly RawField[] = []) {
    this.#extra = [...extra].sort((a, b) => a.field - b.field)
  }

  /** An integer field of up to 64 bits; negative ones take ten bytes, as protobuf has it. */
  integer(field: number, value: number | bigint): void {
    this.#tag(field, wireType.varint)
    this.#varint(value)
  }

  /** As `integer`, but left out when zero: the default of scalar fields. */
  optionalInteger(field: number, value: number): void {
    if (value !== 0) this.integer(field, value)
  }

  float32(field: number, value: number): void {
    this.#tag(field, wireType.fixed32)
    this.#fixed32(value)
  }

  string(field: number, value: string): void {
    this.bytes(field, encoder.encode(value))
  }

  /** As `string`, but left out when empty: the default of string fields. */
  optionalString(field: number, value: string): void {
    if (value !== '') this.string(field, value)
  }

  bytes(field: number, content: Uint8Array): void {
    this.#tag(field, wireType.bytes)
    this.#varint(content.length)
    this.#append(content)
  }

  message(field: number, child: MessageWriter): void {
    const chunks = child.finish()
    this.#tag(field, wireType.bytes)
    this.#varint(totalLength(chunks))
    for (const chunk of chunks) this.#append(chunk)
  }

  integers(field: number, values: ArrayLike<number | bigint>, packed: boolean): void {
    if (packed) return this.#packed(field, (content) => forEach(values, (value) => content.#varint(value)), values.length)
    forEach(values, (value) => this.integer(field, value))
  }

  floats(field: number, values: ArrayLike<number>, packed: boolean): void {
    if (packed) return this.#packed(field, (content) => forEach(values, (value) => content.#fixed32(value)), values.length)
    forEach(values, (value) => this.float32(field, value))
  }

  /** The whole message in pieces, some of them views of what was given: write them before that is changed. */
  finish(): readonly Uint8Array[] {
    this.#flushExtra(Infinity)
    this.#flush()
    return this.#chunks
  }

  #packed(field: number, fill: (content: MessageWriter) => void, count: number): void {
    if (count === 0) return
    const content = new MessageWriter()
    fill(content)
    this.message(field, content)
  }

  #tag(field: number, wire: number): void {
    this.#flushExtra(field)
    while (this.#extra[this.#extraIndex]?.field === field) this.#extraIndex++
    this.#varint(field * 8 + wire)
  }

  #flushExtra(before: number): void {
    for (;;) {
      const next = this.#extra[this.#extraIndex]
      if (next === undefined || next.field >= before) return
      this.#append(next.bytes)
      this.#extraIndex++
    }
  }

  #varint(value: number | bigint): void {
    this.#reserve(10)
    if (typeof value === 'bigint' || value < 0) return this.#varint64(BigInt.asUintN(64, BigInt(value)))
    let rest = value
    while (rest > 0x7f) {
      this.#buffer[this.#used++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#used++] = rest
  }

  #varint64(value: bigint): void {
    let rest = value
    while (rest > 0x7fn) {
      this.#buffer[this.#used++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#buffer[this.#used++] = Number(rest)
  }

  #fixed32(value: number): void {
    this.#reserve(4)
    new DataView(this.#buffer.buffer).setFloat32(this.#used, value, true)
    this.#used += 4
  }

  #append(content: Uint8Array): void {
    if (content.length >= referenceLength) {
      this.#flush()
      this.#chunks.push(content)
      return
    }
    this.#reserve(content.length)
    this.#buffer.set(content, this.#used)
    this.#used += content.length
  }

  #reserve(count: number): void {
    if (this.#used + count <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(this.#used + count, this.#buffer.length * 2))
    grown.set(this.#buffer.subarray(0, this.#used))
    this.#buffer = grown
  }

  #flush(): void {
    if (this.#used === 0) return
    this.#chunks.push(this.#buffer.subarray(0, this.#used))
    this.#buffer = new Uint8Array(64)
    this.#used = 0
  }
}

/** The bytes that `chunks` hold together. */
export function totalLength(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

/** All `chunks` in one array (a copy). */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(totalLength(chunks))
  let offset = 0
  for (const chunk of chunks) {
    joined.set(chunk, offset)
    offset += chunk.length
  }
  return joined
}

function forEach<T>(values: ArrayLike<T>, each: (value: T) => void): void {
  for (let i = 0; i < values.length; i++) each(values[i] as T)
}
