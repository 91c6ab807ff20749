// The glyph atlas: every glyph of every family once, as 8-bit coverage, in one compressed file.
//
//   bytes 0–3    'GLY1'
//   bytes 4–7    u32 LE, length of the JSON index in bytes
//   bytes 8–11   u32 LE, length of the bitmaps in bytes
//   bytes 12–15  u32 LE, CRC-32 of index and bitmaps
//   bytes 16–    Brotli stream of index followed by bitmaps
//
// Bitmaps are tight boxes, row-major, in the order families × `glyphs`, without gaps.
// All lengths of the index are in atlas pixels; capitals of every family are `capHeight` high.

import { readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, brotliDecompressSync, constants, crc32 } from 'node:zlib'

export type Split = 'train' | 'validation' | 'test'

export const splits: readonly Split[] = ['train', 'validation', 'test']

export const glyphs = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export interface GlyphBox {
  /** From the pen to the left edge of the bitmap. */
  readonly left: number
  /** From the baseline up to the top edge of the bitmap. */
  readonly top: number
  readonly width: number
  readonly height: number
  /** From the pen to the pen of the next glyph. */
  readonly advance: number
}

export interface AtlasFamily {
  readonly name: string
  readonly split: Split
  /** One of each of `glyphs`: [left, top, width, height, advance]. */
  readonly boxes: readonly (readonly [number, number, number, number, number])[]
}

export interface AtlasIndex {
  readonly capHeight: number
  readonly families: readonly AtlasFamily[]
}

export interface Glyph extends GlyphBox {
  /** height × width, row-major: coverage 0…255. */
  readonly coverage: Uint8Array
}

export interface Family {
  readonly name: string
  readonly split: Split
  /** In the order of `glyphs`. */
  readonly glyphs: readonly Glyph[]
}

export interface Atlas {
  readonly capHeight: number
  readonly families: readonly Family[]
}

export class AtlasError extends Error {
  override readonly name = 'AtlasError'
}

const magic = 'GLY1'
const headerBytes = 16
const fileName = 'glyphs.bin'

export function encodeAtlas(atlas: Atlas): Buffer {
  const families = atlas.families.map(
    ({ name, split, glyphs: list }): AtlasFamily => ({
      name,
      split,
      boxes: list.map((g) => [g.left, g.top, g.width, g.height, g.advance])
    })
  )
  const index = Buffer.from(JSON.stringify({ capHeight: atlas.capHeight, families } satisfies AtlasIndex))
  const bitmaps = Buffer.concat(atlas.families.flatMap((f) => f.glyphs.map((g) => g.coverage)))
  const content = Buffer.concat([index, bitmaps])
  const header = Buffer.alloc(headerBytes)
  header.write(magic, 'latin1')
  header.writeUInt32LE(index.length, 4)
  header.writeUInt32LE(bitmaps.length, 8)
  header.writeUInt32LE(crc32(content), 12)
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: content.length
  }
  return Buffer.concat([header, brotliCompressSync(content, { params })])
}

/** `file` is what error messages call the data. */
export function decodeAtlas(data: Buffer, file: string): Atlas {
  if (data.length < headerBytes || data.toString('latin1', 0, 4) !== magic) {
    throw new AtlasError(`${file}: expected a glyph atlas that starts with '${magic}', got ${data.length} other bytes`)
  }
  const indexBytes = data.readUInt32LE(4)
  const bitmapBytes = data.readUInt32LE(8)
  const content = inflate(data.subarray(headerBytes), indexBytes + bitmapBytes, file)
  const sum = crc32(content)
  if (content.length !== indexBytes + bitmapBytes || sum !== data.readUInt32LE(12)) {
    throw new AtlasError(
      `${file}: expected ${indexBytes + bitmapBytes} bytes with CRC ${data.readUInt32LE(12)}, ` +
        `got ${content.length} bytes with CRC ${sum}`
    )
  }
  const index = JSON.parse(content.toString('utf8', 0, indexBytes)) as AtlasIndex
  const bitmaps = new Uint8Array(content.buffer, content.byteOffset + indexBytes, bitmapBytes)
  return { capHeight: index.capHeight, families: cutGlyphs(index, bitmaps, file) }
}

function inflate(stream: Buffer, expected: number, file: string): Buffer {
  try {
    return brotliDecompressSync(stream, { maxOutputLength: Math.max(1, expected) })
  } catch (cause) {
    throw new AtlasError(`${file}: expected ${expected} compressed bytes, got a damaged stream`, { cause })
  }
}

function cutGlyphs(index: AtlasIndex, bitmaps: Uint8Array, file: string): Family[] {
  let offset = 0
  const families = index.families.map(({ name, split, boxes }): Family => {
    if (boxes.length !== glyphs.length) {
      throw new AtlasError(`${file}: expected ${glyphs.length} glyphs of ${name}, got ${boxes.length}`)
    }
    const list = boxes.map(([left, top, width, height, advance]): Glyph => {
      const coverage = bitmaps.subarray(offset, (offset += width * height))
      return { left, top, width, height, advance, coverage }
    })
    return { name, split, glyphs: list }
  })
  if (offset !== bitmaps.length) {
    throw new AtlasError(`${file}: expected bitmaps of ${offset} bytes, got ${bitmaps.length}`)
  }
  return families
}

export async function readAtlas(file: string = findAtlas()): Promise<Atlas> {
  let data: Buffer
  try {
    data = await readFile(file)
  } catch (cause) {
    throw new AtlasError(`${file}: expected the glyph atlas of the CharNet example, could not read it`, { cause })
  }
  return decodeAtlas(data, file)
}

/** Beside this module, or, when it runs from a build folder, in the sources of a folder above. */
function findAtlas(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const beside = join(here, fileName)
  if (existsSync(beside)) return beside
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'examples', 'charnet', fileName)
    if (existsSync(file)) return file
  }
  return beside
}
