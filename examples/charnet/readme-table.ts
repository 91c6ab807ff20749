// Puts the demo's table into the README, between its two comments:
//   npm run demo -- --json demo.json && npm run readme:table -- demo.json

import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { machine } from '../../lib/report/machine.js'
import { markdownTable } from '../../lib/report/table.js'
import { type DemoFigures, figureColumns, figureRows, summary } from './demo-report.js'
import { root } from './paths.js'

const [begin, end] = ['<!-- demo table: begin -->', '<!-- demo table: end -->']

async function main(): Promise<void> {
  const [file] = process.argv.slice(2)
  if (file === undefined) throw new Error('usage: npm run readme:table -- FILE, where FILE is what `npm run demo -- --json FILE` wrote')
  const figures = JSON.parse(await readFile(file, 'utf8')) as DemoFigures
  const readme = path.join(root, 'README.md')
  const text = await readFile(readme, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md has no ${begin} … ${end}`)
  const { cpu, isa } = machine()
  const table = `${markdownTable(figureColumns, figureRows(figures))}\n\n${summary(figures)} ${cpu}, ${isa} kernels, one thread; milliseconds an image.`
  await writeFile(readme, `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`)
}

await main()
