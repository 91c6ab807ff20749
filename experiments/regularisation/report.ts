import { lineChart, type Series } from '../../lib/report/charts.js'
import { formatCount } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import { ranksText } from '../common/charnet.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import type { RegularConfig, RegularResult } from './compute.js'

type Cell = Finished<RegularConfig, RegularResult>

const nameOf = ({ config }: Cell): string => (config.ranks === null ? 'dense, tuned further' : ranksText(config.ranks))

export function report(cells: readonly Cell[]): Section[] {
  const networks = groupBy(cells, nameOf)
  const columns = [
    { title: 'network' },
    ...['seeds', 'parameters', 'test before', 'test after', 'training, last epoch', 'validation, best epoch', 'gap'].map((title) => ({
      title,
      align: 'right' as const
    }))
  ]
  const rows = [...networks].map(([name, group]) => {
    const of = (value: (result: RegularResult) => number): number[] => group.map(({ result }) => value(result))
    const fit = ({ training }: RegularResult): number => training.at(-1) ?? Number.NaN
    const seen = ({ validation }: RegularResult): number => Math.max(...validation)
    return [
      name,
      String(group.length),
      formatCount(group[0]?.result.parameters ?? Number.NaN),
      spread(of(({ before }) => before)),
      spread(of(({ after }) => after)),
      spread(of(fit)),
      spread(of(seen)),
      spread(
        of((result) => fit(result) - seen(result)),
        2,
        ''
      )
    ]
  })
  const curves = curvesOf(networks, ({ validation }) => validation, 0)
  const fits = curvesOf(networks, ({ training }) => training, 1)
  const { images = 0, epochs = 0 } = cells[0]?.config.tuning ?? {}
  return [
    {
      kind: 'text',
      text: `Every network is tuned with the same budget (${epochs} epochs of ${images.toLocaleString('en')} images), the dense one too: otherwise a decomposed network would be credited with what more training does. Accuracies are means over the seeds with half of their range; the curves are means. ${verdict(networks)} The table past the paper has decomposed networks ahead of the dense one as it is, after more images; its row \`dense, tuned as long\`, where it is computed, says what of that more training does by itself.`
    },
    { kind: 'table', columns, rows },
    {
      kind: 'chart',
      heading: 'Validation',
      svg: lineChart(curves, { title: 'Validation accuracy by epoch', xLabel: 'epoch', yLabel: 'validation accuracy, %' })
    },
    {
      kind: 'chart',
      heading: 'Training',
      svg: lineChart(fits, { title: 'Accuracy on what is trained, over each epoch', xLabel: 'epoch', yLabel: 'training accuracy, %' })
    }
  ]
}

/** Means over the seeds, by epoch from `first` on. */
function curvesOf(
  networks: ReadonlyMap<string, readonly Cell[]>,
  values: (result: RegularResult) => readonly number[],
  first: number
): Series[] {
  return [...networks].map(([name, group]) => {
    const epochs = Math.min(...group.map(({ result }) => values(result).length))
    const points = Array.from({ length: epochs }, (_, at): [number, number] => [
      at + first,
      mean(group.map(({ result }) => values(result)[at] ?? Number.NaN))
    ])
    return { name, points }
  })
}

/** Within two standard errors of a difference (some 0.5 points on 12,000 images) two networks are the same. */
function verdict(networks: ReadonlyMap<string, readonly Cell[]>): string {
  const tests = [...networks].map(([name, group]) => ({
    name,
    isDense: group[0]?.config.ranks === null,
    before: mean(group.map(({ result }) => result.before)),
    after: mean(group.map(({ result }) => result.after))
  }))
  const dense = tests.find(({ isDense }) => isDense)
  const others = tests.filter(({ isDense }) => !isDense)
  if (dense === undefined || others.length === 0) return ''
  const best = others.reduce((a, b) => (b.after > a.after ? b : a))
  const more = best.after - Math.max(dense.after, dense.before)
  const sign = more >= 0 ? 'more' : 'less'
  const meaning = Math.abs(more) < 0.5 ? 'which is within the noise of the test set' : 'which is more than the noise of the test set'
  return `The best decomposed network (${best.name}) has ${Math.abs(more).toFixed(2)} points ${sign} than the better of the dense ones, ${meaning}.`
}
