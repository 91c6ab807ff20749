import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import { ranksText } from '../common/charnet.js'
import type { Finished } from '../framework/experiment.js'
import type { RegularConfig, RegularResult } from './compute.js'

type Cell = Finished<RegularConfig, RegularResult>

const nameOf = ({ config }: Cell): string => (config.ranks === null ? 'dense, tuned further' : ranksText(config.ranks))

export function report(cells: readonly Cell[]): Section[] {
  const columns = [
    { title: 'network' },
    ...['parameters', 'test before', 'test after', 'training, last epoch', 'validation, best epoch', 'gap'].map((title) => ({
      title,
      align: 'right' as const
    }))
  ]
  const rows = cells.map((cell) => {
    const { parameters, before, after, training, validation } = cell.result
    const [fit, seen] = [training.at(-1) ?? Number.NaN, Math.max(...validation)]
    return [
      nameOf(cell),
      formatCount(parameters),
      formatPercent(before),
      formatPercent(after),
      formatPercent(fit),
      formatPercent(seen),
      (fit - seen).toFixed(2)
    ]
  })
  const curves = cells.map((cell) => ({
    name: nameOf(cell),
    points: cell.result.validation.map((value, epoch): [number, number] => [epoch, value])
  }))
  const fits = cells.map((cell) => ({
    name: nameOf(cell),
    points: cell.result.training.map((value, epoch): [number, number] => [epoch + 1, value])
  }))
  const { images = 0, epochs = 0 } = cells[0]?.config.tuning ?? {}
  return [
    {
      kind: 'text',
      text: `Every network is tuned with the same budget (${epochs} epochs of ${images.toLocaleString('en')} images), the dense one too: otherwise a decomposed network would be credited with what more training does. One seed. ${verdict(cells)} The table past the paper has decomposed networks ahead of the dense one as it is, after more images; its row \`dense, tuned as long\`, where it is computed, says what of that more training does by itself.`
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

/** Within two standard errors of a difference (some 0.5 points on 12,000 images) two networks are the same. */
function verdict(cells: readonly Cell[]): string {
  const dense = cells.find(({ config }) => config.ranks === null)
  const others = cells.filter(({ config }) => config.ranks !== null)
  if (dense === undefined || others.length === 0) return ''
  const best = others.reduce((a, b) => (b.result.after > a.result.after ? b : a))
  const more = best.result.after - Math.max(dense.result.after, dense.result.before)
  const sign = more >= 0 ? 'more' : 'less'
  const meaning = Math.abs(more) < 0.5 ? 'which is within the noise of the test set' : 'which is more than the noise of the test set'
  return `The best decomposed network (${nameOf(best)}) has ${Math.abs(more).toFixed(2)} points ${sign} than the better of the dense ones, ${meaning}.`
}
