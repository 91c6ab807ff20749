import { lineChart } from '../../lib/report/charts.js'
import { formatCount, formatMilliseconds, formatPercent, formatRatio } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Column, Row } from '../../lib/report/table.js'
import { ranksText } from '../common/charnet.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import { float32Runtimes, type Timing } from '../common/latency.js'
import type { Dense, PastConfig, PastResult, Timed, Trained } from './compute.js'

type Cell = Finished<PastConfig, PastResult>

/** The times of one batch size, milliseconds an image. */
interface Times {
  readonly batch: number
  readonly timings: readonly Timing[]
  /** Of polyadic. */
  readonly ours: (name: string) => number
  readonly fastestDense: Timing | undefined
  readonly onnxruntimeDense: number
}

const right = (title: string): Column => ({ title, align: 'right' })

/** Table and text of the README first. */
export function report(cells: readonly Cell[]): Section[] {
  const dense = cells.find(({ config }) => config.kind === 'dense')?.result as Dense | undefined
  const [one, many] = [1, 64].map((batch) => timesOf(cells, batch))
  if (dense === undefined || one === undefined || many === undefined) return [{ kind: 'text', text: 'Not measured yet.' }]
  const networks = networksOf(cells)
  return [
    {
      kind: 'table',
      columns: curveColumns,
      rows: [denseRow(dense, one, many), ...networks.map((network) => curveRow(network, dense.test, one, many))]
    },
    { kind: 'text', text: verdict(networks, dense.test, one, many) },
    ...(networks.length > 0 ? [curveChart(networks, dense.test, many)] : []),
    ...runtimeSections([one, many]),
    ...recipeSections(cells, dense.test),
    ...(networks.length > 0 ? [progressChart(networks)] : [])
  ]
}

/** Ranks, over their seeds. */
interface Network {
  /** As the times call it. */
  readonly name: string
  readonly images: number
  readonly results: readonly Trained[]
}

function networksOf(cells: readonly Cell[]): Network[] {
  const trained = cells.flatMap(({ config, result }) => (config.kind === 'ranks' ? [{ config, result: result as Trained }] : []))
  return [...groupBy(trained, ({ config }) => ranksText(config.ranks)).values()].map((group) => {
    const [{ config }] = group as [(typeof group)[number]]
    const { images, epochs } = config.settings.tuning
    return { name: ranksText(config.ranks), images: images * epochs, results: group.map(({ result }) => result) }
  })
}

const curveColumns: readonly Column[] = [
  { title: 'ranks' },
  ...[
    'seeds',
    'images tuned on',
    'test accuracy',
    'points lost',
    'parameters',
    'multiply-adds',
    'ms, batch 64',
    '× fastest dense',
    '× onnxruntime dense',
    'ms, batch 1',
    '× onnxruntime dense, batch 1'
  ].map(right)
]

function denseRow(dense: Dense, one: Times, many: Times): Row {
  return [
    'dense',
    '1',
    '',
    formatPercent(dense.test),
    '',
    formatCount(dense.parameters),
    formatCount(dense.macs),
    formatMilliseconds(many.ours('dense')),
    formatRatio((many.fastestDense?.ms ?? Number.NaN) / many.batch / many.ours('dense')),
    formatRatio(many.onnxruntimeDense / many.ours('dense')),
    formatMilliseconds(one.ours('dense')),
    formatRatio(one.onnxruntimeDense / one.ours('dense'))
  ]
}

function curveRow({ name, images, results }: Network, dense: number, one: Times, many: Times): Row {
  const [first] = results
  return [
    name,
    String(results.length),
    formatCount(images),
    spread(results.map(({ test }) => test)),
    spread(
      results.map(({ test }) => dense - test),
      2,
      ''
    ),
    formatCount(first?.parameters ?? Number.NaN),
    formatCount(first?.macs ?? Number.NaN),
    formatMilliseconds(many.ours(name)),
    formatRatio(speedUp(name, many)),
    formatRatio(many.onnxruntimeDense / many.ours(name)),
    formatMilliseconds(one.ours(name)),
    formatRatio(one.onnxruntimeDense / one.ours(name))
  ]
}

/** Against the fastest float32 engine's dense network. */
function speedUp(name: string, times: Times): number {
  return (times.fastestDense?.ms ?? Number.NaN) / times.batch / times.ours(name)
}

// What a reader has to know of how the curve came about.
const caveat =
  ' The compressed networks were tuned on more images than the dense one was trained on, which may be part of their accuracy: points lost compare with ' +
  'the dense network as it is, not with one trained as long. Ranks were seen on the test set.'

function verdict(networks: readonly Network[], dense: number, one: Times, many: Times): string {
  const within = networks.filter(({ results }) => dense - mean(results.map(({ test }) => test)) <= 1)
  const best = within.reduce<Network | undefined>((a, b) => (a !== undefined && many.ours(a.name) <= many.ours(b.name) ? a : b), undefined)
  const about = `Milliseconds an image on one thread, measured in turn in one run. The fastest dense float32 engine at batch 64 is ${many.fastestDense?.runtime ?? '-'} (of ${[...new Set(many.timings.filter(({ runtime }) => float32Runtimes.includes(runtime)).map(({ runtime }) => runtime))].join(', ')}).`
  if (best === undefined) return `No network here loses at most one point. ${about}`
  const lost = dense - mean(best.results.map(({ test }) => test))
  return (
    `With at most one point lost, ${best.name} is the fastest: ${formatRatio(speedUp(best.name, many))} faster than the fastest dense float32 engine at batch 64 ` +
    `and ${formatRatio(many.onnxruntimeDense / many.ours(best.name))} faster than onnxruntime's dense network (${formatRatio(one.onnxruntimeDense / one.ours(best.name))} at batch 1), ` +
    `${Math.abs(lost).toFixed(2)} points ${lost < 0 ? 'more' : 'less'} accurate (${best.results.length === 1 ? 'one seed' : `mean of ${best.results.length} seeds`}). ${about}${caveat}`
  )
}

function curveChart(networks: readonly Network[], dense: number, many: Times): Section {
  const points = (value: (results: readonly Trained[]) => number): [number, number][] =>
    networks.map(({ name, results }): [number, number] => [speedUp(name, many), value(results)]).sort((a, b) => a[0] - b[0])
  const reach = Math.max(...networks.map(({ name }) => speedUp(name, many)))
  const tested = (results: readonly Trained[]): number[] => results.map(({ test }) => test)
  const svg = lineChart(
    [
      {
        name: 'dense',
        points: [
          [1, dense],
          [reach, dense]
        ]
      },
      {
        name: 'one point less',
        points: [
          [1, dense - 1],
          [reach, dense - 1]
        ]
      },
      { name: 'tuned, mean of seeds', points: points((results) => mean(tested(results))) },
      { name: 'best seed', points: points((results) => Math.max(...tested(results))) },
      { name: 'worst seed', points: points((results) => Math.min(...tested(results))) }
    ],
    {
      title: 'Accuracy against speed-up',
      xLabel: 'times faster than the fastest dense float32 engine, batch 64, one thread',
      yLabel: 'test accuracy, %'
    }
  )
  return { kind: 'chart', heading: 'Accuracy against speed-up', svg }
}

function runtimeSections([one, many]: readonly [Times, Times]): Section[] {
  const columns = [
    { title: 'network' },
    { title: 'runtime' },
    ...['ms, batch 1', 'quartiles', 'ms an image, batch 64', 'quartiles'].map(right)
  ]
  const rows = many.timings.map(({ name, runtime, version }) => [
    name,
    `${runtime} ${version}`.trim(),
    ...[one, many].flatMap(({ batch, timings }) => {
      const found = timings.find((timing) => timing.name === name && timing.runtime === runtime)
      if (found === undefined) return ['', '']
      return [formatMilliseconds(found.ms / batch), found.quartiles.map((value) => formatMilliseconds(value / batch)).join('…')]
    })
  ])
  const differences = [...one.timings, ...many.timings]
    .filter(({ runtime }) => float32Runtimes.includes(runtime))
    .map(({ difference }) => difference)
  return [
    { kind: 'table', heading: 'Every runtime', columns, rows },
    {
      kind: 'text',
      text: `Medians and quartiles of samples of 50 ms each, taken in turn. Before anything was timed the outputs were compared: those of the float32 runtimes differ from polyadic's by at most ${Math.max(...differences).toExponential(0)} of the largest output. OpenVINO chooses its own precision by default, bfloat16 where the processor has it: another trade of accuracy for speed, which is open to decomposed networks as well and stands in its own row for the truth of it.`
    }
  ]
}

function recipeSections(cells: readonly Cell[], dense: number): Section[] {
  const tried = cells.flatMap(({ config, result }) => (config.kind === 'recipe' ? [{ config, result: result as Trained }] : []))
  if (tried.length === 0) return []
  const rows = tried.map(({ config, result }) => [
    config.recipe,
    formatPercent(result.validation[0] ?? Number.NaN),
    formatPercent(result.best),
    formatPercent(result.testBefore),
    formatPercent(result.test),
    (dense - result.test).toFixed(2)
  ])
  const columns = [{ title: 'recipe' }, ...['validation before', 'validation, best epoch', 'test before', 'test', 'points lost'].map(right)]
  const [first] = tried
  return [
    { kind: 'table', heading: `What helps, at ${ranksText(first?.config.ranks ?? {})}`, columns, rows },
    {
      kind: 'text',
      text: `One seed each, tuned for ${first?.config.settings.tuning.epochs} epochs of ${first?.config.settings.tuning.images.toLocaleString('en')} images; every row differs from \`plain\` (NLS start, SGD at 0.005, one-cycle) by what its name says. The validation column is what the recipe of the curve was chosen by.`
    }
  ]
}

function progressChart(networks: readonly Network[]): Section {
  const series = networks.map(({ name, results }) => {
    const values = results[0]?.validation.slice(1) ?? []
    return { name: name.replace(/conv\d /g, ''), points: values.map((value, i): [number, number] => [i + 1, value]) }
  })
  return {
    kind: 'chart',
    heading: 'Tuning',
    svg: lineChart(series.slice(-6), {
      title: 'Validation accuracy by epoch, first seed',
      xLabel: 'epoch',
      yLabel: 'validation accuracy, %'
    }),
    note: 'Named by the ranks of conv1, conv2 and conv3.'
  }
}

function timesOf(cells: readonly Cell[], batch: number): Times | undefined {
  const found = cells.find(({ config }) => config.kind === 'time' && config.batch === batch)?.result as Timed | undefined
  if (found === undefined) return undefined
  const { timings } = found
  const at = (name: string, runtime: string): number =>
    (timings.find((one) => one.name === name && one.runtime === runtime)?.ms ?? Number.NaN) / batch
  const dense = timings.filter(({ name, runtime }) => name === 'dense' && float32Runtimes.includes(runtime))
  const fastestDense = dense.reduce<Timing | undefined>((a, b) => (a !== undefined && a.ms <= b.ms ? a : b), undefined)
  return { batch, timings, fastestDense, ours: (name) => at(name, 'polyadic'), onnxruntimeDense: at('dense', 'onnxruntime') }
}
