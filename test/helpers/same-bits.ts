/** Whether two arrays hold the same bits. tap's own comparison of typed arrays takes minutes. */
export function sameBits(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return bytes(a).equals(bytes(b))
}

function bytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
}
