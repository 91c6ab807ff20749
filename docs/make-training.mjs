// Writes the tables of docs/training.md from the measurements in docs/training/: npm run docs:training
//   *.json             reports of the bench suite `training`
//   fine-tuning/*.json results of bench/fine-tuning, by name
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { epochRates, rates as trialRates } from '../dist/bench/fine-tuning/deep.js'
import { rewriteMarked } from '../dist/lib/report/marks.js'

const folder = new URL('training/', import.meta.url)
const read = (file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'))
const cases = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .flatMap((name) => {
    const { machine, cases } = read(name)
    // Both Xeons call themselves that.
    const cpu = machine.cpu.replace(/\(R\)| Processor/g, '') + (name.startsWith('amx-') ? ' with AMX' : '')
    return cases.map((one) => ({ ...one, cpu }))
  })
const outcome = (name) => (existsSync(new URL(`fine-tuning/${name}.json`, folder)) ? read(`fine-tuning/${name}.json`) : undefined)

const markdown = (titles, rows) =>
  [titles, titles.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
const digits = (value, count = 3) => (value === undefined ? '' : String(Number(value.toPrecision(count))))
const percent = (value) => `${(100 * value).toFixed(2)} %`
// 0: reading the network took more than training it, and the peak did not grow.
const megabytes = (bytes) => (!bytes ? '' : bytes < 5e5 ? '< 1' : String(Math.round(bytes / 1e6)))

const isToAccuracy = ({ name }) => name.includes(' tuned to ')
const seconds = (ms) => `${digits(ms / 1000)} s`

function toAccuracy() {
  const lines = cases
    .filter(isToAccuracy)
    .map(
      ({ name, cpu, threads, ours_ms, peer_ms, ratio, max_abs_diff }) =>
        `${name} (${cpu}, threads: ${threads}): ${seconds(ours_ms)} of training, PyTorch ${seconds(peer_ms)}, ${ratio.toFixed(2)}×; the accuracies on the way, every 25 steps, differ by ${digits(100 * max_abs_diff)} points at most.`
    )
  return lines.join('\n')
}

/** A network's comparisons with each of PyTorch's layouts are one row. */
function speed() {
  const keyOf = ({ cpu, name, threads }) => [cpu, name, threads].join('|')
  const names = [...new Set(cases.filter((one) => !isToAccuracy(one)).map(keyOf))]
  const rows = names.map((key) => {
    const all = cases.filter((one) => keyOf(one) === key)
    const [first] = all
    const fastest = Math.min(...all.map(({ peer_ms }) => peer_ms))
    return [
      first.name,
      first.cpu,
      first.threads,
      digits(first.ours_ms),
      digits(first.peer_ms),
      digits(all[1]?.peer_ms),
      `${(fastest / first.ours_ms).toFixed(2)}×`,
      first.peak_fraction === undefined ? '' : `${(100 * first.peak_fraction).toFixed(0)} %`,
      megabytes(first.ours_peak_bytes),
      megabytes(first.peer_peak_bytes)
    ]
  })
  const titles = ['one step of', 'CPU', 'threads', 'ms', 'PyTorch', 'PyTorch, NHWC', 'faster', 'of peak', 'MB', 'PyTorch, MB']
  return markdown(
    titles,
    rows.sort((a, b) => a[2] - b[2] || a[0].localeCompare(b[0]))
  )
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

function options() {
  const before = outcome('options-before')
  const variants = [
    ['labels', 'labels'],
    ['teacher, no labels', 'the dense network as teacher, no labels'],
    ['sensitivity 1e-6', 'labels, `sensitivity: 1e-6`'],
    ['sensitivity 1e-4', 'labels, `sensitivity: 1e-4`'],
    ['not balanced', 'labels, `balance: false`']
  ]
  const rows = variants.flatMap(([name, title]) => {
    const runs = [1, 2, 3].map((seed) => outcome(`options-${name}-${seed}`)).filter((run) => run !== undefined)
    if (runs.length === 0) return []
    return [
      [title, runs.length, percent(mean(runs.map(({ accuracy }) => accuracy))), digits(mean(runs.map(({ sensitivity }) => sensitivity)))]
    ]
  })
  const untouched = [['as decomposed', '', percent(before.factored.accuracy), digits(before.factored.sensitivity)]]
  return markdown(
    ['tuned with', 'runs', 'test accuracy', 'sensitivity'],
    [['dense', '', percent(before.dense.accuracy), ''], ...untouched, ...rows]
  )
}

function clipping() {
  const rows = ['tuned', 'scratch'].flatMap((name) =>
    [0.005, 0.02].flatMap((rate) => {
      const runs = [1, 10, 0].map((clip) => outcome(`${name}-rate-${rate}-clip-${clip}`))
      const title = name === 'tuned' ? 'rank 64, tuned' : 'dense, from scratch, one epoch'
      return runs.some((run) => run !== undefined) ? [[title, rate, ...runs.map((run) => (run ? percent(run.accuracy) : ''))]] : []
    })
  )
  return markdown(['network', 'learning rate', '`clipNorm` 1', '10', 'none'], rows)
}

function rates() {
  const forms = [
    ['dense', 'dense', 'dense'],
    ...['plain', 'ridge', 'corrected'].flatMap((factors) => [
      [factors, factors, factors],
      [factors, `${factors}-scaled`, `${factors}, \`scaleRates\``]
    ])
  ]
  const cell = (run) => (run === undefined ? '' : run.converges ? percent(run.accuracy) : 'no')
  const rows = forms.flatMap(([factors, form, title]) => {
    const runs = trialRates.map((rate) => outcome(`deep-${form}-rate-${rate}`))
    if (runs.every((run) => run === undefined)) return []
    const after = epochRates.map((rate) => outcome(`deep-${form}-epochs-${rate}`))
    return [
      [
        title,
        digits(outcome(`deep-${factors}-factors`)?.sensitivity),
        percent(outcome(`deep-${factors}-before`)),
        ...runs.map(cell),
        ...after.map((accuracy) => (accuracy === undefined ? '' : accuracy === null ? 'no' : percent(accuracy)))
      ]
    ]
  })
  return markdown(
    ['factors', 'sensitivity', 'before', ...trialRates.map(String), ...epochRates.map((rate) => `two epochs at ${rate}`)],
    rows
  )
}

const tables = { speed, accuracy: toAccuracy, options, clipping, rates }
const parts = Object.fromEntries(Object.entries(tables).map(([part, table]) => [part, table()]))
await rewriteMarked(fileURLToPath(new URL('training.md', import.meta.url)), parts)
