import type { LayerReport } from '../replacement/layer-report.js'
import { lineChart } from './charts.js'
import { formatCount, formatMilliseconds, significant } from './format.js'
import type { Column, Row } from './table.js'

/** The columns of `layerRows` that fit a terminal. */
export const shortLayerColumns: readonly Column[] = [
  { title: 'layer' },
  { title: 'kernel' },
  { title: 'rank', align: 'right' },
  { title: 'error', align: 'right' },
  { title: 'parameters', align: 'right' },
  { title: 'multiply-adds', align: 'right' },
  { title: 'ms', align: 'right' },
  { title: 'seconds', align: 'right' }
]

/** All columns of `layerRows`. */
export const layerColumns: readonly Column[] = [
  ...shortLayerColumns,
  { title: 'iterations', align: 'right' },
  { title: 'stopped' },
  { title: 'form' }
]

/** What was done to each layer, a row a layer. */
export function layerRows(layers: readonly LayerReport[]): Row[] {
  return layers.map((layer) => [
    layer.name,
    layer.kernel.join('×'),
    `${layer.rank}${layer.groups > 1 ? ` × ${layer.groups} groups` : ''}`,
    layer.relativeError.toFixed(4),
    `${formatCount(layer.parametersBefore)} → ${formatCount(layer.parametersAfter)}`,
    layer.macsBefore === undefined || layer.macsAfter === undefined
      ? '?'
      : `${formatCount(layer.macsBefore)} → ${formatCount(layer.macsAfter)}`,
    layer.latency === undefined ? '' : `${formatMilliseconds(layer.latency.denseMs)} → ${formatMilliseconds(layer.latency.chainMs)}`,
    significant(layer.seconds, 2),
    String(layer.iterations),
    layer.stopReason.replace('_', ' '),
    layer.form
  ])
}

/** Relative error against iteration, a curve a layer, on a logarithmic axis. */
export function errorChart(layers: readonly Pick<LayerReport, 'name' | 'rank' | 'trace'>[]): string {
  const series = layers.map(({ name, rank, trace }) => ({
    name: `${name}, rank ${rank}`,
    points: trace.map((error, i) => [i, error] as const)
  }))
  return lineChart(series, { title: 'Error of the decomposition', xLabel: 'iteration', yLabel: 'relative error ‖K − M‖ / ‖K‖', logY: true })
}
