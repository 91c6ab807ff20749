import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatMilliseconds, formatPercent, formatRatio, significant } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Column } from '../../lib/report/table.js'
import { float32Runtimes, type Timing } from '../common/latency.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import { type DeepAccuracy, type DeepConfig, type DeepResult, partName } from './compute.js'

type Cell = Finished<DeepConfig, DeepResult>

const right = (title: string): Column => ({ title, align: 'right' })

export function report(cells: readonly Cell[]): Section[] {
  const dense = cells.find(({ config }) => config.kind === 'dense')?.result as DeepAccuracy | undefined
  const groups = [
    ...groupBy(
      cells.filter(({ config }) => config.kind === 'cp'),
      nameOf
    )
  ].map(([name, group]) => ({ name, results: group.map(({ result }) => result as DeepAccuracy) }))
  const columns = [
    { title: 'network' },
    ...['seeds', 'largest error', 'sensitivity', 'test before', 'test after', 'rollbacks', 'parameters', 'multiply-adds'].map(right)
  ]
  const rows = groups.map(({ name, results }) => [
    name,
    String(results.length),
    spread(
      results.flatMap(({ error }) => error ?? []),
      3,
      ''
    ),
    significant(mean(results.flatMap(({ sensitivity }) => sensitivity ?? [])), 3),
    spread(results.map(({ before }) => before)),
    spread(results.map(({ after }) => after)),
    String(results.reduce((sum, { rollbacks }) => sum + rollbacks, 0)),
    formatCount(results[0]?.parameters ?? Number.NaN),
    formatCount(results[0]?.macs ?? Number.NaN)
  ])
  const denseRow =
    dense === undefined
      ? []
      : [
          [
            'dense',
            '1',
            '',
            '',
            '',
            formatPercent(dense.after),
            String(dense.rollbacks),
            formatCount(dense.parameters),
            formatCount(dense.macs)
          ]
        ]
  const series = groups.map(({ name, results }) => ({
    name,
    points: (results[0]?.validation ?? []).map((value, epoch): [number, number] => [epoch, value])
  }))
  const about = 'Thirteen 3×3 convolutions in residual blocks with batch normalisation; all twelve behind the stem are decomposed at once.'
  if (dense === undefined || groups.length === 0)
    return [
      { kind: 'text', text: `${about} Only its speed is measured yet, with random weights; what it loses in accuracy is not.` },
      ...timeSections(cells)
    ]
  return [
    {
      kind: 'text',
      text: 'Thirteen 3×3 convolutions in residual blocks with batch normalisation, trained from scratch on the characters, which bilinear interpolation makes 32×32. All twelve 3×3 convolutions behind the stem are decomposed at once; batch normalisation keeps its statistics. Every start is tuned alike, at a rate near that of the dense training.'
    },
    { kind: 'table', columns, rows: [...denseRow, ...rows] },
    {
      kind: 'chart',
      heading: 'Tuning the deep network',
      svg: lineChart(series, { title: 'Validation accuracy by epoch, first seed', xLabel: 'epoch', yLabel: 'validation accuracy, %' })
    },
    ...timeSections(cells)
  ]
}

function nameOf({ config }: Cell): string {
  return config.kind === 'cp' ? `${partName(config.part)}, ${config.start}` : ''
}

function timeSections(cells: readonly Cell[]): Section[] {
  const rows = cells.flatMap(({ config, result }) => {
    if (config.kind !== 'time') return []
    const { timings } = result as { timings: readonly Timing[] }
    const fastest = Math.min(
      ...timings.filter(({ name, runtime }) => name === 'dense' && float32Runtimes.includes(runtime)).map(({ ms }) => ms)
    )
    return timings.map(({ name, runtime, version, ms }) => [
      name,
      `${runtime} ${version}`.trim(),
      String(config.batch),
      formatMilliseconds(ms / config.batch),
      formatRatio(fastest / ms)
    ])
  })
  if (rows.length === 0) return []
  return [
    {
      kind: 'table',
      heading: 'Speed',
      columns: [{ title: 'network' }, { title: 'runtime' }, ...['batch', 'ms an image', '× fastest dense float32'].map(right)],
      rows
    }
  ]
}
