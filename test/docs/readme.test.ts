import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { readOnnx } from '../../lib/onnx/read.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { threeLayerNetwork } from '../helpers/networks.js'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

// What the example takes for granted: data and an image of the network's size.
const prelude = `
const images = Float32Array.from({ length: 64 * 64 }, (_, i) => Math.sin(i * i))
const train = { images, labels: Int32Array.from({ length: 64 }, (_, i) => i % 4), count: 64 }
const validation = train
const image = { dtype: 'float32', dims: [1, 1, 8, 8], data: images.slice(0, 64) }
`

t.test('the example in the README runs', async (t) => {
  const code = /<!-- test\/docs\/readme\.test\.ts runs this -->\n```ts\n([\s\S]*?)```/.exec(readme)?.[1]
  if (code === undefined) return t.fail('the README has no example')
  // Below the package's own folder, where `polyadic` is the package itself.
  const folder = t.testdir({})
  await writeOnnx(threeLayerNetwork(), path.join(folder, 'model.onnx'))
  const [imports = '', ...rest] = code.split(/(?<=from 'polyadic'\n)/)
  await writeFile(
    path.join(folder, 'example.mjs'),
    `${imports}${prelude}${rest.join('')}\nif (!(probabilities.data.length === 4)) throw new Error('no result')\n`
  )
  const child = spawn(process.execPath, ['example.mjs'], { cwd: folder, env: { PATH: process.env.PATH ?? '' } })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  const exit = await new Promise((resolve) => {
    child.on('close', resolve)
  })
  t.equal(exit, 0, output)
  t.match(output, /conv2: relative error 0\.\d+\nconv3: relative error 0\.\d+\naccuracy /)
  const written = await readOnnx(path.join(folder, 'small.onnx'))
  t.ok(written.nodes.filter(({ opType }) => opType === 'Conv').length > 5)
})

t.test('links lead somewhere, and the table has its place', async (t) => {
  for (const name of ['README', 'CONTRIBUTING', 'SECURITY', 'CHANGELOG']) {
    const text = readFileSync(new URL(`../../${name}.md`, import.meta.url), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      t.ok(existsSync(new URL(`../../${target}`, import.meta.url)), `${name}: ${target}`)
  }
  t.match(readme, /<!-- results: begin -->[\s\S]*<!-- results: end -->/)
})

t.test('every export is named in the README, and nothing else is promised', async (t) => {
  const index = readFileSync(new URL('../../lib/index.ts', import.meta.url), 'utf8')
  const names = [...index.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(',')).map((name) => name.trim())
  const values = names.filter((name) => !name.startsWith('type ') && name !== '')
  for (const name of values) t.ok(new RegExp(`\\b${name}\\b`).test(readme), `${name} is in the README`)
})
