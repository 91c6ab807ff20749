// Draws glyphs.bin and families.json. Run once by whoever changes the list of families; its two needs are no
// dependencies of the project, so they go to a folder of their own:
//
//   npm i --prefix FOLDER @napi-rs/canvas @fontsource/{every name of font-list.ts}
//   node make-atlas.js FOLDER OUTPUT_FOLDER

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { encodeAtlas, glyphs, splits, type Family, type Glyph, type Split } from './atlas.js'
import { fontList } from './font-list.js'

/** The part of @napi-rs/canvas that is used here. */
interface CanvasModule {
  readonly GlobalFonts: { registerFromPath(path: string, alias: string): unknown }
  createCanvas(width: number, height: number): { getContext(kind: '2d'): Context2d }
}
interface Context2d {
  font: string
  clearRect(x: number, y: number, width: number, height: number): void
  fillText(text: string, x: number, y: number): void
  measureText(text: string): { readonly width: number }
  getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray }
}

interface FamilyRecord {
  readonly family: string
  readonly package: string
  readonly version: string
  readonly license: string
  readonly weight: number
  readonly split: Split
  /** 'capitals' where the lower case only repeats the shapes of the upper case. */
  readonly lowerCase: 'own' | 'capitals'
}

const capHeight = 32
const side = 192 // px, of the canvas that one glyph is drawn on
const pen = { x: 64, y: 120 }
const licences = ['OFL-1.1', 'Apache-2.0']
const cloneCorrelation = 0.95
const reportedPairs = 12

function main(fonts: string, output: string): void {
  const require = createRequire(join(resolve(fonts), 'package.json'))
  const canvas = require('@napi-rs/canvas') as CanvasModule
  const context = canvas.createCanvas(side, side).getContext('2d')
  const families: Family[] = []
  const records: FamilyRecord[] = []
  for (const split of splits) {
    for (const entry of fontList[split].trim().split(/\s+/)) {
      const [name = '', weight = '400'] = entry.split('@')
      const folder = join(resolve(fonts), 'node_modules', '@fontsource', name)
      const { record, fontFile } = describe(folder, name, Number(weight), split)
      if (canvas.GlobalFonts.registerFromPath(fontFile, `atlas ${name}`) === null) {
        throw new Error(`${fontFile}: expected a font file, could not register it`)
      }
      const family = drawFamily(context, name, record.family, split)
      families.push(family)
      records.push({ ...record, lowerCase: repeatsCapitals(family) ? 'capitals' : 'own' })
    }
  }
  const alike = closestAcrossSplits(families)
  const data = encodeAtlas({ capHeight, families })
  writeFileSync(join(output, 'glyphs.bin'), data)
  writeFileSync(join(output, 'families.json'), `${formatRecords(records, alike)}\n`)
  console.log(`${families.length} families, ${data.length} bytes`)
  for (const pair of alike) console.log(pair.join('  '))
}

function describe(folder: string, name: string, weight: number, split: Split) {
  const text = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const { version, license } = text('package.json') as { version: string; license: string }
  const { family } = text('metadata.json') as { family: string }
  if (!licences.includes(license)) {
    throw new Error(`@fontsource/${name}: expected a licence of ${licences.join(', ')}, got ${license}`)
  }
  const fontFile = join(folder, 'files', `${name}-latin-${weight}-normal.woff2`)
  const record = { family, package: `@fontsource/${name}`, version, license, weight, split }
  return { record, fontFile }
}

function drawFamily(context: Context2d, alias: string, name: string, split: Split): Family {
  const trial = 100 // px
  context.font = `${trial}px "atlas ${alias}"`
  const size = (trial * capHeight) / drawGlyph(context, 'H').height
  context.font = `${size}px "atlas ${alias}"`
  const list = [...glyphs].map((character) => drawGlyph(context, character))
  // A glyph that the font lacks is blank, or its .notdef box, or from the fallback that an unknown family gets.
  const notdef = drawGlyph(context, '\u{10fffd}', true)
  context.font = `${size}px "atlas no such family"`
  list.forEach((glyph, i) => {
    const fallback = drawGlyph(context, glyphs.charAt(i), true)
    const missing = [notdef, fallback].some((other) => Buffer.compare(glyph.coverage, other.coverage) === 0)
    if (glyph.width === 0 || missing) {
      throw new Error(`${alias}: expected all of 0-9, A-Z, a-z, got no '${glyphs.charAt(i)}'`)
    }
  })
  return { name, split, glyphs: list }
}

function drawGlyph(context: Context2d, character: string, mayTouch = false): Glyph {
  context.clearRect(0, 0, side, side)
  context.fillText(character, pen.x, pen.y)
  const { data } = context.getImageData(0, 0, side, side)
  let [x0, y0, x1, y1] = [side, side, 0, 0]
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if (data[(y * side + x) * 4 + 3] === 0) continue
      x0 = Math.min(x0, x)
      x1 = Math.max(x1, x + 1)
      y0 = Math.min(y0, y)
      y1 = Math.max(y1, y + 1)
    }
  }
  const [width, height] = [Math.max(0, x1 - x0), Math.max(0, y1 - y0)]
  if (!mayTouch && width > 0 && (x0 === 0 || y0 === 0 || x1 === side || y1 === side)) {
    throw new Error(`${context.font}: expected '${character}' to fit ${side}×${side} pixels, it touches the edge`)
  }
  const coverage = new Uint8Array(width * height)
  for (let i = 0; i < coverage.length; i++) {
    const at = (y0 + Math.floor(i / width)) * side + x0 + (i % width)
    coverage[i] = data[at * 4 + 3] ?? 0
  }
  const advance = Math.round(context.measureText(character).width * 100) / 100
  return { left: x0 - pen.x, top: pen.y - y0, width, height, advance, coverage }
}

function repeatsCapitals(family: Family): boolean {
  let sum = 0
  for (let letter = 0; letter < 26; letter++) {
    const upper = family.glyphs[10 + letter]
    const lower = family.glyphs[36 + letter]
    // Small capitals are smaller: compare after scaling both to one box.
    if (upper && lower) sum += correlation(scaled(upper), scaled(lower))
  }
  return sum / 26 > 0.9
}

/** The glyph's box stretched to 24×24. */
function scaled(glyph: Glyph): Float64Array {
  const n = 24
  const out = new Float64Array(n * n)
  for (let i = 0; i < out.length; i++) {
    const x = Math.floor((((i % n) + 0.5) / n) * glyph.width)
    const y = Math.floor(((Math.floor(i / n) + 0.5) / n) * glyph.height)
    out[i] = glyph.coverage[y * glyph.width + x] ?? 0
  }
  return out
}

/** On one baseline and centred across, at the scale of the capitals: 96×80. */
function placed(glyph: Glyph): Float64Array {
  const [columns, rows, baseline] = [96, 80, 52]
  const out = new Float64Array(columns * rows)
  const x0 = Math.round((columns - glyph.width) / 2)
  for (let y = 0; y < glyph.height; y++) {
    for (let x = 0; x < glyph.width; x++) {
      const [column, row] = [x0 + x, baseline - glyph.top + y]
      if (column < 0 || column >= columns || row < 0 || row >= rows) continue
      out[row * columns + column] = glyph.coverage[y * glyph.width + x] ?? 0
    }
  }
  return out
}

function correlation(a: Float64Array, b: Float64Array): number {
  const mean = (v: Float64Array) => v.reduce((sum, x) => sum + x, 0) / v.length
  const [ma, mb] = [mean(a), mean(b)]
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [(a[i] ?? 0) - ma, (b[i] ?? 0) - mb]
    ab += da * db
    aa += da * da
    bb += db * db
  }
  return ab / Math.sqrt(aa * bb + 1e-9)
}

/** Pairs of families on different sides by mean correlation of their glyphs, the likest first. */
function closestAcrossSplits(families: readonly Family[]): [string, string, number][] {
  const drawn = families.map((family) => family.glyphs.map(placed))
  const pairs: [string, string, number][] = []
  families.forEach((a, i) => {
    families.forEach((b, j) => {
      if (j <= i || a.split === b.split) return
      const sum = (drawn[i] ?? []).reduce((s, glyph, k) => s + correlation(glyph, drawn[j]?.[k] ?? glyph), 0)
      pairs.push([a.name, b.name, Math.round((sum / glyphs.length) * 1000) / 1000])
    })
  })
  pairs.sort((p, q) => q[2] - p[2])
  const clone = pairs.find((pair) => pair[2] > cloneCorrelation)
  if (clone) throw new Error(`${clone.join(' and ')}: expected near-clones on one side of the split, move one of them`)
  return pairs.slice(0, reportedPairs)
}

/** One family a line, so that a change of the list reads well in a diff. */
function formatRecords(records: readonly FamilyRecord[], alike: readonly (readonly unknown[])[]): string {
  const lines = (list: readonly unknown[]) => list.map((item) => `    ${JSON.stringify(item)}`).join(',\n')
  return `{
  "note": "likestAcrossSplits: mean correlation of the glyphs of two families on different sides of the split",
  "likestAcrossSplits": [\n${lines(alike)}\n  ],
  "families": [\n${lines(records)}\n  ]
}`
}

const [fonts, output] = process.argv.slice(2)
if (fonts === undefined || output === undefined) {
  throw new Error('expected two arguments: the folder with the fonts, and the folder to write to')
}
main(fonts, output)
