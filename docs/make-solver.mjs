// Writes the tables of docs/solver.md from the measurements in docs/solver/*.json: npm run docs:solver
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rewriteMarked } from '../dist/lib/report/marks.js'

const folder = new URL('solver/', import.meta.url)
const reports = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')))

const markdown = (titles, rows) =>
  [titles, titles.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
const digits = (value, count = 3) => (value === undefined ? '' : String(Number(value.toPrecision(count))))
const rowsOf = (section) => reports.filter((report) => report.section === section).flatMap(({ rows }) => rows)
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
const groups = (rows, key) => [...grouped(rows, key)]

function grouped(rows, key) {
  const found = new Map()
  for (const row of rows) found.set(key(row), [...(found.get(key(row)) ?? []), row])
  return found
}

const peers = ['tensorly', 'tensorly-linesearch', 'pytensorlab', 'tensorfox', 'pyttb']

// A peer's time over ours; `>` where it was stopped before it came there, `never` where it ended elsewhere by itself.
function against(found) {
  if (found === undefined) return ''
  if (found.peer_error >= 2) return 'nothing in that time'
  const reached = found.peer_reached > found.starts / 2
  const ratio = found.ratio >= 9.5 ? found.ratio.toFixed(0) : digits(found.ratio, 2)
  const text = reached ? `${ratio}×` : found.peer_stopped > 0 ? `> ${ratio}×` : 'never'
  return `${text}, ${digits(found.peer_error, 5)}`
}

function speed() {
  const cases = reports.flatMap(({ cases = [] }) => cases).filter(({ suite }) => suite === 'cpd')
  const rows = groups(cases, ({ name, threads }) => `${name}|${threads}`).map(([, all]) => {
    const [first] = all
    return [
      first.name,
      first.threads,
      first.starts,
      digits(mean(all.map(({ ours_ms }) => ours_ms))),
      digits(first.error, 5),
      ...peers.map((peer) => against(all.find((found) => found.peer === peer)))
    ]
  })
  return markdown(['problem', 'threads', 'starts', 'ms', 'error', ...peers], rows)
}

function products() {
  const rows = rowsOf('products').map(({ name, gflops, peak, fraction }) => [
    name,
    digits(gflops),
    digits(peak),
    `${(100 * fraction).toFixed(0)} %`
  ])
  return markdown(['kernel', 'GFLOP/s', 'peak', 'of it'], rows)
}

function stability() {
  const rows = groups(rowsOf('stability'), ({ name }) => name).map(([name, all]) => [
    name,
    ...['als', 'plain', 'ridge', 'light', 'epc'].map((way) => {
      const own = all.filter((row) => row.way === way)
      if (own.length === 0) return ''
      return `${digits(mean(own.map(({ relativeError }) => relativeError)), 4)}, ${mean(own.map(({ sensitivity }) => sensitivity)).toExponential(1)}`
    })
  ])
  return markdown(['kernel', 'als', 'nls, no ridge', 'nls, ridge 1e-4', 'nls, ridge 3e-5', 'nls, epc 1.005'], rows)
}

function swamps() {
  const rows = groups(rowsOf('swamps'), ({ name }) => name).map(([name, all]) => [
    name,
    ...['nls', 'als'].map((way) => {
      const own = all.find(({ method }) => method === way)
      return `${own.reached} of 10, ${digits(own.iterations)}`
    })
  ])
  return markdown(['tensor', 'nls', 'als'], rows)
}

function aware() {
  const all = rowsOf('aware')
  const percent = (value) => `${(100 * value).toFixed(1)} %`
  const rows = groups(
    all.filter(({ seed }) => seed !== undefined),
    ({ name }) => name
  ).map(([name, own]) => {
    const of = (key) => mean(own.map((row) => row[key]))
    return [
      name,
      own.length,
      `${digits(of('plainOutputError'))} → ${digits(of('awareOutputError'))}`,
      `${percent(of('plainAccuracy'))} → ${percent(of('awareAccuracy'))}`,
      `${(100 * Math.min(...own.map((row) => row.awareAccuracy - row.plainAccuracy))).toFixed(2)}`,
      `${digits(of('plainSeconds'), 2)} → ${digits(of('awareSeconds'), 2)}`
    ]
  })
  return markdown(['layer', 'seeds', 'output error', 'accuracy', 'least gain, points', 'seconds'], rows)
}

function chance() {
  const percent = (value) => (100 * value).toFixed(1)
  const rows = groups(rowsOf('chance'), ({ method }) => method).map(([method, all]) => {
    const [errors, accuracies] = ['relativeError', 'accuracy'].map((key) => all.map((row) => row[key]))
    return [
      method,
      all.length,
      `${digits(Math.min(...errors), 4)}…${digits(Math.max(...errors), 4)}`,
      `${percent(Math.min(...accuracies))}…${percent(Math.max(...accuracies))} %`,
      `${percent(mean(accuracies))} %`
    ]
  })
  return markdown(['method', 'seeds', 'error', 'accuracy', 'mean accuracy'], rows)
}

const plain = (section, titles, cells) => () => markdown(titles, rowsOf(section).map(cells))
const tables = {
  speed,
  products,
  stability,
  chance,
  swamps,
  aware,
  abort: plain('abort', ['kernel', 'start', 'longest, ms'], (row) => [row.name, row.init, digits(row.longestMs)])
}

const parts = Object.fromEntries(Object.entries(tables).map(([part, table]) => [part, table()]))
await rewriteMarked(fileURLToPath(new URL('solver.md', import.meta.url)), parts)
