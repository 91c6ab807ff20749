import { lineChart, type Series } from '../../lib/report/charts.js'
import { formatCount, formatMilliseconds, formatPercent, formatRatio } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Column, Row } from '../../lib/report/table.js'
import { ranksText } from '../common/charnet.js'
import { groupBy, mean, spread } from '../framework/statistics.js'
import { float32Runtimes } from '../common/latency.js'
import type { Dense, Trained } from './compute.js'
import {
  baselinesOf,
  type Baselines,
  type Cell,
  chosenOf,
  type Network,
  networksOf,
  speedUp,
  type Times,
  timesOf,
  tunedTest
} from './networks.js'

const right = (title: string): Column => ({ title, align: 'right' })

/** Table and text of the README first. */
export function report(cells: readonly Cell[]): Section[] {
  const plain = cells.find(({ config }) => config.kind === 'dense')?.result as Dense | undefined
  const [one, many] = [1, 64].map((batch) => timesOf(cells, batch))
  if (plain === undefined || one === undefined || many === undefined) return [{ kind: 'text', text: 'Not measured yet.' }]
  const dense = baselinesOf(plain, cells)
  const networks = networksOf(cells).filter(({ name }) => Number.isFinite(many.ours(name)))
  return [
    {
      kind: 'table',
      columns: curveColumns,
      rows: [...denseRows(dense, one, many), ...networks.map((network) => curveRow(network, dense, one, many))]
    },
    { kind: 'text', text: verdict(networks, dense, one, many) },
    ...(networks.length > 0 ? [curveChart(networks, dense, many)] : []),
    ...runtimeSections([one, many]),
    ...recipeSections(cells, dense.test),
    ...(networks.length > 0 ? [progressChart(networks)] : [])
  ]
}

const curveColumns: readonly Column[] = [
  { title: 'ranks' },
  ...[
    'seeds',
    'images tuned on',
    'validation',
    'test accuracy',
    'points lost',
    'against dense tuned as long',
    'parameters',
    'multiply-adds',
    'ms, batch 64',
    '× fastest dense',
    '× onnxruntime dense',
    'ms, batch 1',
    '× onnxruntime dense, batch 1'
  ].map(right)
]

function denseRows(dense: Baselines, one: Times, many: Times): Row[] {
  const speed = speedCells('dense', one, many)
  const size = [formatCount(dense.parameters), formatCount(dense.macs)]
  const { tuned, tunedOn } = dense
  const rows = [['dense', '1', '', formatPercent(dense.validation), formatPercent(dense.test), '', '', ...size, ...speed]]
  if (tuned.length === 0) return rows
  return [...rows, ['dense, tuned as long', String(tuned.length), formatCount(tunedOn), ...accuracyCells(tuned, dense), ...size, ...speed]]
}

function curveRow({ name, images, results }: Network, dense: Baselines, one: Times, many: Times): Row {
  const { parameters = Number.NaN, macs = Number.NaN } = results[0] ?? {}
  const size = [formatCount(parameters), formatCount(macs)]
  return [name, String(results.length), formatCount(images), ...accuracyCells(results, dense), ...size, ...speedCells(name, one, many)]
}

function accuracyCells(results: readonly Trained[], dense: Baselines): string[] {
  const tests = results.map(({ test }) => test)
  const lost = (from: number): string =>
    spread(
      tests.map((test) => from - test),
      2,
      ''
    )
  return [
    spread(results.map(({ best }) => best)),
    spread(tests),
    lost(dense.test),
    dense.tuned.length === 0 || results === dense.tuned ? '' : lost(tunedTest(dense))
  ]
}

function speedCells(name: string, one: Times, many: Times): string[] {
  return [
    formatMilliseconds(many.ours(name)),
    formatRatio(speedUp(name, many)),
    formatRatio(many.onnxruntimeDense / many.ours(name)),
    formatMilliseconds(one.ours(name)),
    formatRatio(one.onnxruntimeDense / one.ours(name))
  ]
}

function verdict(networks: readonly Network[], dense: Baselines, one: Times, many: Times): string {
  const runtimes = [...new Set(many.timings.filter(({ runtime }) => float32Runtimes.includes(runtime)).map(({ runtime }) => runtime))]
  const about = `Milliseconds an image on one thread, measured in turn in one run. The fastest dense float32 engine at batch 64 is ${many.fastestDense?.runtime ?? '-'} (of ${runtimes.join(', ')}).`
  const chosen = chosenOf(networks, dense, many)
  if (chosen === undefined) return `No network here is within one point of the dense one on the validation set. ${about}`
  const { name, results } = chosen
  const seeds = results.length === 1 ? 'one seed' : `mean of ${results.length} seeds`
  return [
    `The fastest network within one point of the dense one on the validation set is ${name}: ${formatRatio(speedUp(name, many))} faster than the fastest dense float32 engine at batch 64`,
    `and ${formatRatio(many.onnxruntimeDense / many.ours(name))} faster than onnxruntime's dense network (${formatRatio(one.onnxruntimeDense / one.ours(name))} at batch 1).`,
    `On the test set it is ${difference(dense.test - mean(results.map(({ test }) => test)))} than the dense network (${seeds}).`,
    aim(networks, dense, one, many),
    limit(networks, chosen, many),
    fairness(results, dense),
    about
  ].join(' ')
}

/** Forty times faster than onnxruntime's dense network at batch 64 and thirty times at batch 1: which network is, and what it costs. */
function aim(networks: readonly Network[], dense: Baselines, one: Times, many: Times): string {
  const times = ({ name }: Network): [number, number] => [many.onnxruntimeDense / many.ours(name), one.onnxruntimeDense / one.ours(name)]
  const reaching = networks.filter((network) => times(network)[0] >= 40 && times(network)[1] >= 30)
  const lost = ({ results }: Network): number => dense.validation - mean(results.map(({ best }) => best))
  const best = reaching.reduce<Network | undefined>((a, b) => (a !== undefined && lost(a) <= lost(b) ? a : b), undefined)
  const what = '40 times faster than onnxruntime at batch 64 and 30 times at batch 1'
  if (best === undefined) return `No network here that has been tuned is ${what}.`
  return `The best network that is ${what} is ${best.name}, which on the validation set loses ${lost(best).toFixed(2)} points.`
}

/** How much of fewer multiply-adds is still speed at the smallest ranks. */
function limit(networks: readonly Network[], chosen: Network, many: Times): string {
  const macs = ({ results }: Network): number => results[0]?.macs ?? Number.NaN
  const smallest = networks.reduce((a, b) => (macs(b) < macs(a) ? b : a))
  if (smallest === chosen) return ''
  const fewer = (part: number): string => `${(100 * (1 - part)).toFixed(0)} %`
  return `From ${chosen.name} to ${smallest.name} multiply-adds fall by ${fewer(macs(smallest) / macs(chosen))} and time by ${fewer(many.ours(smallest.name) / many.ours(chosen.name))}: at such ranks less and less of it is in them.`
}

/** The dense network was trained on fewer images than the decomposed ones were tuned on. */
function fairness(results: readonly Trained[], dense: Baselines): string {
  if (dense.tuned.length === 0)
    return 'The decomposed networks were tuned on more images than the dense one was trained on, which may be part of their accuracy; the dense network has not been tuned as long yet.'
  const gained = difference(dense.test - tunedTest(dense))
  const lost = difference(tunedTest(dense) - mean(results.map(({ test }) => test)))
  return `The decomposed networks were tuned on more images than the dense one was trained on. Tuned as long, the dense network becomes ${gained}; against that one the decomposed network is ${lost}.`
}

function difference(lost: number): string {
  return `${Math.abs(lost).toFixed(2)} points ${lost < 0 ? 'more' : 'less'} accurate`
}

function curveChart(networks: readonly Network[], dense: Baselines, many: Times): Section {
  const points = (value: (results: readonly Trained[]) => number): [number, number][] =>
    networks.map(({ name, results }): [number, number] => [speedUp(name, many), value(results)]).sort((a, b) => a[0] - b[0])
  const reach = Math.max(...networks.map(({ name }) => speedUp(name, many)))
  const tested = (results: readonly Trained[]): number[] => results.map(({ test }) => test)
  const level = (name: string, value: number): Series => ({
    name,
    points: [
      [1, value],
      [reach, value]
    ]
  })
  const svg = lineChart(
    [
      level('dense', dense.test),
      level('one point less', dense.test - 1),
      ...(dense.tuned.length > 0 ? [level('dense, tuned as long', tunedTest(dense))] : []),
      { name: 'decomposed, mean of seeds', points: points((results) => mean(tested(results))) },
      ...(networks.some(({ results }) => results.length > 1)
        ? [
            { name: 'best seed', points: points((results) => Math.max(...tested(results))) },
            { name: 'worst seed', points: points((results) => Math.min(...tested(results))) }
          ]
        : [])
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

/** A table a set of ranks: the short trials, and the long ones. */
function recipeSections(cells: readonly Cell[], dense: number): Section[] {
  const tried = cells.flatMap(({ config, result }) => (config.kind === 'recipe' ? [{ ...config, result: result as Trained }] : []))
  const columns = [{ title: 'recipe' }, ...['validation before', 'validation, best epoch', 'test before', 'test', 'points lost'].map(right)]
  return [...groupBy(tried, ({ ranks }) => ranksText(ranks))].flatMap(([ranks, trials], index): Section[] => {
    const own = cells.flatMap(({ config, result }) =>
      index > 0 && config.kind === 'ranks' && config.seed === 1 && ranksText(config.ranks) === ranks
        ? [{ ...config, recipe: '300,000 images, twice: as the curve', result: result as Trained }]
        : []
    )
    const group = [...own, ...trials]
    const rows = group.map(({ recipe, result }) => [
      recipe,
      formatPercent(result.validation[0] ?? Number.NaN),
      formatPercent(result.best),
      formatPercent(result.testBefore),
      formatPercent(result.test),
      (dense - result.test).toFixed(2)
    ])
    const { images = 0, epochs = 0 } = group[0]?.settings.tuning ?? {}
    const text =
      index === 0
        ? `One seed each, tuned for ${epochs} epochs of ${images.toLocaleString('en')} images; every row differs from \`plain\` (NLS start, SGD at 0.005, one-cycle) by what its name says. The validation column is what the recipe of the curve was chosen by. ${worth(group, 'plain')}`
        : `One seed each, from data-aware factors with AdamW, on ${formatCount(images * epochs)} images in all. ${worth(group, group[0]?.recipe ?? '')}`
    return [
      { kind: 'table', heading: `What helps, at ${ranks}`, columns, rows },
      { kind: 'text', text }
    ]
  })
}

/** What each change gained, on the validation set; its standard error is 0.4 points. */
function worth(group: readonly { readonly recipe: string; readonly result: Trained }[], base: string): string {
  const from = group.find(({ recipe }) => recipe === base)?.result
  if (from === undefined) return ''
  const gains = group
    .filter(({ recipe }) => recipe !== base)
    .map(({ recipe, result }) => ({ recipe, points: result.best - from.best }))
    .map(({ recipe, points }) => `${recipe} ${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(2)}`)
  return gains.length === 0
    ? ''
    : `Against \`${base}\`, in points of validation accuracy (whose standard error is 0.4): ${gains.join(', ')}. What is no more than that did not help.`
}

function progressChart(networks: readonly Network[]): Section {
  const series = networks.map(({ name, images, results }) => {
    const values = results[0]?.validation.slice(1) ?? []
    const epoch = images / 1000 / values.length
    return { name: name.replace(/conv\d /g, ''), points: values.map((value, i): [number, number] => [(i + 1) * epoch, value]) }
  })
  return {
    kind: 'chart',
    heading: 'Tuning',
    svg: lineChart(series.slice(-6), {
      title: 'Validation accuracy after each epoch, first seed',
      xLabel: 'thousands of images',
      yLabel: 'validation accuracy, %'
    }),
    note: 'Named by the ranks of conv1, conv2 and conv3.'
  }
}
