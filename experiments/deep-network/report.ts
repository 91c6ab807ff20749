import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Column } from '../../lib/report/table.js'
import type { Timing } from '../common/latency.js'
import { speedSection } from '../common/speed-section.js'
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
    formatCount(mean(results.flatMap(({ sensitivity }) => sensitivity ?? []))),
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
  const about = 'Thirteen 3×3 convolutions in residual blocks with batch normalisation; all twelve behind the stem are decomposed at once.'
  if (dense === undefined || groups.length === 0)
    return [
      { kind: 'text', text: `${about} Only its speed is measured yet, with random weights; what it loses in accuracy is not.` },
      ...timeSections(cells)
    ]
  return [
    {
      kind: 'text',
      text:
        'Thirteen 3×3 convolutions in residual blocks with batch normalisation, trained from scratch on the characters, which bilinear interpolation makes 32×32. All twelve 3×3 convolutions behind the stem are decomposed at once; batch normalisation keeps its statistics. Every start is tuned alike, at a rate near that of the dense training. ' +
        verdict(cells, dense)
    },
    { kind: 'table', columns, rows: [...denseRow, ...rows] },
    ...tuningCharts(cells),
    ...timeSections(cells)
  ]
}

/** One for each part of the channels. */
function tuningCharts(cells: readonly Cell[]): Section[] {
  const factored = cells.flatMap(({ config, result }) =>
    config.kind === 'cp' && config.seed === 1 ? [{ ...config, result: result as DeepAccuracy }] : []
  )
  return [...groupBy(factored, ({ part }) => partName(part))].map(([name, group]) => {
    const series = group.map(({ start, result }) => ({
      name: start,
      points: result.validation.map((value, epoch): [number, number] => [epoch, value])
    }))
    const title = `Validation accuracy by epoch, ${name}`
    return {
      kind: 'chart',
      heading: `Tuning, ${name}`,
      svg: lineChart(series, { title, xLabel: 'epoch', yLabel: 'validation accuracy, %' })
    }
  })
}

/** Plain factors, those with a ridge, corrected ones and those found by the inputs, after the same tuning. */
function verdict(cells: readonly Cell[], dense: DeepAccuracy): string {
  const factored = cells.flatMap(({ config, result }) => (config.kind === 'cp' ? [{ ...config, result: result as DeepAccuracy }] : []))
  const parts = [...groupBy(factored, ({ part }) => String(part)).values()].map((group) => {
    const of = (start: string): DeepAccuracy[] => group.filter((one) => one.start === start).map(({ result }) => result)
    const after = (start: string): number => mean(of(start).map((result) => result.after))
    const names = [...new Set(group.map(({ start }) => start))]
    const best = names.reduce((a, b) => (after(b) > after(a) ? b : a))
    const lead = after('nls') - after('nls, no ridge')
    const plain = Number.isFinite(lead)
      ? ` Without the ridge sensitivity is ${formatCount(mean(of('nls, no ridge').map(({ sensitivity = 0 }) => sensitivity)))} instead of ${formatCount(mean(of('nls').map(({ sensitivity = 0 }) => sensitivity)))}, tuning goes back to earlier weights ${of('nls, no ridge').reduce((sum, { rollbacks }) => sum + rollbacks, 0)} times and ends ${lead.toFixed(2)} points lower.`
      : ''
    const gained = after('nls + correction') - after('nls')
    const corrected = Number.isFinite(gained)
      ? ` The correction on top of the ridge ${gained >= 0 ? `gains ${gained.toFixed(2)}` : `costs ${(-gained).toFixed(2)}`} points.`
      : ''
    return `At ${partName(group[0]?.part ?? 0)} the best start is ${best}, ${(dense.after - after(best)).toFixed(2)} points below dense after tuning.${plain}${corrected}`
  })
  return parts.join(' ')
}

function nameOf({ config }: Cell): string {
  return config.kind === 'cp' ? `${partName(config.part)}, ${config.start}` : ''
}

function timeSections(cells: readonly Cell[]): Section[] {
  return speedSection(
    'network',
    cells.flatMap(({ config, result }) =>
      config.kind === 'time' ? [{ batch: config.batch, ...(result as { timings: readonly Timing[] }) }] : []
    )
  )
}
