// docs/results.md with its plots and the README's table, from the caches alone.

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'
import type { Section } from '../../lib/report/html.js'
import { rewriteMarked } from '../../lib/report/marks.js'
import { markdownTable } from '../../lib/report/table.js'
import type { Experiment, Scale } from './experiment.js'
import { finishedCells } from './run.js'
import { Store } from './store.js'

/** Writes the document of a scale and gives its path; at full scale also the README's table, which is the first one of `headline`. */
export async function writeDocument(experiments: readonly Experiment[], scale: Scale): Promise<string> {
  const folder = scale === 'full' ? path.join(root, 'docs') : path.join(root, 'out', 'experiments')
  const plots = path.join(folder, 'results')
  await mkdir(plots, { recursive: true })
  const parts: string[] = [intro(scale)]
  for (const experiment of experiments) {
    const cells = await finishedCells(experiment, scale)
    if (cells.length === 0) continue
    const sections = experiment.report(cells)
    parts.push(`## ${experiment.title}`, ...(await rendered(sections, experiment.name, plots)), await origin(experiment, scale))
    if (scale === 'full' && experiment.name === 'past-the-paper') await intoReadme(sections)
  }
  const file = path.join(folder, 'results.md')
  await writeFile(file, `${parts.join('\n\n')}\n`)
  return path.relative(root, file)
}

function intro(scale: Scale): string {
  const heading = scale === 'full' ? '# Results' : '# Results in miniature\n\nThese figures show that everything runs, and nothing else.'
  return `${heading}

Made by \`npm run experiments -- --document\` from the JSON files in \`experiments/results\`, which hold every cell with its configuration, seed, machine,
versions, commit and date. \`npm run experiments -- NAME\` computes what is missing there; \`--check\` says what has changed since.

The characters are those of \`examples/charnet\`: fonts of the training, validation and test set are disjoint. The epoch that is kept, the
recipe and the ranks that are named as the best are chosen on the validation set. Which ranks there are to choose from, and for how long they are
tuned, was settled after earlier figures had been seen, those of the test set among them. The standard error of an accuracy near
90 % on it is 0.27 points, and of a difference between two networks on the same images somewhat less. "±" is half of the range over seeds.`
}

async function rendered(sections: readonly Section[], name: string, plots: string): Promise<string[]> {
  let charts = 0
  const parts: string[] = []
  for (const section of sections) {
    if (section.heading !== undefined) parts.push(`### ${section.heading}`)
    if (section.kind === 'text') parts.push(section.text)
    if (section.kind === 'table') parts.push(markdownTable(section.columns, section.rows))
    if (section.kind === 'facts') parts.push(section.facts.map(([what, value]) => `- ${what}: ${value}`).join('\n'))
    if (section.kind !== 'chart') continue
    const file = `${name}-${++charts}.svg`
    await writeFile(path.join(plots, file), onPaper(section.svg))
    parts.push(`![${section.heading ?? name}](results/${file})`, ...(section.note === undefined ? [] : [section.note]))
  }
  return parts
}

/** A chart draws in currentColor on nothing; as a picture of its own it needs both to be said. */
function onPaper(svg: string): string {
  return `${svg.replace('<svg ', '<svg style="color:#1c2126;background:#ffffff" ')}\n`
}

/** Where the figures are from, and which no longer hold. */
async function origin(experiment: Experiment, scale: Scale): Promise<string> {
  const store = await Store.open(experiment, scale)
  const configs = experiment.cells(scale)
  const cells = configs.flatMap((config) => store.get(experiment.key(config)) ?? [])
  const changes = configs.map((config) => store.changedSince(experiment.key(config), config)).filter((names) => names.length > 0)
  const machines = new Set(cells.map(({ machine: { cpu, isa } }) => `${cpu}, ${isa} kernels`))
  const commits = new Set(cells.map(({ commit }) => commit.replace(/^([0-9a-f]{9})[0-9a-f]*/, '$1')))
  const missing = configs.length - cells.length
  return [
    `\`npm run experiments -- ${experiment.name}\`: ${cells.length} cells, ${[...machines].join('; ')}, commit ${[...commits].join(', ')}.`,
    ...(missing > 0 ? [`${missing} cells are not computed yet.`] : []),
    ...(changes.length > 0
      ? [`Since ${changes.length} of them were computed this has changed: ${[...new Set(changes.flat())].join(', ')}.`]
      : [])
  ].join(' ')
}

/** The first table and the text after it, between the README's two comments. */
async function intoReadme(sections: readonly Section[]): Promise<void> {
  const table = sections.find((section) => section.kind === 'table')
  const text = sections.find((section) => section.kind === 'text')
  if (table === undefined) return
  const content = [markdownTable(table.columns, table.rows), ...(text === undefined ? [] : [text.text])].join('\n\n')
  await rewriteMarked(path.join(root, 'README.md'), { results: content })
}
