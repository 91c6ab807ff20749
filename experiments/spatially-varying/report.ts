import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { type LocalConfig, type LocalResult, wholeDims } from './compute.js'

type Cell = Finished<LocalConfig, LocalResult>

const names = {
  local: 'locally connected',
  shared: 'the same kernel everywhere (a convolution)',
  decomposed: 'decomposed, then tuned',
  factored: 'factors from scratch'
} as const

export function report(cells: readonly Cell[]): Section[] {
  const columns = [
    { title: 'second layer' },
    ...['rank', 'error of kernels', 'test before', 'test after', 'parameters of the layer', 'of the network', 'multiply-adds'].map(
      (title) => ({
        title,
        align: 'right' as const
      })
    )
  ]
  const rows = cells.map(({ config, result }) => [
    names[config.kind],
    String(config.rank ?? ''),
    result.error?.toFixed(3) ?? '',
    config.kind === 'decomposed' ? formatPercent(result.before) : '',
    formatPercent(result.after),
    formatCount(result.layer),
    formatCount(result.parameters),
    formatCount(result.macs)
  ])
  const decomposed = cells.filter(({ config }) => config.kind === 'decomposed')
  const level = (kind: 'local' | 'shared') =>
    cells
      .filter(({ config }) => config.kind === kind)
      .map(({ result }) => ({
        name: names[kind],
        points: decomposed.map(({ config }): [number, number] => [config.rank ?? 0, result.after])
      }))
  const series = (['before', 'after'] as const).map((when) => ({
    name: `decomposed, ${when} tuning`,
    points: decomposed.map(({ config, result }): [number, number] => [config.rank ?? 0, result[when]])
  }))
  const { budget } = cells[0]?.config ?? { budget: { epochs: 0, images: 0 } }
  const tuning = decomposed[0]?.config.budget ?? budget
  return [
    {
      kind: 'text',
      text:
        `The paper names layers with kernels that vary over the image as promising and leaves them. Here the second layer of a small network (conv1 1 → 16, 5×5 and pooling before it, one fully connected layer behind it) has a 3×3 kernel 16 → 32 of its own at each of 8×8 places: a tensor of ${wholeDims.join('×')} (places, output, input, window). A CP decomposition with a factor for each of the six modes is a chain of 1×1, 3×1 and 1×3 convolutions as ever, two products with a factor for the row and the column of a place, and a 1×1 convolution. ` +
        `The locally connected layer is an operator of a domain of its own (LocallyConnected), which the ONNX file explains by a function of ONNX's operators; the decomposed one needs no such thing. From scratch: ${budget.epochs} epochs of ${budget.images.toLocaleString('en')} images; tuning: ${tuning.epochs} epochs of ${tuning.images.toLocaleString('en')}. One seed. ${verdict(cells)}`
    },
    { kind: 'table', columns, rows },
    ...(decomposed.length > 1
      ? [
          {
            kind: 'chart' as const,
            heading: 'Accuracy by rank',
            svg: lineChart([...level('local'), ...level('shared'), ...series], {
              title: 'Test accuracy by rank of the locally connected layer',
              xLabel: 'rank',
              yLabel: 'test accuracy, %'
            })
          }
        ]
      : [])
  ]
}

function verdict(cells: readonly Cell[]): string {
  const of = (kind: LocalConfig['kind']): Cell[] => cells.filter(({ config }) => config.kind === kind)
  const [[local], [shared], decomposed] = [of('local'), of('shared'), of('decomposed')]
  if (local === undefined || decomposed.length === 0) return ''
  const within = decomposed.filter(({ result }) => local.result.after - result.after <= 0.5)
  const least = within.reduce<Cell | undefined>((a, b) => (a !== undefined && a.result.layer <= b.result.layer ? a : b), undefined)
  const found =
    least === undefined
      ? 'No rank tried comes within half a point of the locally connected layer.'
      : `Within half a point of the locally connected layer is rank ${least.config.rank}, with ${(local.result.layer / least.result.layer).toFixed(0)} times fewer parameters in the layer.`
  const worth =
    shared === undefined
      ? ''
      : ` Kernels that vary are worth ${(local.result.after - shared.result.after).toFixed(2)} points here over one kernel everywhere.`
  return found + worth
}
