import sharp from 'sharp'
import { patch } from '../charnet/architecture.js'

// polyadic and the event loop share the processors: one thread an image is enough.
sharp.concurrency(1)
sharp.cache(false)

/** What a client has sent is no image that can be read. */
export class BadImageError extends Error {}

/** PNG, JPEG, WebP, … as CharNet wants it: 24×24 grey, mean 0, standard deviation 1. */
export async function decodePatch(bytes: Buffer): Promise<Float32Array> {
  let pixels: Buffer
  try {
    pixels = await sharp(bytes, { limitInputPixels: 4096 * 4096 })
      .flatten({ background: 'white' })
      .resize(patch, patch, { fit: 'fill' })
      .greyscale()
      .raw()
      .toBuffer()
  } catch (cause) {
    throw new BadImageError('the body is no image that can be decoded', { cause })
  }
  return normalised(pixels)
}

function normalised(pixels: Uint8Array): Float32Array {
  const patchData = Float32Array.from(pixels)
  const mean = patchData.reduce((sum, value) => sum + value, 0) / patchData.length
  const variance = patchData.reduce((sum, value) => sum + (value - mean) ** 2, 0) / patchData.length
  const deviation = Math.sqrt(variance) || 1
  return patchData.map((value) => (value - mean) / deviation)
}
