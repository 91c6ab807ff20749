/** A protobuf message taken apart without its schema: what looks like a message inside of a field is taken apart too. */
export interface WireField {
  number: number
  wire: number
  /** Of a varint. */
  value: bigint
  /** Of a 32-bit, 64-bit or length-delimited field that is no message. */
  content: Uint8Array
  children: WireField[] | undefined
}

const maximumDepth = 12

/** The fields of `bytes`, or undefined when they are no message. */
export function parseTree(bytes: Uint8Array, depth = 0): WireField[] | undefined {
  const fields: WireField[] = []
  let position = 0
  const varint = (): bigint | undefined => {
    let value = 0n
    for (let shift = 0n; position < bytes.length && shift < 70n; shift += 7n) {
      const byte = bytes[position++] as number
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    return undefined
  }
  while (position < bytes.length) {
    const tag = varint()
    if (tag === undefined || tag >> 3n === 0n || tag >> 3n > 1000n) return undefined
    const field: WireField = {
      number: Number(tag >> 3n),
      wire: Number(tag & 7n),
      value: 0n,
      content: new Uint8Array(),
      children: undefined
    }
    let length = field.wire === 1 ? 8 : field.wire === 5 ? 4 : 0
    if (field.wire === 0 || field.wire === 2) {
      const value = varint()
      if (value === undefined) return undefined
      if (field.wire === 0) field.value = value
      else if (value > BigInt(bytes.length - position)) return undefined
      else length = Number(value)
    } else if (length === 0) return undefined
    if (position + length > bytes.length) return undefined
    field.content = bytes.subarray(position, position + length)
    position += length
    if (field.wire === 2 && length > 1 && depth < maximumDepth) field.children = parseTree(field.content, depth + 1)
    fields.push(field)
  }
  return fields
}

/** The bytes of a message; lengths are those of what is inside now. */
export function encodeTree(fields: readonly WireField[]): Uint8Array {
  const parts = fields.map((field): Uint8Array => {
    const tag = encodeVarint(BigInt(field.number * 8 + field.wire))
    if (field.wire === 0) return joined([tag, encodeVarint(field.value)])
    const content = field.children === undefined ? field.content : encodeTree(field.children)
    return joined(field.wire === 2 ? [tag, encodeVarint(BigInt(content.length)), content] : [tag, content])
  })
  return joined(parts)
}

/** Every list of fields in the tree, the outermost first. */
export function messagesOf(fields: WireField[]): WireField[][] {
  return [fields, ...fields.flatMap((field) => (field.children === undefined ? [] : messagesOf(field.children)))]
}

export function encodeVarint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Uint8Array.of(...bytes, Number(rest))
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
