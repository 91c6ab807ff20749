import { decodeUtf8 } from './wire.js'

const signatures: readonly (readonly [what: string, offset: number, bytes: string])[] = [
  ['a PNG image', 0, '\x89PNG'],
  ['a JPEG image', 0, '\xff\xd8\xff'],
  ['a ZIP archive, as PyTorch and NumPy write them', 0, 'PK\x03\x04'],
  ['gzip-compressed', 0, '\x1f\x8b'],
  ['an HDF5 file, as Keras writes them', 0, '\x89HDF'],
  ['a NumPy array', 0, '\x93NUMPY'],
  ['a TensorFlow Lite model', 4, 'TFL3'],
  ['an ONNX Runtime (.ort) model', 4, 'ORTM'],
  ['a Git LFS pointer: fetch the file itself with `git lfs pull`', 0, 'version https://git-lfs']
]

/** What `bytes` are when they certainly are no ONNX model, in words for an error message; undefined otherwise. */
export function sniffForeign(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'the file is empty'
  const known = signatures.find(([, offset, signature]) => {
    return [...signature].every((char, i) => bytes[offset + i] === char.charCodeAt(0))
  })
  if (known !== undefined) return `it is ${known[0]}`
  // A model holds zero bytes or other control characters early on, text never does.
  const start = decodeUtf8(bytes.subarray(0, 64))
  if (start === undefined || /[\0-\x08\x0e-\x1f]/.test(start)) return undefined
  if (/^\s*[{[]/.test(start)) return 'it is JSON text'
  return /^\s*</.test(start) ? 'it is HTML or XML text' : undefined
}
