// Puts the demo's table into the README, between its two comments:
//   npm run demo -- --json demo.json && npm run readme:table -- demo.json

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { machine } from '../../lib/report/machine.js'
import { rewriteMarked } from '../../lib/report/marks.js'
import { markdownTable } from '../../lib/report/table.js'
import { type DemoFigures, figureColumns, figureRows, summary } from './demo-report.js'
import { root } from './paths.js'

async function main(): Promise<void> {
  const [file] = process.argv.slice(2)
  if (file === undefined) throw new Error('usage: npm run readme:table -- FILE, where FILE is what `npm run demo -- --json FILE` wrote')
  const figures = JSON.parse(await readFile(file, 'utf8')) as DemoFigures
  const { cpu, isa } = machine()
  const table = `${markdownTable(figureColumns, figureRows(figures))}\n\n${summary(figures)} ${cpu}, ${isa} kernels, one thread; milliseconds an image.`
  await rewriteMarked(path.join(root, 'README.md'), { 'demo table': table })
}

await main()
