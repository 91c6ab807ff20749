import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import t from 'tap'
import { type Factor, reconstruct } from '../../lib/decomposition/factors.js'
import { writeNpy } from '../../lib/formats/npy.js'
import { readNpz, writeNpz } from '../../lib/formats/npz.js'
import { polyadic, start, temporaryFolder } from '../helpers/cli.js'
import { noise } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
const dims = [6, 5, 4]
const known: Factor[] = dims.map((extent, n) => ({ data: Float64Array.from(noise(extent * 2, n + 1)), dims: [extent, 2] }))
const tensor = { dtype: 'float64', dims, data: reconstruct(known).data as Float64Array } as const
await writeNpy(file('tensor.npy'), tensor)

t.test('factors that make the tensor again, and the figures as JSON', async (t) => {
  const { code, stdout, stderr } = await polyadic(
    ...['cpd', file('tensor.npy'), '--rank', '2', '--ridge', '0', '--json', '-o', file('factors.npz')]
  )
  t.equal(code, 0, stderr)
  const result = JSON.parse(stdout)
  t.ok(result.relativeError < 1e-6, `relative error ${result.relativeError}`)
  t.notOk('factors' in result, 'factors are in the file')
  const { weights, ...arrays } = await readNpz(file('factors.npz'))
  t.strictSame(weights?.dims, [2])
  const factors = dims.map((extent, n) => {
    const array = arrays[`factor_${n}`]
    t.strictSame(array?.dims, [extent, 2])
    return array as unknown as Factor
  })
  const again = reconstruct(factors).data
  const error = Math.hypot(...tensor.data.map((value, i) => value - (again[i] as number))) / Math.hypot(...tensor.data)
  t.ok(Math.abs(error - result.relativeError) < 1e-9, `${error} by hand`)
})

t.test('starts from given factors', async (t) => {
  await writeNpz(
    file('start.npz'),
    Object.fromEntries(known.map(({ data, dims }, n) => [`factor_${n}`, { dtype: 'float64', dims, data: data as Float64Array }]))
  )
  const { code, stdout, stderr } = await polyadic(
    ...['cpd', file('tensor.npy'), '--rank', '2', '--ridge', '0', '--factors', file('start.npz'), '--json']
  )
  t.equal(code, 0, stderr)
  t.ok(JSON.parse(stdout).relativeError < 1e-12, 'nothing is left to do')
})

t.test('the least rank that reaches an error', async (t) => {
  const { code, stdout, stderr } = await polyadic('cpd', file('tensor.npy'), '--rank', 'error=0.01', '--ridge', '0')
  t.equal(code, 0, stderr)
  t.match(stdout, /6×5×4 float64/)
  t.match(stdout, /components +2 of 2/)
})

t.test('plots of the trace', async (t) => {
  for (const name of ['trace.svg', 'trace.png']) {
    const { code, stderr } = await polyadic('cpd', file('tensor.npy'), '--rank', '2', '--plot', file(name))
    t.equal(code, 0, stderr)
  }
  const svg = await readFile(file('trace.svg'), 'utf8')
  t.match(svg, /^<svg[\s\S]*relative error[\s\S]*<\/svg>\s*$/)
  t.notMatch(svg, /NaN|undefined/)
  const image = sharp(file('trace.png'))
  t.match(await image.metadata(), { format: 'png', width: 1440, hasAlpha: false })
  const { channels } = await image.stats()
  t.ok(
    channels.every(({ max, min }) => max === 255 && min < 200),
    'something is drawn on white'
  )
})

t.test('a plot that cannot be written is said before anything is computed', async (t) => {
  const gif = await polyadic('cpd', file('tensor.npy'), '--rank', '2', '--plot', file('trace.gif'), '-o', file('none.npz'))
  t.equal(gif.code, 2)
  t.match(gif.stderr, /--plot: expected a file name that ends in \.svg or \.png, got ".*trace\.gif"/)
  // Node's resolution without the package, as where it is not installed.
  await writeFile(
    file('hide.mjs'),
    `import { register } from 'node:module'
register('data:text/javascript,' + encodeURIComponent(\`export function resolve(name, context, next) {
  if (name === 'sharp') throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  return next(name, context)
}\`))`
  )
  const args = ['cpd', file('tensor.npy'), '--rank', '2', '--plot', file('other.png'), '-o', file('none.npz')]
  const hidden = await start(args, { env: { NODE_OPTIONS: `--import=${file('hide.mjs')}` } }).finished
  t.equal(hidden.code, 1)
  t.match(hidden.stderr, /a chart as PNG needs the package sharp: npm install sharp, or a name that ends in \.svg/)
  t.notOk(existsSync(file('none.npz')), 'nothing was written')
})

t.test('an output never takes the place of a file that is read', async (t) => {
  await writeNpz(file('start.npz'), Object.fromEntries(known.map(({ data, dims }, n) => [`factor_${n}`, { dtype: 'float64', dims, data }])))
  const before = await readFile(file('start.npz'))
  const { code, stderr } = await polyadic(
    ...['cpd', file('tensor.npy'), '--rank', '2', '--factors', file('start.npz'), '-o', file('start.npz')]
  )
  t.equal(code, 2)
  t.match(stderr, /--output: expected a file of its own, got .*start.npz", which is also an input/)
  t.ok((await readFile(file('start.npz'))).equals(before))
})
