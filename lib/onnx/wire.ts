import { PolyadicError } from '../errors.js'

/** One field exactly as the file has it, tag included. What is not interpreted is carried as these. */
export interface RawField {
  readonly field: number
  readonly bytes: Uint8Array
}

/** A message's name and field numbers: what errors call them by. */
export interface MessageSchema {
  readonly name: string
  readonly fields: Readonly<Record<string, number>>
}

export const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

const wireNames: Readonly<Record<number, string>> = { 0: 'varint', 1: '64-bit', 2: 'length-delimited', 5: '32-bit' }

/** As deep as other protobuf implementations go; sub-graphs in sub-graphs are the only recursion there is. */
const maximumDepth = 100

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads one protobuf message field by field, over a view of the whole file, so that errors give offsets in the file.
 * Everything is checked: the bytes are not trusted. `next()` moves to the next field; the caller then takes its value by
 * exactly one of the reading methods.
 */
export class WireReader {
  readonly bytes: Uint8Array
  readonly schema: MessageSchema
  /** The number and wire type of the current field. */
  field = 0
  wire = 0
  #position: number
  #end: number
  #tagStart: number
  #low = 0
  #high = 0
  readonly #depth: number
  readonly #view: DataView

  constructor(bytes: Uint8Array, schema: MessageSchema, start = 0, end = bytes.length, depth = 0) {
    this.bytes = bytes
    this.schema = schema
    this.#position = start
    this.#tagStart = start
    this.#end = end
    this.#depth = depth
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes left in this message: an upper bound on the elements that may still come. */
  get remaining(): number {
    return this.#end - this.#position
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#position >= this.#end) return false
    this.#tagStart = this.#position
    this.field = 0
    this.#readVarint()
    if (this.#high !== 0) throw this.error('a field tag of more than 32 bits')
    this.field = this.#low >>> 3
    this.wire = this.#low & 7
    if (this.field === 0) throw this.error('field number 0')
    if (wireNames[this.wire] === undefined) throw this.error(`unsupported wire type ${this.wire}`)
    return true
  }

  /** A second reader at the place where this one is now: for messages that are read in two passes. */
  fork(): WireReader {
    return new WireReader(this.bytes, this.schema, this.#position, this.#end, this.#depth)
  }

  /** An int64 as the nearest number; `lastInt64()` has it exactly. A zero that the file spells out is noted in `explicit`. */
  integer(explicit?: RawField[]): number {
    this.expect(wireType.varint)
    const value = this.varint()
    if (value === 0 && explicit !== undefined) explicit.push(this.#rawSoFar())
    return value
  }

  /** One bare varint as a signed number: an element inside of `elements`. */
  varint(): number {
    this.#readVarint()
    return (this.#high | 0) * 0x1_0000_0000 + this.#low
  }

  /** The last varint as a signed 64-bit integer. */
  lastInt64(): bigint {
    return (BigInt(this.#high | 0) << 32n) | BigInt(this.#low)
  }

  /** One bare little-endian float32: an element inside of `elements`. */
  float32(): number {
    return this.#view.getFloat32(this.#advance(4), true)
  }

  /** One bare little-endian float64: an element inside of `elements`. */
  float64(): number {
    return this.#view.getFloat64(this.#advance(8), true)
  }

  /**
   * Calls `each` for every element of a repeated scalar field, packed or not; `each` reads one bare element.
   * Returns whether the field was packed.
   */
  elements(elementWire: number, each: () => void): boolean {
    if (this.wire !== wireType.bytes) {
      this.expect(elementWire)
      each()
      return false
    }
    const outerEnd = this.#end
    this.#end = this.#length() + this.#position
    while (this.#position < this.#end) each()
    this.#end = outerEnd
    return true
  }

  /** A view of a length-delimited field's content; nothing is copied. */
  view(explicit?: RawField[]): Uint8Array {
    this.expect(wireType.bytes)
    const length = this.#length()
    const start = this.#advance(length)
    if (length === 0 && explicit !== undefined) explicit.push(this.#rawSoFar())
    return this.bytes.subarray(start, start + length)
  }

  /** A UTF-8 string. An empty one that the file spells out is noted in `explicit`. */
  string(explicit?: RawField[]): string {
    const view = this.view(explicit)
    const text = decodeUtf8(view)
    if (text === undefined) throw this.error('a string is not valid UTF-8')
    return text
  }

  /** A reader of the sub-message that the current field holds. */
  message(schema: MessageSchema): WireReader {
    this.expect(wireType.bytes)
    if (this.#depth >= maximumDepth) throw this.error(`messages nested more than ${maximumDepth} deep`)
    const length = this.#length()
    const start = this.#advance(length)
    return new WireReader(this.bytes, schema, start, start + length, this.#depth + 1)
  }

  /** As `message`, but stays at the field, so that it can be taken once more. */
  peek(schema: MessageSchema): WireReader {
    const start = this.#position
    const reader = this.message(schema)
    this.#position = start
    return reader
  }

  /** As `view`, but stays at the field, so that it can be taken once more. */
  peekView(): Uint8Array {
    const start = this.#position
    const view = this.view()
    this.#position = start
    return view
  }

  /** The current field as the file has it. */
  raw(): RawField {
    this.skip()
    return this.#rawSoFar()
  }

  /** As `raw`, but stays at the field, so that it can be taken once more. */
  peekRaw(): RawField {
    const start = this.#position
    const field = this.raw()
    this.#position = start
    return field
  }

  skip(): void {
    if (this.wire === wireType.varint) this.#readVarint()
    else if (this.wire === wireType.fixed64) this.#advance(8)
    else if (this.wire === wireType.fixed32) this.#advance(4)
    else this.#advance(this.#length())
  }

  expect(wire: number): void {
    if (this.wire !== wire) throw this.error(`expected a ${wireNames[wire]} value, got a ${wireNames[this.wire]} one`)
  }

  /** An error at the current place: `NodeProto.attribute: … (byte 120)`. */
  error(what: string): PolyadicError {
    const subject = `${this.schema.name}${this.field === 0 ? '' : `.${this.#fieldName()}`}`
    return new PolyadicError('POLYADIC_FORMAT', `${subject}: ${what} (byte ${this.#position})`, { subject })
  }

  #fieldName(): string {
    const known = Object.entries(this.schema.fields).find(([, number]) => number === this.field)
    return known === undefined ? `field ${this.field}` : known[0]
  }

  #rawSoFar(): RawField {
    return { field: this.field, bytes: this.bytes.subarray(this.#tagStart, this.#position) }
  }

  #length(): number {
    this.#readVarint()
    const length = this.#high * 0x1_0000_0000 + this.#low
    if (length > this.#end - this.#position) {
      throw this.error(`a length of ${length} runs ${length - (this.#end - this.#position)} bytes past the end`)
    }
    return length
  }

  #advance(count: number): number {
    const start = this.#position
    if (count > this.#end - start) throw this.error(`a value of ${count} bytes runs past the end`)
    this.#position = start + count
    return start
  }

  #readVarint(): void {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#position >= this.#end) throw this.error('a varint runs past the end')
      const byte = this.bytes[this.#position++] as number
      const bits = byte & 0x7f
      if (shift === 63 && bits > 1) throw this.error('a varint of more than 64 bits')
      if (shift < 28) low |= bits << shift
      else if (shift > 28) high |= bits << (shift - 32)
      else {
        low |= bits << 28
        high = bits >>> 4
      }
      if (byte < 0x80) {
        this.#low = low >>> 0
        this.#high = high >>> 0
        return
      }
    }
    throw this.error('a varint of more than 10 bytes')
  }
}

/** The text that `bytes` spell in UTF-8, or undefined. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
