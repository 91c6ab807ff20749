import t from 'tap'
import { barChart, lineChart } from '../../lib/report/charts.js'
import { linearScale, logScale } from '../../lib/report/scale.js'

const labels = (scale: { ticks: readonly { label: string }[] }): string[] => scale.ticks.map(({ label }) => label)

t.test('linear ticks are round and enclose the data', async (t) => {
  t.strictSame(labels(linearScale(0, 10, [0, 100])), ['0', '2', '4', '6', '8', '10'])
  t.strictSame(labels(linearScale(0.13, 0.31, [0, 100])), ['0.10', '0.15', '0.20', '0.25', '0.30', '0.35'])
  for (const [low, high] of [
    [0, 1],
    [3, 97],
    [-5, 5],
    [0.001, 0.002],
    [12345, 12346],
    [7, 7],
    [0, 0]
  ] as const) {
    const { domain, ticks } = linearScale(low, high, [0, 100])
    t.ok(domain[0] <= low && domain[1] >= high && domain[0] < domain[1], `${low} to ${high} is inside`)
    t.ok(ticks.length >= 2 && ticks.length <= 9, `${ticks.length} ticks`)
  }
})

t.test('linear and logarithmic maps hit both ends', async (t) => {
  const linear = linearScale(0, 10, [50, 150])
  t.strictSame([linear.map(0), linear.map(10), linear.map(5)], [50, 150, 100])
  const log = logScale(1e-3, 1, [300, 0])
  t.match(log.map(1e-3), 300)
  t.ok(Math.abs(log.map(1)) < 1e-9)
  t.ok(Math.abs(log.map(0.1) - 100) < 1e-9)
})

t.test('logarithmic ticks: powers of ten, finer within one decade', async (t) => {
  t.strictSame(labels(logScale(1e-5, 0.9, [0, 100])), ['10⁻⁵', '10⁻⁴', '0.001', '0.01', '0.1', '1'])
  t.strictSame(labels(logScale(0.15, 0.6, [0, 100])), ['0.1', '0.2', '0.3', '0.5', '0.7'])
  for (const [low, high] of [
    [1e-12, 1],
    [0.9, 1.1],
    [0.5, 0.5],
    [3e-4, 2e-3],
    [9.99, 10]
  ] as const) {
    const { domain, ticks } = logScale(low, high, [0, 100])
    t.ok(domain[0] <= low * 1.0001 && domain[1] >= high * 0.9999 && domain[0] < domain[1], `${low} to ${high} is inside ${domain}`)
    t.ok(ticks.length >= 2 && ticks.length <= 10, `${ticks.length} ticks`)
  }
  t.throws(() => logScale(0, 1, [0, 1]), RangeError)
})

t.test('a line chart draws a curve a series and leaves out what a log axis cannot show', async (t) => {
  const options = { title: 'Error', xLabel: 'iteration', yLabel: 'relative error', logY: true }
  const svg = lineChart(
    [
      {
        name: 'conv2',
        points: [
          [0, 1],
          [1, 0.1],
          [2, 0],
          [3, Number.NaN]
        ]
      },
      {
        name: '<conv3>',
        points: [
          [0, 0.5],
          [3, 0.2]
        ]
      }
    ],
    options
  )
  t.equal(svg.match(/<path /g)?.length, 2)
  t.match(svg, '&#60;conv3&#62;')
  t.notMatch(svg, /NaN|Infinity/)
  t.match(lineChart([], options), 'no finite values')
})

t.test('bars begin at zero and grow with their value', async (t) => {
  const svg = barChart(
    [
      { label: 'dense', value: 2, group: 'ours' },
      { label: 'cp', value: 1, group: 'ours' },
      { label: 'x', value: Number.NaN, group: 'peer' }
    ],
    { title: 'Latency', xLabel: 'ms' }
  )
  const widths = [...svg.matchAll(/<rect [^>]*?width="([\d.]+)" height="18"/g)].map((match) => Number(match[1]))
  t.equal(widths.length, 2)
  t.ok(Math.abs((widths[0] ?? 0) - 2 * (widths[1] ?? 0)) < 0.05)
  t.match(barChart([], { title: 'Latency', xLabel: 'ms' }), 'nothing was measured')
})

t.test('a legend that is too long goes on below, and the chart moves down', async (t) => {
  const chart = (count: number): string =>
    lineChart(
      Array.from({ length: count }, (_, i) => ({
        name: `a curve of number ${i}`,
        points: [
          [0, i],
          [1, i + 1]
        ] as const
      })),
      { title: 'Curves', xLabel: 'x', yLabel: 'y' }
    )
  const height = (svg: string): number => Number(/viewBox="0 0 720 (\d+)"/.exec(svg)?.[1])
  const entries = (svg: string): [number, number][] =>
    [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="12"/g)].map(([, x, y]) => [Number(x), Number(y)])
  t.notMatch(chart(2), '<g ')
  const six = chart(6)
  t.equal(entries(six).length, 6)
  t.ok(
    entries(six).every(([x]) => x + 32 + 7 * 'a curve of number 0'.length <= 720 + 20),
    'inside'
  )
  const lines = new Set(entries(six).map(([, y]) => y)).size
  t.ok(lines > 1)
  t.equal(height(six) - height(chart(2)), 18 * (lines - 1))
  t.match(six, `translate(0 ${18 * (lines - 1)})`)
})
