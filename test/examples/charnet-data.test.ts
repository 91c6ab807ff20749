import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { AtlasError, glyphs, readAtlas, splits } from '../../examples/charnet/atlas.js'
import { batches, classes, createCharacters, defaultCounts, distortion, type CharacterSet } from '../../examples/charnet/dataset.js'
import { sameBits } from '../helpers/same-bits.js'

const pixels = 24 * 24

interface FamilyRecord {
  readonly family: string
  readonly license: string
  readonly split: string
}

const families = await readFile(new URL('../../examples/charnet/families.json', import.meta.url), 'utf8').then(
  (text) => (JSON.parse(text) as { families: FamilyRecord[] }).families
)

t.test('the atlas has 62 plausible glyphs of every family', async (t) => {
  const atlas = await readAtlas()
  t.equal(glyphs.length, 62)
  t.equal(atlas.capHeight, 32)
  for (const family of atlas.families) {
    family.glyphs.forEach((glyph, i) => {
      const inked = glyph.coverage.some((value) => value > 100)
      const sane = glyph.height > 8 && glyph.height < 100 && glyph.advance > 0 && glyph.advance < 120
      if (!inked || !sane) t.fail(`${family.name} '${glyphs.charAt(i)}' is blank or out of scale`)
    })
    t.ok(Math.abs((family.glyphs[glyphs.indexOf('H')]?.height ?? 0) - atlas.capHeight) <= 2, `${family.name}: H`)
  }
})

t.test('splits are disjoint by family, agree with families.json, and are freely licensed', async (t) => {
  const atlas = await readAtlas()
  t.equal(new Set(families.map((record) => record.family)).size, families.length)
  t.strictSame(
    atlas.families.map(({ name, split }) => [name, split]),
    families.map(({ family, split }) => [family, split])
  )
  const count = (split: string) => families.filter((record) => record.split === split).length
  t.ok(count('train') >= 60 && count('validation') >= 10 && count('test') >= 20)
  t.ok(families.every(({ license }) => ['OFL-1.1', 'Apache-2.0'].includes(license)))
  const kept = ['Roboto', 'Merriweather', 'Lato', 'Montserrat']
  t.notOk(families.some(({ family }) => kept.some((name) => family.startsWith(name))))
})

t.test('every image depends on seed, split and index only', async (t) => {
  const long = await createCharacters({ split: 'train', count: 700, seed: 5 })
  const short = await createCharacters({ split: 'train', count: 90, seed: 5 })
  t.ok(sameBits(short.images, long.images.subarray(0, 90 * pixels)), 'the count does not matter')
  t.strictSame(short.labels, long.labels.slice(0, 90))
  const others = [
    await createCharacters({ split: 'train', count: 90, seed: 6 }),
    await createCharacters({ split: 'test', count: 90, seed: 5 })
  ]
  for (const other of others) t.notOk(sameBits(other.images, short.images))
  const image = (i: number) => short.images.subarray(i * pixels, (i + 1) * pixels)
  t.equal(short.labels[36], short.labels[0])
  t.notOk(sameBits(image(36), image(0)), 'two images of one class differ')
})

t.test('the data is the one that published figures were measured on', async (t) => {
  const { images } = await createCharacters({ split: 'test', count: 360 })
  const hash = createHash('sha256').update(new Uint8Array(images.buffer)).digest('hex')
  t.equal(hash, '9dd94c9045b40877e1f82a254738eb015084c8cf8762f0a37014b682caa900a1')
})

t.test('patches have mean 0 and deviation 1', async (t) => {
  for (const split of splits) {
    const { images, count } = await createCharacters({ split, count: 360 })
    let [worstMean, worstDeviation] = [0, 0]
    for (let i = 0; i < count; i++) {
      const patch = images.subarray(i * pixels, (i + 1) * pixels)
      const mean = patch.reduce((sum, x) => sum + x, 0) / pixels
      const deviation = Math.sqrt(patch.reduce((sum, x) => sum + (x - mean) ** 2, 0) / pixels)
      worstMean = Math.max(worstMean, Math.abs(mean))
      worstDeviation = Math.max(worstDeviation, Math.abs(deviation - 1))
    }
    // Each of 576 values is rounded to float32 once: 6e-8 of at most about 6.
    t.ok(worstMean < 1e-6, `${split}: mean ${worstMean}`)
    t.ok(worstDeviation < 1e-6, `${split}: deviation ${worstDeviation}`)
  }
})

t.test('classes are balanced and images of both polarities', async (t) => {
  const { images, labels, count } = await createCharacters({ split: 'validation', count: 3600 })
  const seen = new Array<number>(classes.length).fill(0)
  for (const label of labels) seen[label] = (seen[label] ?? 0) + 1
  t.strictSame(seen, new Array<number>(classes.length).fill(100))
  let brightMiddle = 0
  for (let i = 0; i < count; i++) {
    let sum = 0
    for (let y = 6; y < 18; y++) for (let x = 6; x < 18; x++) sum += images[i * pixels + y * 24 + x] ?? 0
    if (sum > 0) brightMiddle++
  }
  t.ok(Math.abs(brightMiddle / count - 0.5) < 0.05, `bright characters: ${brightMiddle} of ${count}`)
})

t.test('progress is told, and the event loop is left free', async (t) => {
  const told: [number, number][] = []
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await createCharacters({ split: 'test', count: 2000, onProgress: (done, total) => told.push([done, total]) })
  clearInterval(timer)
  t.strictSame(told.at(-1), [2000, 2000])
  t.ok(told.every(([done], i) => i === 0 || done > (told[i - 1]?.[0] ?? 0)))
  t.ok(turns > 1, `${turns} turns`)
})

t.test('wrong arguments are named', async (t) => {
  await t.rejects(createCharacters({ split: 'dev' as 'test', count: 1 }), /split: expected train, validation, test/)
  await t.rejects(createCharacters({ split: 'test', count: 1.5 }), /count: expected .* got 1.5/)
  await t.rejects(createCharacters({ split: 'test', count: 1, seed: Number.NaN }), /seed: expected .* got NaN/)
  t.ok(Object.isFrozen(distortion))
  t.strictSame(defaultCounts, { train: 100_000, validation: 6_000, test: 12_000 })
  t.equal((await createCharacters({ split: 'test', count: 0 })).images.length, 0)
})

t.test('a missing or damaged atlas is named', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'charnet-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'glyphs.bin')
  const rejects = async (what: string) => {
    const error: unknown = await readAtlas(file).then(
      () => undefined,
      (reason: unknown) => reason
    )
    t.ok(error instanceof AtlasError && error.message.startsWith(file), what)
  }
  await rejects('missing')
  const whole = await readFile(new URL('../../examples/charnet/glyphs.bin', import.meta.url))
  await writeFile(file, 'not an atlas, but longer than its header')
  await rejects('other content')
  await writeFile(file, whole.subarray(0, whole.length >> 1))
  await rejects('cut short')
  const damaged = Buffer.from(whole)
  damaged[whole.length >> 1] = (damaged[whole.length >> 1] ?? 0) ^ 0x40
  await writeFile(file, damaged)
  await rejects('one bit changed')
})

t.test('batches cover the set once', async (t) => {
  const set: CharacterSet = await createCharacters({ split: 'train', count: 100 })
  const sizes = (options: Parameters<typeof batches>[2]) => [...batches(set, 32, options)].map((batch) => batch.count)
  t.strictSame(sizes({}), [32, 32, 32, 4])
  t.strictSame(sizes({ dropLast: true }), [32, 32, 32])
  const ordered = [...batches(set, 32)].flatMap((batch) => [...batch.target])
  t.strictSame(ordered, [...set.labels])
  const order = (seed: number) => [...batches(set, 7, { seed, shuffle: true })].flatMap((batch) => [...batch.target])
  t.notSame(order(1), ordered)
  t.strictSame(order(1), order(1), 'the same seed gives the same order')
  t.notSame(order(1), order(2))
  t.strictSame(
    order(3).sort((a, b) => a - b),
    ordered.slice().sort((a, b) => a - b)
  )
  for (const { input, target, count } of batches(set, 9, { shuffle: true })) {
    t.equal(input.length, count * pixels)
    const at = set.labels.findIndex((label, i) => label === target[0] && set.images[i * pixels] === input[0])
    const image = set.images.subarray(at * pixels, (at + 1) * pixels)
    t.ok(sameBits(input.subarray(0, pixels), image), 'image and label belong together')
  }
  t.throws(() => [...batches(set, 0)], /batchSize: expected .* got 0/)
})
