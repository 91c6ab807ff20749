import { formatMilliseconds } from './format.js'
import { element, type Markup } from './markup.js'
import { linearScale, logScale, type Scale } from './scale.js'

/** One curve. Points that a logarithmic axis cannot show (zero, negative, not finite) are left out. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
}

export interface LineChartOptions {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly logY?: boolean
}

export interface Bar {
  readonly label: string
  readonly value: number
  /** Bars of one group share a colour and a legend entry. */
  readonly group: string
}

export interface BarChartOptions {
  readonly title: string
  readonly xLabel: string
  readonly format?: (value: number) => string
}

// Mid-tones: at least 3:1 against white and against near-black, and told apart by the colour-blind.
const palette = ['#2f7fc1', '#d0702a', '#2e9466', '#b0589a', '#8a7a2e', '#6f6fd0'] as const
const font = 'system-ui, sans-serif'
const width = 720
// Room for tick labels on the left, the legend above and the axis label below.
const frame = { left: 72, right: 20, top: 60, bottom: 52 } as const

/** Curves over a linear x-axis and a linear or logarithmic y-axis, as a self-contained `<svg>`. */
export function lineChart(series: readonly Series[], options: LineChartOptions): string {
  const height = 360
  const drawn = series.map(({ name, points }) => ({ name, points: points.filter((point) => canShow(point, options.logY === true)) }))
  const all = drawn.flatMap(({ points }) => points)
  if (all.length === 0) return emptyChart(options.title, 'no finite values to show')
  const x = scaleOver(all, 0, [frame.left, width - frame.right], false)
  const y = scaleOver(all, 1, [height - frame.bottom, frame.top], options.logY === true)
  const curves = drawn.map(({ points }, i) => curve(points, x, y, colour(i)))
  return framed(
    height,
    options.title,
    drawn.map(({ name }) => name),
    [...gridY(y), ...axisX(x, height, options.xLabel), axisLabelY(options.yLabel, height), ...curves]
  )
}

/** Horizontal bars from zero with their values written beside them, as a self-contained `<svg>`. */
export function barChart(bars: readonly Bar[], options: BarChartOptions): string {
  const drawn = bars.filter(({ value }) => Number.isFinite(value) && value >= 0)
  if (drawn.length === 0) return emptyChart(options.title, 'nothing was measured')
  const groups = [...new Set(drawn.map(({ group }) => group))]
  const pitch = 30
  const height = frame.top + drawn.length * pitch + frame.bottom
  const left = Math.min(300, 24 + 7 * Math.max(...drawn.map(({ label }) => label.length)))
  const x = linearScale(0, Math.max(...drawn.map(({ value }) => value), Number.MIN_VALUE), [left, width - 84])
  const format = options.format ?? formatMilliseconds
  const rows = drawn.flatMap((bar, i) =>
    barRow(bar, { x, left, y: frame.top + i * pitch, fill: colour(groups.indexOf(bar.group)), text: format(bar.value) })
  )
  return framed(height, options.title, groups, [...axisX(x, height, options.xLabel), ...rows])
}

function canShow([x, y]: readonly [number, number], log: boolean): boolean {
  return Number.isFinite(x) && Number.isFinite(y) && (!log || y > 0)
}

function scaleOver(points: readonly (readonly [number, number])[], axis: 0 | 1, range: readonly [number, number], log: boolean): Scale {
  let low = Infinity
  let high = -Infinity
  for (const point of points) {
    low = Math.min(low, point[axis])
    high = Math.max(high, point[axis])
  }
  return log ? logScale(low, high, range) : linearScale(low, high, range)
}

function curve(points: Series['points'], x: Scale, y: Scale, stroke: string): Markup {
  const path = points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${round(x.map(px))} ${round(y.map(py))}`).join('')
  const [only] = points
  if (points.length === 1 && only) return element('circle', { cx: x.map(only[0]), cy: y.map(only[1]), r: 3.5, fill: stroke })
  return element('path', { d: path, fill: 'none', stroke, 'stroke-width': 2, 'stroke-linejoin': 'round' })
}

interface RowPlace {
  readonly x: Scale
  readonly left: number
  readonly y: number
  readonly fill: string
  readonly text: string
}

function barRow(bar: Bar, { x, left, y, fill, text: value }: RowPlace): Markup[] {
  const end = x.map(bar.value)
  return [
    text(bar.label, { x: left - 8, y: y + 16, 'text-anchor': 'end' }),
    element('rect', { x: left, y: y + 3, width: Math.max(1, end - left), height: 18, rx: 2, fill }),
    text(value, { x: Math.max(left + 1, end) + 6, y: y + 16 })
  ]
}

function gridY(y: Scale): Markup[] {
  return y.ticks.flatMap(({ value, label }) => [
    element('line', {
      x1: frame.left,
      x2: width - frame.right,
      y1: y.map(value),
      y2: y.map(value),
      stroke: 'currentColor',
      'stroke-opacity': 0.15
    }),
    text(label, { x: frame.left - 8, y: y.map(value) + 4, 'text-anchor': 'end' })
  ])
}

function axisX(x: Scale, height: number, label: string): Markup[] {
  const base = height - frame.bottom
  const [from, to] = [x.map(x.domain[0]), x.map(x.domain[1])]
  return [
    element('line', { x1: from, x2: to, y1: base, y2: base, stroke: 'currentColor', 'stroke-opacity': 0.6 }),
    ...x.ticks.flatMap((tick) => [
      element('line', {
        x1: x.map(tick.value),
        x2: x.map(tick.value),
        y1: base,
        y2: base + 5,
        stroke: 'currentColor',
        'stroke-opacity': 0.6
      }),
      text(tick.label, { x: x.map(tick.value), y: base + 19, 'text-anchor': 'middle' })
    ]),
    text(label, { x: (from + to) / 2, y: base + 40, 'text-anchor': 'middle' })
  ]
}

function axisLabelY(label: string, height: number): Markup {
  const middle = (frame.top + height - frame.bottom) / 2
  return text(label, { x: 16, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 16 ${middle})` })
}

/** Title and legend above what is drawn, which moves down where the legend needs more than one line. */
function framed(height: number, heading: string, names: readonly string[], drawn: readonly Markup[]): string {
  const { entries, extra } = legend(names)
  const body = extra === 0 ? drawn : [element('g', { transform: `translate(0 ${extra})` }, ...drawn)]
  return svg(height + extra, heading, [title(heading), ...entries, ...body])
}

function legend(names: readonly string[]): { entries: readonly Markup[]; extra: number } {
  const linePitch = 18
  let [x, y]: [number, number] = [frame.left, 37]
  const entries = names.flatMap((name, i) => {
    const needed = 32 + 7 * name.length
    if (x > frame.left && x + needed > width) [x, y] = [frame.left, y + linePitch]
    const at = x
    x += needed
    return [element('rect', { x: at, y, width: 12, height: 12, rx: 2, fill: colour(i) }), text(name, { x: at + 17, y: y + 10 })]
  })
  return { entries, extra: y - 37 }
}

function title(content: string): Markup {
  return text(content, { x: 12, y: 22, 'font-size': 15, 'font-weight': 600 })
}

function text(content: string, attributes: Readonly<Record<string, string | number>>): Markup {
  return element('text', { 'font-size': 12, fill: 'currentColor', ...attributes }, content)
}

function emptyChart(heading: string, note: string): string {
  return svg(90, heading, [title(heading), text(note, { x: 12, y: 52 })])
}

function svg(height: number, label: string, children: readonly Markup[]): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    'font-family': font,
    'aria-label': label
  }
  return element('svg', attributes, ...children).markup
}

function colour(index: number): string {
  return palette[index % palette.length] ?? palette[0]
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
