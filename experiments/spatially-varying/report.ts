import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatPercent } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy } from '../framework/statistics.js'
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
    nameOf(config),
    String(config.rank ?? ''),
    result.error?.toFixed(3) ?? '',
    config.kind === 'decomposed' ? formatPercent(result.before) : '',
    formatPercent(result.after),
    formatCount(result.layer),
    formatCount(result.parameters),
    formatCount(result.macs)
  ])
  const decomposed = cells.filter(({ config }) => config.kind === 'decomposed')
  const ranks = [...new Set(decomposed.map(({ config }) => config.rank ?? 0))]
  const levels = cells
    .filter(({ config }) => config.kind === 'local' || config.kind === 'shared')
    .map(({ config, result }) => ({ name: nameOf(config), points: ranks.map((rank): [number, number] => [rank, result.after]) }))
  const series = [...groupBy(decomposed, ({ config }) => nameOf(config))].map(([name, group]) => ({
    name,
    points: group.map(({ config, result }): [number, number] => [config.rank ?? 0, result.after])
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
            svg: lineChart([...levels, ...series], {
              title: 'Test accuracy by rank of the locally connected layer',
              xLabel: 'rank',
              yLabel: 'test accuracy, %'
            })
          }
        ]
      : [])
  ]
}

function nameOf({ kind, alike }: LocalConfig): string {
  return alike ? `${names[kind]}, kernels alike at first` : names[kind]
}

function verdict(cells: readonly Cell[]): string {
  const find = (kind: LocalConfig['kind'], alike?: true): Cell | undefined =>
    cells.find(({ config }) => config.kind === kind && config.alike === alike)
  const [shared, each, together, factors] = [find('shared'), find('local'), find('local', true), find('factored')]
  return [
    ...(shared && each ? [`Kernels that begin apart, each drawn by itself, end ${against(each, shared)} one kernel everywhere.`] : []),
    ...(shared && together ? [`Kernels that begin alike end ${against(together, shared)} it.`] : []),
    least(cells, each, undefined),
    least(cells, together, true),
    ...(factors && each
      ? [
          `Factors trained from scratch at rank ${factors.config.rank} end ${against(factors, each)} the layer whose kernels began apart, with ${fewer(each, factors)} times fewer weights in it.`
        ]
      : [])
  ].join(' ')
}

/** What decomposing a trained layer comes to, by where its kernels began. */
function least(cells: readonly Cell[], local: Cell | undefined, alike: true | undefined): string {
  const decomposed = cells.filter(({ config }) => config.kind === 'decomposed' && config.alike === alike)
  if (local === undefined || decomposed.length === 0) return ''
  const began = `where kernels began ${alike ? 'alike' : 'apart'}`
  const within = decomposed.filter(({ result }) => local.result.after - result.after <= 0.5)
  const smallest = within.reduce<Cell | undefined>((a, b) => (a !== undefined && a.result.layer <= b.result.layer ? a : b), undefined)
  if (smallest !== undefined)
    return `Decomposed ${began}, rank ${smallest.config.rank} is within half a point of the layer, with ${fewer(local, smallest)} times fewer weights.`
  const errors = decomposed.map(({ result }) => result.error ?? Number.NaN)
  return `Decomposed ${began}, no rank tried comes within half a point of the layer; the error of the kernels is ${Math.min(...errors).toFixed(3)} at best.`
}

function against(a: Cell, b: Cell): string {
  const lead = a.result.after - b.result.after
  return `${Math.abs(lead).toFixed(2)} points ${lead >= 0 ? 'above' : 'below'}`
}

function fewer(a: Cell, b: Cell): string {
  return (a.result.layer / b.result.layer).toFixed(0)
}
