import { lineChart } from '../../lib/report/charts.js'
import { formatCount } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import { type LocalConfig, type LocalResult, wholeDims } from './compute.js'

type Cell = Finished<LocalConfig, LocalResult>

const names = {
  local: 'locally connected',
  shared: 'the same kernel everywhere (a convolution)',
  decomposed: 'decomposed, then tuned',
  factored: 'factors from scratch'
} as const

/** Cells that differ by their seed. */
interface Layer {
  readonly config: LocalConfig
  readonly results: readonly LocalResult[]
  /** Mean test accuracy in the end. */
  readonly after: number
  /** Weights of the layer. */
  readonly size: number
}

function layersOf(cells: readonly Cell[]): Layer[] {
  const groups = groupBy(cells, ({ config: { kind, alike, rank } }) => JSON.stringify([kind, alike, rank]))
  return [...groups.values()].map((group) => {
    const [{ config, result }] = group as [Cell]
    return { config, results: group.map((one) => one.result), after: mean(group.map((one) => one.result.after)), size: result.layer }
  })
}

export function report(cells: readonly Cell[]): Section[] {
  const layers = layersOf(cells)
  const columns = [
    { title: 'second layer' },
    ...['rank', 'seeds', 'error of kernels', 'test before', 'test after', 'parameters of the layer', 'of the network', 'multiply-adds'].map(
      (title) => ({
        title,
        align: 'right' as const
      })
    )
  ]
  const rows = layers.map(({ config, results, size }) => {
    const errors = results.flatMap(({ error }) => error ?? [])
    return [
      nameOf(config),
      String(config.rank ?? ''),
      String(results.length),
      errors.length > 0 ? spread(errors, 3, '') : '',
      config.kind === 'decomposed' ? spread(results.map(({ before }) => before)) : '',
      spread(results.map(({ after }) => after)),
      formatCount(size),
      formatCount(results[0]?.parameters ?? Number.NaN),
      formatCount(results[0]?.macs ?? Number.NaN)
    ]
  })
  const decomposed = layers.filter(({ config }) => config.kind === 'decomposed')
  const ranks = [...new Set(decomposed.map(({ config }) => config.rank ?? 0))]
  const levels = layers
    .filter(({ config }) => config.kind === 'local' || config.kind === 'shared')
    .map(({ config, after }) => ({ name: nameOf(config), points: ranks.map((rank): [number, number] => [rank, after]) }))
  const series = [...groupBy(decomposed, ({ config }) => nameOf(config))].map(([name, group]) => ({
    name,
    points: group.map(({ config, after }): [number, number] => [config.rank ?? 0, after])
  }))
  const { budget } = cells[0]?.config ?? { budget: { epochs: 0, images: 0 } }
  const tuning = decomposed[0]?.config.budget ?? budget
  return [
    {
      kind: 'text',
      text:
        `The paper names layers with kernels that vary over the image as promising and leaves them. Here the second layer of a small network (conv1 1 → 16, 5×5 and pooling before it, one fully connected layer behind it) has a 3×3 kernel 16 → 32 of its own at each of 8×8 places: a tensor of ${wholeDims.join('×')} (places, output, input, window). A CP decomposition with a factor for each of the six modes is a chain of 1×1, 3×1 and 1×3 convolutions as ever, two products with a factor for the row and the column of a place, and a 1×1 convolution. ` +
        `The locally connected layer is an operator of a domain of its own (LocallyConnected), which the ONNX file explains by a function of ONNX's operators; the decomposed one needs no such thing. From scratch: ${budget.epochs} epochs of ${budget.images.toLocaleString('en')} images; tuning: ${tuning.epochs} epochs of ${tuning.images.toLocaleString('en')}. Each seed has its own first weights, batches and decomposition; accuracies are means with half of the range. ${verdict(layers)}`
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

function verdict(layers: readonly Layer[]): string {
  const find = (kind: LocalConfig['kind'], alike?: true): Layer | undefined =>
    layers.find(({ config }) => config.kind === kind && config.alike === alike)
  const [shared, each, together, factors] = [find('shared'), find('local'), find('local', true), find('factored')]
  return [
    ...(shared && each ? [`Kernels that begin apart, each drawn by itself, end ${against(each, shared)} one kernel everywhere.`] : []),
    ...(shared && together ? [`Kernels that begin alike end ${against(together, shared)} it.`] : []),
    least(layers, each, undefined),
    least(layers, together, true),
    ...(factors && each
      ? [
          `Factors trained from scratch at rank ${factors.config.rank} end ${against(factors, each)} the layer whose kernels began apart, with ${fewer(each, factors)} times fewer weights in it.`
        ]
      : [])
  ].join(' ')
}

/** What decomposing a trained layer comes to, by where its kernels began. */
function least(layers: readonly Layer[], local: Layer | undefined, alike: true | undefined): string {
  const decomposed = layers.filter(({ config }) => config.kind === 'decomposed' && config.alike === alike)
  if (local === undefined || decomposed.length === 0) return ''
  const began = `where kernels began ${alike ? 'alike' : 'apart'}`
  const within = decomposed.filter(({ after }) => local.after - after <= 0.5)
  const smallest = within.reduce<Layer | undefined>((a, b) => (a !== undefined && a.size <= b.size ? a : b), undefined)
  if (smallest !== undefined)
    return `Decomposed ${began}, rank ${smallest.config.rank} is within half a point of the layer, with ${fewer(local, smallest)} times fewer weights.`
  const errors = decomposed.map(({ results }) => mean(results.flatMap(({ error }) => error ?? [])))
  return `Decomposed ${began}, no rank tried comes within half a point of the layer; the error of the kernels is ${Math.min(...errors).toFixed(3)} at best.`
}

function against(a: Layer, b: Layer): string {
  const lead = a.after - b.after
  return `${Math.abs(lead).toFixed(2)} points ${lead >= 0 ? 'above' : 'below'}`
}

function fewer(a: Layer, b: Layer): string {
  return (a.size / b.size).toFixed(0)
}
