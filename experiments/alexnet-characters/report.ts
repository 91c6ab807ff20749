import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy } from '../framework/statistics.js'
import type { GroupedConfig, GroupedResult } from './compute.js'

type Cell = Finished<GroupedConfig, GroupedResult>

export function report(cells: readonly Cell[]): Section[] {
  const columns = [
    { title: 'conv2' },
    ...['error of weights', 'test before', 'test after', 'parameters', 'multiply-adds'].map((title) => ({ title, align: 'right' as const }))
  ]
  const rows = cells.map(({ config, result }) => [
    config.kind === 'dense' ? 'dense' : `rank ${config.rank} a group, ${config.method}`,
    result.error?.toFixed(3) ?? '',
    config.kind === 'dense' ? '' : formatPercent(result.before),
    formatPercent(result.after),
    formatCount(result.parameters),
    formatCount(result.macs)
  ])
  const methods = groupBy(
    cells.filter(({ config }) => config.kind === 'cp'),
    ({ config }) => (config.kind === 'cp' ? config.method : '')
  )
  const series = [...methods].flatMap(([method, group]) =>
    (['before', 'after'] as const).map((when) => ({
      name: `${method}, ${when}`,
      points: group.map(({ config, result }): [number, number] => [config.kind === 'cp' ? config.rank : 0, result[when]])
    }))
  )
  return [
    {
      kind: 'text',
      text: 'Two convolutions with local response normalisation and pooling, the second of two groups (32 → 64, 5×5), a third and two fully connected layers, trained from scratch on the characters, which bilinear interpolation makes 64×64. Both groups of conv2 are decomposed one by one; then the network is tuned for one epoch of 20,000 images. One seed. On AlexNet at rank 300 the paper lost 24.15 % with greedy and 3.21 % with NLS.'
    },
    { kind: 'table', columns, rows },
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
