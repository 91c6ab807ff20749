// The paper's experiments and ours, each a folder here; figures are cached cell by cell in experiments/results.
//   npm run experiments -- [NAME…] [--quick] [--only TEXT] [--skip TEXT] [--refresh | --confirm] [--minutes N] [--check] [--list] [--document]

import { parseArgs } from 'node:util'
import { experiments } from './list.js'
import { writeDocument } from './framework/document.js'
import type { Experiment, Scale } from './framework/experiment.js'
import { confirmExperiment } from './framework/confirm.js'
import { type Outcome, runExperiment } from './framework/run.js'

const usage = `npm run experiments -- [NAME…] [OPTION…]
Computes the cells of the experiments named (all, when none is) that are not in the cache, and writes the document.
  --quick        everything in miniature, into out/experiments: shows that it runs, its figures mean nothing
  --only TEXT    only cells whose name holds TEXT
  --skip TEXT    no cells whose name holds TEXT (\`--skip time:\` while the machine has other work)
  --refresh      compute stale cells again (otherwise they are named and kept)
  --confirm      of stale cells whose names differ in numbers only, compute the quickest again: where its figures are the same to the last
                 digit, what has changed in the sources changes no figure, and the others are taken to hold
  --minutes N    stop after so long; the next run goes on from there
  --check        compute nothing; exit code 1 when a cell is stale or missing
  --document     compute nothing; write docs/results.md and the README's table from the cache
  --list         name the experiments and their cells`

// As sysexits' EX_TEMPFAIL: the same command goes on.
const outOfTime = 75

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      skip: { type: 'string' },
      refresh: { type: 'boolean', default: false },
      confirm: { type: 'boolean', default: false },
      minutes: { type: 'string' },
      check: { type: 'boolean', default: false },
      document: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return say(usage, 0)
  const unknown = positionals.filter((name) => !experiments.some((one) => one.name === name))
  if (unknown.length > 0)
    return say(`no experiment is called ${unknown.join(', ')}; there are ${experiments.map(({ name }) => name).join(', ')}`, 2)
  const chosen = experiments.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const scale: Scale = values.quick ? 'quick' : 'full'
  if (values.list) return say(chosen.map((one) => listing(one, scale)).join('\n\n'), 0)

  const minutes = values.minutes === undefined ? Infinity : Number(values.minutes)
  if (!(minutes > 0)) return say(`--minutes: expected a positive number, got ${values.minutes}`, 2)
  const deadline = new AbortController()
  // Above Node's longest timer there is no deadline.
  const timer = minutes < 30_000 ? setTimeout(() => deadline.abort(new Error('the time is up')), 60_000 * minutes) : undefined
  const signal = values.check || values.document ? AbortSignal.abort() : deadline.signal
  const outcomes: Outcome[] = []
  const isWanted = (key: string): boolean => key.includes(values.only) && !(values.skip !== undefined && key.includes(values.skip))
  for (const experiment of chosen) {
    if (values.confirm) await confirmExperiment(experiment, { scale, isWanted, signal, log: console.log })
    const outcome = await runExperiment(experiment, { scale, refresh: values.refresh, isWanted, signal, log: console.log })
    outcomes.push(outcome)
    console.log(summary(experiment.name, outcome))
  }
  clearTimeout(timer)
  if (!values.check) console.log(`${await writeDocument(experiments, scale)} written`)
  if (values.check) return outcomes.every(({ missing, stale }) => missing.length === 0 && stale.length === 0) ? 0 : 1
  return outcomes.some(({ isStopped }) => isStopped) && !values.document ? outOfTime : 0
}

function listing(experiment: Experiment, scale: Scale): string {
  return [`${experiment.name}: ${experiment.title}`, ...experiment.cells(scale).map((config) => `  ${experiment.key(config)}`)].join('\n')
}

function summary(name: string, { computed, kept, missing, stale }: Outcome): string {
  const lines = [`${name}: ${computed} cells computed, ${kept} from the cache, ${missing.length} missing`]
  const byChange = new Map<string, string[]>()
  for (const { key, changed } of stale) {
    const what = changed.join(', ')
    byChange.set(what, [...(byChange.get(what) ?? []), key])
  }
  for (const [what, keys] of byChange) lines.push(`  STALE since ${what} changed (--refresh computes them again): ${shortList(keys)}`)
  return lines.join('\n')
}

function shortList(keys: readonly string[]): string {
  return keys.length <= 4 ? keys.join('; ') : `${keys.slice(0, 3).join('; ')} and ${keys.length - 3} more`
}

function say(text: string, code: number): number {
  console.log(text)
  return code
}

process.exitCode = await main()
