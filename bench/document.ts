import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { root } from '../examples/charnet/paths.js'
import { type Bar, barChart } from '../lib/report/charts.js'
import { formatRatio, significant } from '../lib/report/format.js'
import { rewriteMarked } from '../lib/report/marks.js'
import { markdownTable } from '../lib/report/table.js'
import type { BenchCase, BenchReport } from './format.js'

// npm run docs:benchmarks: the tables and charts of docs/benchmarks.md from the reports beside it, which `npm run bench -- … --update` writes.

const folder = path.join(root, 'docs', 'benchmarks')
const file = path.join(root, 'docs', 'benchmarks.md')

/** Reports of docs/benchmarks, and what the document says above each. */
const reports = [
  { name: 'amx-one-thread', title: 'Intel Xeon with AMX, one thread, AVX-512', charts: true },
  { name: 'amd-one-thread', title: 'AMD EPYC (Zen 4), one thread, AVX-512', charts: true },
  { name: 'amd-overhead', title: 'AMD EPYC (Zen 4): what a call costs beside the plan' },
  { name: 'amd-two-threads', title: 'AMD EPYC (Zen 4), two threads, AVX-512' },
  { name: 'amd-avx2', title: 'AMD EPYC (Zen 4), one thread, AVX2 forced' },
  { name: 'one-thread', title: 'Intel Xeon, one thread, AVX-512', charts: true },
  { name: 'overhead', title: 'Intel Xeon: what a call costs beside the plan' },
  { name: 'two-threads', title: 'Intel Xeon, two threads, AVX-512' },
  { name: 'avx2', title: 'Intel Xeon, one thread, AVX2 forced' }
] as const

const suiteTitles = { layers: 'Layers', networks: 'Networks' } as const
const precisionTitles = { float32: '', bfloat16: ' in bfloat16' } as const

async function main(): Promise<void> {
  const sections: string[] = []
  for (const { name, title, ...how } of reports) {
    const json = path.join(folder, `${name}.json`)
    if (!existsSync(json)) continue
    const report = JSON.parse(await readFile(json, 'utf8')) as BenchReport
    sections.push(`## ${title}`, provenance(report))
    for (const suite of ['layers', 'networks'] as const) {
      for (const precision of ['float32', 'bfloat16'] as const) {
        const cases = report.cases.filter((one) => one.suite === suite && one.precision === precision)
        if (cases.length === 0) continue
        const heading = suiteTitles[suite] + precisionTitles[precision]
        sections.push(`### ${heading}`)
        if ('charts' in how) {
          const picture = `${name}-${suite}${precision === 'float32' ? '' : '-bf16'}.svg`
          await writeFile(path.join(folder, picture), chart(heading, cases))
          sections.push(`![${heading}: how many times faster than each runtime](benchmarks/${picture})`)
        }
        sections.push(table(cases), means(cases))
      }
    }
    const calls = report.cases.filter((one) => one.suite === 'overhead')
    if (calls.length > 0) sections.push(overheads(calls))
  }
  await rewriteMarked(file, { measured: `\n${sections.join('\n\n')}\n` })
}

function provenance({ machine, versions, commit }: BenchReport): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `${String(machine.cpu)}, ${String(machine.os)}; ${names.join(', ')}; commit ${commit ?? 'unknown'}.`
}

/** Of each case: ours, and every peer's time and how many times ours that is. */
function table(cases: readonly BenchCase[]): string {
  const peers = peersOf(cases)
  const right = { align: 'right' } as const
  const columns = [
    { title: 'case' },
    { title: 'form' },
    { title: 'ms', ...right },
    { title: 'of peak', ...right },
    ...peers.map((peer) => ({ title: peer, ...right })),
    { title: 'largest difference', ...right }
  ]
  const rows = byCase(cases).map((measured) => {
    const [first] = measured as [BenchCase, ...BenchCase[]]
    const comparable = measured.filter((one) => !isOtherPrecision(one))
    const difference = Math.max(...comparable.map(({ max_abs_diff, scale }) => (max_abs_diff ?? 0) / (scale ?? 1)))
    return [
      first.name,
      first.form ?? '',
      significant(first.ours_ms, 3),
      first.peak_fraction === undefined ? '' : `${(100 * first.peak_fraction).toFixed(0)} %`,
      ...peers.map((peer) => {
        const one = measured.find((candidate) => candidate.peer === peer)
        return one?.peer_ms === undefined || one.ratio === undefined ? '' : `${significant(one.peer_ms, 3)} (${formatRatio(one.ratio)})`
      }),
      difference.toExponential(0)
    ]
  })
  return markdownTable(columns, rows)
}

/** Geometric means and the least ratio, by peer and form. */
function means(cases: readonly BenchCase[]): string {
  const lines = peersOf(cases).flatMap((peer) =>
    (['dense', 'cp'] as const).flatMap((form) => {
      const ratios = cases
        .filter((one) => one.peer === peer && one.form === form)
        .flatMap(({ ratio }) => (ratio === undefined ? [] : [ratio]))
      if (ratios.length === 0) return []
      const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length)
      return [`- ${form} against ${peer}: geometric mean ${formatRatio(mean)}, least ${formatRatio(Math.min(...ratios))}`]
    })
  )
  return lines.join('\n')
}

/** Without PyTorch, whose times of chains would leave every other bar too short to see, and in float32 without peers that compute in another type. */
function chart(title: string, all: readonly BenchCase[]): string {
  const cases = all.filter((one) => !isOtherPrecision(one) && one.peer?.startsWith('PyTorch') !== true)
  const bars = byCase(cases).flatMap((measured) =>
    measured.flatMap(({ name, form, peer, ratio }): Bar[] =>
      peer === undefined || ratio === undefined ? [] : [{ label: `${name}, ${form}`, value: ratio, group: `against ${peer}` }]
    )
  )
  return barChart(bars, { title: `${title}, one thread: times faster`, xLabel: "a peer's time over ours", format: formatRatio })
}

function overheads(cases: readonly BenchCase[]): string {
  const right = { align: 'right' } as const
  return markdownTable(
    [{ title: 'call' }, { title: 'µs', ...right }, { title: "the plan's own µs", ...right }, { title: 'over it, µs', ...right }],
    cases.map(({ name, ours_ms, peer_ms, overhead_us }) => [
      name,
      ...[1e3 * ours_ms, 1e3 * (peer_ms ?? Number.NaN), overhead_us ?? Number.NaN].map((us) => significant(us, 3))
    ])
  )
}

function keyOf({ suite, name, form }: BenchCase): string {
  return `${suite} ${name} ${form}`
}

function byCase(cases: readonly BenchCase[]): (readonly BenchCase[])[] {
  const groups = new Map<string, BenchCase[]>()
  for (const one of cases) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one])
  return [...groups.values()]
}

function peersOf(cases: readonly BenchCase[]): string[] {
  return [...new Set(cases.flatMap(({ peer }) => (peer === undefined ? [] : [peer])))]
}

/** For float32 a peer that computes in half of the bits is no reference. */
function isOtherPrecision({ peer, precision }: BenchCase): boolean {
  return precision === 'float32' && (peer?.includes('bf16') === true || peer?.includes('f16') === true)
}

await main()
