import { barChart } from '../../lib/report/charts.js'
import { formatCount, formatMilliseconds, formatRatio } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { fastestDenseMs } from '../common/speed-section.js'
import type { AlexConfig, AlexResult } from './compute.js'

const headings = { layer: 'The layer by itself', network: 'The whole network, only conv2 decomposed' } as const

export function report(cells: readonly Finished<AlexConfig, AlexResult>[]): Section[] {
  return [
    {
      kind: 'text',
      text: 'AlexNet with two groups (conv2: 96 → 256, 5×5 over 27×27), random weights, one thread, batch 1; ranks are components a group. The paper made this layer 4 times faster, which fits about 200 a group. With the layer alone decomposed the network cannot become faster than its other layers let it.'
    },
    ...cells.flatMap(sections)
  ]
}

function sections({ config, result: { sizes, timings } }: Finished<AlexConfig, AlexResult>): Section[] {
  const fastest = fastestDenseMs(timings)
  const rows = timings.map(({ name, runtime, version, ms }) => {
    const size = sizes.find((one) => one.name === name)
    return [
      name,
      `${runtime} ${version}`.trim(),
      formatCount(size?.parameters ?? Number.NaN),
      formatCount(size?.macs ?? Number.NaN),
      formatMilliseconds(ms),
      formatRatio(fastest / ms)
    ]
  })
  const columns = [
    { title: 'conv2' },
    { title: 'runtime' },
    ...['parameters', 'multiply-adds', 'ms', '× fastest dense float32'].map((title) => ({ title, align: 'right' as const }))
  ]
  const bars = timings.map(({ name, runtime, ms }) => ({ label: `${name}, ${runtime}`, value: ms, group: runtime }))
  const heading = headings[config.what]
  return [
    { kind: 'table', heading, columns, rows },
    { kind: 'chart', svg: barChart(bars, { title: heading, xLabel: 'milliseconds, batch 1, one thread (shorter is better)' }) }
  ]
}
