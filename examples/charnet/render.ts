// Draws one distorted character: glyph and neighbours on a strip → projective view → background → blur → noise
// → mean removed, divided by the standard deviation. No transcendental function is used, so that every machine
// makes the same bits.

import { glyphs, type Atlas, type Family, type Glyph, type Split } from './atlas.js'
import type { Random } from './random.js'

/** Lengths are in pixels of the patch; amplitudes are in units of the contrast of character and background. */
export interface Distortion {
  /** Height of the character, between that of its own box and that of a capital. */
  readonly height: readonly [number, number]
  /** Wider characters are shrunk to this. */
  readonly maxWidth: number
  /** Height is multiplied by 1 ± this and width divided by it. */
  readonly stretch: number
  /** tan(angle / 2) at most. */
  readonly rotation: number
  /** Shift across per unit of height, at most. */
  readonly shear: number
  /** Relative change of scale per pixel, at most. */
  readonly perspective: number
  /** From the middle of the patch. */
  readonly offset: number
  /** Probability on each side. */
  readonly neighbours: number
  /** Probability that a neighbour is of the same kind: digit, capital or small letter. */
  readonly sameKind: number
  /** Change of the distance of neighbours, in heights of a capital. */
  readonly tracking: readonly [number, number]
  /** Outer weight of a [w, 1, w] filter, at most; two passes each way. */
  readonly blur: number
  /** Brightness over the background and over the character. */
  readonly gradient: number
  /** Amplitude of smooth noise in the background, and its size. */
  readonly texture: number
  readonly textureSize: readonly [number, number]
  /** Edges and bars behind the character: how many at most, and their amplitude. */
  readonly clutter: number
  readonly clutterContrast: number
  /** Standard deviation of the pixel noise, at most. */
  readonly noise: number
}

export const patchSize = 24

// Samples a side: 2×2 a pixel, since the atlas is about twice as fine as the patch and would alias.
const fine = patchSize * 2
const strip = { width: 192, height: 160 } // atlas pixels, the character's box in the middle
const digits = 10
const letters = 26

export class CharacterRenderer {
  readonly #families: readonly Family[]
  readonly #capHeight: number
  readonly #distortion: Distortion
  readonly #strip = new Uint8Array(strip.width * strip.height)
  readonly #coverage = new Float64Array(patchSize * patchSize) // 0…1
  readonly #image = new Float64Array(patchSize * patchSize)
  readonly #row = new Float64Array(patchSize)

  constructor(atlas: Atlas, split: Split, distortion: Distortion) {
    this.#families = atlas.families.filter((family) => family.split === split)
    if (this.#families.length === 0) throw new RangeError(`atlas: expected families of split '${split}', got none`)
    this.#capHeight = atlas.capHeight
    this.#distortion = distortion
  }

  /** Writes patchSize² values. `label`: 0…35, digits and then letters of either case. */
  draw(random: Random, label: number, target: Float32Array): void {
    const family = this.#families[random.below(this.#families.length)] as Family
    const index = label >= digits && random.chance(0.5) ? label + letters : label
    const glyph = family.glyphs[index] as Glyph
    this.#strip.fill(0)
    const x = Math.round((strip.width - glyph.width) / 2)
    const baseline = Math.round((strip.height - glyph.height) / 2) + glyph.top
    this.#stamp(glyph, x, baseline)
    this.#addNeighbours(random, family, index, x - glyph.left, baseline)
    this.#view(random, glyph)
    this.#paint(random)
    this.#blur(random)
    this.#finish(random, target)
  }

  #addNeighbours(random: Random, family: Family, index: number, pen: number, baseline: number): void {
    const { neighbours, sameKind, tracking } = this.#distortion
    const glyph = family.glyphs[index] as Glyph
    for (const side of [-1, 1]) {
      if (!random.chance(neighbours)) continue
      const other = family.glyphs[neighbourOf(random, index, sameKind)] as Glyph
      const extra = this.#capHeight * random.between(tracking[0], tracking[1])
      const otherPen = side < 0 ? pen - extra - other.advance : pen + glyph.advance + extra
      this.#stamp(other, Math.round(otherPen + other.left), baseline)
    }
  }

  /** Puts a glyph on the strip; where two overlap the darker wins. */
  #stamp(glyph: Glyph, x0: number, baseline: number): void {
    const y0 = baseline - glyph.top
    const first = Math.max(0, -x0)
    const last = Math.min(glyph.width, strip.width - x0)
    for (let y = Math.max(0, -y0); y < Math.min(glyph.height, strip.height - y0); y++) {
      const from = y * glyph.width
      const to = (y0 + y) * strip.width + x0
      for (let x = first; x < last; x++) {
        const value = glyph.coverage[from + x] as number
        if (value > (this.#strip[to + x] as number)) this.#strip[to + x] = value
      }
    }
  }

  /** strip → coverage, by a random projective map from patch to strip. */
  #view(random: Random, glyph: Glyph): void {
    const d = this.#distortion
    const ownHeight = Math.sqrt(glyph.height * this.#capHeight)
    const scale = Math.max(ownHeight / random.between(d.height[0], d.height[1]), glyph.width / d.maxWidth)
    const t = random.around(d.rotation)
    const [cos, sin] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)]
    const stretch = 1 + random.around(d.stretch)
    const shear = random.around(d.shear)
    // Rows of the map: rotate, then shear, then scale.
    const [ax, ay] = [scale * stretch * (cos + shear * sin), scale * stretch * (shear * cos - sin)]
    const [bx, by] = [(scale / stretch) * sin, (scale / stretch) * cos]
    const [px, py] = [random.around(d.perspective), random.around(d.perspective)]
    const [ox, oy] = [random.around(d.offset), random.around(d.offset)]
    sampleStrip(this.#strip, this.#coverage, { ax, ay, bx, by, px, py, ox, oy })
  }

  /** Character over background, of either polarity: coverage → image. */
  #paint(random: Random): void {
    const d = this.#distortion
    const image = this.#image
    image.fill(0)
    addGradient(image, random, d.gradient)
    addTexture(image, random, random.unit() * d.texture, random.between(d.textureSize[0], d.textureSize[1]))
    for (let count = random.below(d.clutter + 1); count > 0; count--) addClutter(image, random, d.clutterContrast)
    const polarity = random.chance(0.5) ? 1 : -1
    const slope = { x: random.around(d.gradient / patchSize), y: random.around(d.gradient / patchSize) }
    for (let i = 0; i < image.length; i++) {
      const [x, y] = [(i % patchSize) - patchSize / 2, Math.floor(i / patchSize) - patchSize / 2]
      const ink = polarity + slope.x * x + slope.y * y
      const behind = image[i] as number
      image[i] = behind + (this.#coverage[i] as number) * (ink - behind)
    }
  }

  #blur(random: Random): void {
    const weight = random.unit() * this.#distortion.blur
    const centre = 1 / (1 + 2 * weight)
    for (let line = 0; line < patchSize; line++) {
      for (let pass = 0; pass < 2; pass++) {
        filterLine(this.#image, line * patchSize, 1, weight * centre, centre, this.#row)
        filterLine(this.#image, line, patchSize, weight * centre, centre, this.#row)
      }
    }
  }

  #finish(random: Random, target: Float32Array): void {
    const image = this.#image
    const noise = random.unit() * this.#distortion.noise
    let sum = 0
    for (let i = 0; i < image.length; i++) sum += image[i] = (image[i] as number) + noise * random.normal()
    const mean = sum / image.length
    let squares = 0
    for (let i = 0; i < image.length; i++) squares += ((image[i] as number) - mean) ** 2
    const deviation = Math.sqrt(squares / image.length)
    const factor = deviation > 1e-6 ? 1 / deviation : 0
    for (let i = 0; i < image.length; i++) target[i] = ((image[i] as number) - mean) * factor
  }
}

/** From pixels (u, v) of the patch, about its middle, to strip: (ax u + ay v, bx u + by v) / (1 + px u + py v). */
interface View {
  readonly ax: number
  readonly ay: number
  readonly bx: number
  readonly by: number
  readonly px: number
  readonly py: number
  readonly ox: number
  readonly oy: number
}

/** Bilinear samples on the fine grid; four make a pixel. The hot loop: one flat function on plain locals. */
function sampleStrip(source: Uint8Array, pixels: Float64Array, view: View): void {
  const { ax, ay, bx, by, px, py, ox, oy } = view
  const { width, height } = strip
  pixels.fill(0)
  for (let y = 0; y < fine; y++) {
    const v = (y + 0.5) / 2 - patchSize / 2 - oy
    const row = (y >> 1) * patchSize
    for (let x = 0; x < fine; x++) {
      const u = (x + 0.5) / 2 - patchSize / 2 - ox
      const w = 1 / (1 + px * u + py * v)
      const sx = (ax * u + ay * v) * w + (width - 1) / 2
      const sy = (bx * u + by * v) * w + (height - 1) / 2
      if (!(sx >= 0 && sy >= 0 && sx < width - 1 && sy < height - 1)) continue
      const x0 = sx | 0
      const y0 = sy | 0
      const at = y0 * width + x0
      const topLeft = source[at] as number
      const topRight = source[at + 1] as number
      const bottomLeft = source[at + width] as number
      const bottomRight = source[at + width + 1] as number
      if ((topLeft | topRight | bottomLeft | bottomRight) === 0) continue
      const fx = sx - x0
      const top = topLeft + (topRight - topLeft) * fx
      const bottom = bottomLeft + (bottomRight - bottomLeft) * fx
      const to = row + (x >> 1)
      pixels[to] = (pixels[to] as number) + (top + (bottom - top) * (sy - y0)) / 1020
    }
  }
}

/** Another glyph's index, of the same kind with probability `sameKind`. */
function neighbourOf(random: Random, index: number, sameKind: number): number {
  if (!random.chance(sameKind)) return random.below(glyphs.length)
  if (index < digits) return random.below(digits)
  return random.below(letters) + (index < digits + letters ? digits : digits + letters)
}

function addGradient(image: Float64Array, random: Random, reach: number): void {
  const [gx, gy] = [random.around(reach) / patchSize, random.around(reach) / patchSize]
  for (let y = 0, i = 0; y < patchSize; y++) {
    for (let x = 0; x < patchSize; x++, i++) {
      image[i] = (image[i] as number) + gx * (x - patchSize / 2) + gy * (y - patchSize / 2)
    }
  }
}

const cells = 14 // a side: enough for the smallest texture size, 2 pixels
const lattice = new Float64Array(cells * cells)

/** Value noise: random values on a lattice of `size` pixels, bilinear between. */
function addTexture(image: Float64Array, random: Random, amplitude: number, size: number): void {
  const used = Math.min(cells, Math.ceil(patchSize / size) + 1)
  for (let i = 0; i < used * used; i++) lattice[i] = amplitude * (2 * random.unit() - 1)
  for (let y = 0, i = 0; y < patchSize; y++) {
    const cy = Math.floor(y / size)
    const fy = y / size - cy
    for (let x = 0; x < patchSize; x++, i++) {
      const cx = Math.floor(x / size)
      const fx = x / size - cx
      const at = cy * used + cx
      const top = (lattice[at] as number) * (1 - fx) + (lattice[at + 1] as number) * fx
      const bottom = (lattice[at + used] as number) * (1 - fx) + (lattice[at + used + 1] as number) * fx
      image[i] = (image[i] as number) + top * (1 - fy) + bottom * fy
    }
  }
}

/** A half-plane or a bar with soft edges. */
function addClutter(image: Float64Array, random: Random, contrast: number): void {
  const [dx, dy] = [random.around(1), random.around(1)]
  const length = Math.sqrt(dx * dx + dy * dy) + 1e-9
  const [nx, ny] = [dx / length, dy / length]
  const shift = random.between(-patchSize / 2, patchSize / 2)
  const halfWidth = random.chance(0.5) ? patchSize * 2 : random.between(0.5, 2.5)
  const amplitude = contrast * (2 * random.unit() - 1)
  const middle = halfWidth > patchSize ? halfWidth + shift : shift
  for (let y = 0, i = 0; y < patchSize; y++) {
    for (let x = 0; x < patchSize; x++, i++) {
      const distance = Math.abs(nx * (x - patchSize / 2) + ny * (y - patchSize / 2) - middle)
      const cover = Math.min(1, Math.max(0, halfWidth - distance + 0.5))
      image[i] = (image[i] as number) + amplitude * cover
    }
  }
}

/** [side, centre, side] in place along one row or column, the ends repeated. */
function filterLine(image: Float64Array, start: number, stride: number, side: number, centre: number, line: Float64Array): void {
  for (let i = 0; i < patchSize; i++) line[i] = image[start + i * stride] as number
  for (let i = 0; i < patchSize; i++) {
    const before = line[i === 0 ? 0 : i - 1] as number
    const after = line[i === patchSize - 1 ? i : i + 1] as number
    image[start + i * stride] = centre * (line[i] as number) + side * (before + after)
  }
}
