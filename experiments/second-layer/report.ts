import { lineChart, type Series } from '../../lib/report/charts.js'
import { formatCount, formatRatio } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import { starts } from '../common/charnet.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import type { SecondConfig, SecondResult } from './compute.js'

type Cell = Finished<SecondConfig, SecondResult>

/** Multiply-adds of the dense network, for one patch. */
const denseMacs = 35_956_736

export function report(cells: readonly Cell[]): Section[] {
  const [first] = cells
  const { images, epochs } = first?.config.tuning ?? { images: 0, epochs: 0 }
  const byRank = [...cells].sort((a, b) => a.config.rank - b.config.rank)
  const pairs = [...groupBy(byRank, ({ config }) => `${config.rank}, ${config.start}`).values()]
  const rows = pairs.map((group) => {
    const [one] = group as [Cell]
    const of = (value: (result: SecondResult) => number | undefined): number[] => group.flatMap(({ result }) => value(result) ?? [])
    const { macs } = one.result
    return [
      String(one.config.rank),
      one.config.start,
      String(group.length),
      spread(
        of(({ error }) => error),
        3,
        ''
      ),
      spread(
        of(({ outputError }) => outputError),
        3,
        ''
      ),
      spread(of(({ before }) => before)),
      spread(of(({ after }) => after)),
      formatCount(macs),
      formatRatio(denseMacs / macs)
    ]
  })
  const numbers = [
    'seeds',
    'error of weights',
    'error of output',
    'test before',
    'test after',
    'multiply-adds',
    'fewer in the whole network'
  ]
  const columns = [
    { title: 'rank', align: 'right' as const },
    { title: 'start' },
    ...numbers.map((title) => ({ title, align: 'right' as const }))
  ]
  return [
    {
      kind: 'text',
      text: `Only conv2 is decomposed; the whole network is tuned with the same budget from every start: ${epochs === 1 ? 'one epoch' : `${epochs} epochs`} of ${images.toLocaleString('en')} images, SGD at 0.005, one-cycle. \`random\` keeps nothing of the trained layer but its bias.`
    },
    ...(['error', 'before', 'after'] as const).map((what) => chart(cells, what)),
    { kind: 'table', columns, rows },
    { kind: 'text', text: claims(cells) }
  ]
}

const charts = {
  error: { heading: 'How well the weights are met', yLabel: 'relative error of conv2' },
  before: { heading: 'Before tuning', yLabel: 'test accuracy, %' },
  after: { heading: 'After tuning', yLabel: 'test accuracy, %' }
} as const

function chart(cells: readonly Cell[], what: keyof typeof charts): Section {
  const { heading, yLabel } = charts[what]
  const series = starts.map((start): Series => {
    const ranks = groupBy(
      cells.filter(({ config }) => config.start === start),
      ({ config }) => String(config.rank)
    )
    const points = [...ranks].map(([rank, group]): [number, number] => [
      Number(rank),
      mean(group.flatMap(({ result }) => result[what] ?? []))
    ])
    return { name: start, points: points.filter(([, value]) => Number.isFinite(value)).sort((a, b) => a[0] - b[0]) }
  })
  return {
    kind: 'chart',
    heading,
    svg: lineChart(
      series.filter(({ points }) => points.length > 0),
      { title: heading, xLabel: 'rank of conv2', yLabel }
    )
  }
}

/** The paper's two claims, said with our figures. */
function claims(cells: readonly Cell[]): string {
  const ranks = [...new Set(cells.map(({ config }) => config.rank))].sort((a, b) => a - b)
  const gap = (rank: number, a: string, b: string, what: 'before' | 'after'): number => {
    const of = (start: string): number =>
      mean(cells.filter(({ config }) => config.rank === rank && config.start === start).map(({ result }) => result[what]))
    return of(a) - of(b)
  }
  const sentence = (a: string, b: string, what: 'before' | 'after'): string => {
    const gaps = ranks.map((rank) => ({ rank, points: gap(rank, a, b, what) })).filter(({ points }) => Number.isFinite(points))
    return `${a} against ${b} ${what} tuning, in points: ${gaps.map(({ rank, points }) => `${points >= 0 ? '+' : '−'}${Math.abs(points).toFixed(2)} (${rank})`).join(', ')}.`
  }
  return [
    sentence('nls', 'greedy', 'before'),
    sentence('nls', 'greedy', 'after'),
    sentence('nls', 'als', 'before'),
    sentence('data-aware nls', 'nls', 'before'),
    sentence('data-aware nls', 'nls', 'after'),
    sentence('nls', 'random', 'after'),
    'In brackets the rank.'
  ].join(' ')
}
