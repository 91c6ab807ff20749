import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { root } from '../../examples/charnet/paths.js'
import { experiments } from '../../experiments/list.js'

// All experiments in miniature, as `npm run experiments -- --quick` does it.
const folder = join(root, 'out', 'experiments')
const results = (name: string): string => join(folder, 'results', `${name}.json`)

function start(...options: string[]): ChildProcess {
  return spawn(process.execPath, [join(root, 'dist', 'experiments', 'main.js'), '--quick', ...options], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
}

async function run(...options: string[]): Promise<{ code: number | null; output: string }> {
  const child = start(...options)
  let output = ''
  child.stdout?.on('data', (piece) => (output += String(piece)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

t.test('a run that is killed goes on where it was', async (t) => {
  await rm(results('past-the-paper'), { force: true })
  const child = start('past-the-paper')
  let output = ''
  for await (const piece of child.stdout as AsyncIterable<Buffer>) {
    output += String(piece)
    if (/cell 3 of/.test(output)) break
  }
  child.kill('SIGKILL')
  const { cells } = JSON.parse(await readFile(results('past-the-paper'), 'utf8')) as { cells: Record<string, { date: string }> }
  t.equal(Object.keys(cells).length, 2)
  const { code } = await run('past-the-paper', '--only', 'recipe')
  t.equal(code, 0)
  const later = JSON.parse(await readFile(results('past-the-paper'), 'utf8')) as { cells: Record<string, { date: string }> }
  for (const [key, { date }] of Object.entries(cells)) t.equal(later.cells[key]?.date, date, `${key} is kept`)
})

t.test('all of them, and the document', async (t) => {
  const { code, output } = await run()
  t.equal(code, 0)
  for (const { name, cells, title } of experiments) {
    const saved = JSON.parse(await readFile(results(name), 'utf8')) as { cells: object }
    t.equal(Object.keys(saved.cells).length, cells('quick').length, name)
    t.match(await readFile(join(folder, 'results.md'), 'utf8'), `## ${title}`)
  }
  t.notMatch(output, /STALE/)
  t.notMatch(await readFile(join(folder, 'results.md'), 'utf8'), /NaN|undefined/)
  const pictures = [...(await readFile(join(folder, 'results.md'), 'utf8')).matchAll(/\((results\/.*?\.svg)\)/g)].map(
    ([, file]) => file as string
  )
  t.ok(pictures.length >= experiments.length)
  for (const file of pictures) t.ok(existsSync(join(folder, file)), file)
})

t.test('what has changed since is said', async (t) => {
  t.equal((await run('--check')).code, 0)
  const file = results('second-layer')
  await writeFile(file, (await readFile(file, 'utf8')).replace(/("training": ")[0-9a-f]+/, '$1feedfeedfeedfeed'))
  const { code, output } = await run('--check', 'second-layer')
  t.equal(code, 1)
  t.match(output, /STALE since training changed/)
})
