import sharp from 'sharp'
import { patch } from '../charnet/architecture.js'

// polyadic and the event loop share the processors: one thread an image is enough.
sharp.concurrency(1)
sharp.cache(false)

/** What a client has sent is no image that can be read. */
export class BadImageError extends Error {}

/** PNG, JPEG, WebP, … as CharNet wants it: 24×24 grey, mean 0, standard deviation 1. */
export async function decodePatch(bytes: Buffer): Promise<Float32Array> {
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: 4096 * 4096 })
      .flatten({ background: 'white' })
      .resize(patch, patch, { fit: 'fill' })
      .raw()
      .toBuffer({ resolveWithObject: true })
    return normalised(grey(data, info.channels))
  } catch (cause) {
    throw new BadImageError('the body is no image that can be decoded', { cause })
  }
}

// sharp's own greyscale() goes through linear light: that took as long as all the rest of decoding.
function grey(pixels: Uint8Array, channels: number): Float32Array {
  if (channels < 3) return Float32Array.from({ length: pixels.length / channels }, (_, i) => pixels[i * channels] as number)
  const at = (i: number): number => pixels[i] as number
  return Float32Array.from({ length: pixels.length / channels }, (_, i) => {
    const first = i * channels
    return 0.2126 * at(first) + 0.7152 * at(first + 1) + 0.0722 * at(first + 2)
  })
}

function normalised(patchData: Float32Array): Float32Array {
  const mean = patchData.reduce((sum, value) => sum + value, 0) / patchData.length
  const variance = patchData.reduce((sum, value) => sum + (value - mean) ** 2, 0) / patchData.length
  const deviation = Math.sqrt(variance) || 1
  return patchData.map((value) => (value - mean) / deviation)
}
