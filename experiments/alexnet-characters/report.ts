import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import type { GroupedConfig, GroupedResult } from './compute.js'

type Cell = Finished<GroupedConfig, GroupedResult>

/** One rank and method, over its seeds. */
interface Way {
  readonly rank: number
  readonly method: string
  readonly results: readonly GroupedResult[]
}

function waysOf(cells: readonly Cell[]): Way[] {
  const factored = cells.flatMap(({ config, result }) => (config.kind === 'cp' ? [{ ...config, result }] : []))
  return [...groupBy(factored, ({ rank, method }) => `${rank} ${method}`).values()].map((group) => {
    const [{ rank, method }] = group as [(typeof group)[number]]
    return { rank, method, results: group.map(({ result }) => result) }
  })
}

export function report(cells: readonly Cell[]): Section[] {
  const columns = [
    { title: 'conv2' },
    ...['seeds', 'error of weights', 'test before', 'test after', 'parameters', 'multiply-adds'].map((title) => ({
      title,
      align: 'right' as const
    }))
  ]
  const size = ({ parameters, macs }: GroupedResult): string[] => [formatCount(parameters), formatCount(macs)]
  const ways = waysOf(cells)
  const dense = cells.flatMap(({ config, result }) =>
    config.kind === 'dense' ? [['dense', '1', '', '', formatPercent(result.after), ...size(result)]] : []
  )
  const rows = ways.map(({ rank, method, results }) => [
    `rank ${rank} a group, ${method}`,
    String(results.length),
    spread(
      results.flatMap(({ error }) => error ?? []),
      3,
      ''
    ),
    spread(results.map(({ before }) => before)),
    spread(results.map(({ after }) => after)),
    ...size(results[0] as GroupedResult)
  ])
  const series = [...groupBy(ways, ({ method }) => method)].flatMap(([method, group]) =>
    (['before', 'after'] as const).map((when) => ({
      name: `${method}, ${when}`,
      points: group.map(({ rank, results }): [number, number] => [rank, mean(results.map((result) => result[when]))])
    }))
  )
  return [
    {
      kind: 'text',
      text: `Two convolutions with local response normalisation and pooling, the second of two groups (32 → 64, 5×5), a third and two fully connected layers, trained from scratch on the characters, which bilinear interpolation makes 64×64. Both groups of conv2 are decomposed one by one; then the network is tuned for one epoch of 10,000 images. On AlexNet at rank 300 the paper lost 24.15 % with greedy and 3.21 % with NLS. ${verdict(ways)}`
    },
    { kind: 'table', columns, rows: [...dense, ...rows] },
    {
      kind: 'chart',
      heading: 'NLS, ALS and greedy',
      svg: lineChart(series, {
        title: 'Test accuracy before and after tuning',
        xLabel: 'rank of conv2, a group',
        yLabel: 'test accuracy, %'
      })
    }
  ]
}

function verdict(ways: readonly Way[]): string {
  const of = (rank: number, method: string, when: 'before' | 'after'): number =>
    mean(ways.filter((way) => way.rank === rank && way.method === method).flatMap(({ results }) => results.map((result) => result[when])))
  const lead = (rank: number, when: 'before' | 'after'): number => of(rank, 'nls', when) - of(rank, 'greedy', when)
  const said = [...new Set(ways.map(({ rank }) => rank))]
    .filter((rank) => Number.isFinite(lead(rank, 'before')))
    .map((rank) => `${points(lead(rank, 'before'))} before and ${points(lead(rank, 'after'))} after tuning at rank ${rank}`)
  return said.length === 0 ? '' : `Here NLS is ${said.join(', ')}.`
}

function points(lead: number): string {
  return `${Math.abs(lead).toFixed(2)} points ${lead >= 0 ? 'ahead of' : 'behind'} greedy`
}
