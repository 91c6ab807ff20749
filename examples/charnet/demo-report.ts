import type { LayerReport } from '../../lib/index.js'
import { barChart } from '../../lib/report/charts.js'
import { errorChart, layerColumns, layerRows } from '../../lib/report/compression.js'
import { formatCount, formatMilliseconds, formatPercent, formatRatio } from '../../lib/report/format.js'
import { htmlReport } from '../../lib/report/html.js'
import { machine } from '../../lib/report/machine.js'
import type { Column, Row } from '../../lib/report/table.js'
import { packageVersion } from '../../lib/report/version.js'

/** One network of the table. Accuracy in percent on the test set, times in milliseconds an image on one thread. */
export interface NetworkFigures {
  readonly accuracy: number
  readonly parameters: number
  readonly macs: number
  readonly batch1_ms: number
  readonly batch64_ms: number
  readonly ort_batch1_ms: number
  readonly ort_batch64_ms: number
}

/** What `npm run demo -- --json FILE` writes. */
export interface DemoFigures {
  readonly dense: NetworkFigures
  readonly cp: NetworkFigures
  readonly tuned: NetworkFigures
  /** dense / tuned, in polyadic. */
  readonly speedup_batch1: number
  readonly speedup_batch64: number
  /** Percentage points from dense to tuned. */
  readonly accuracy_drop: number
}

export interface DemoReport {
  readonly figures: DemoFigures
  readonly layers: readonly LayerReport[]
  /** Validation accuracy in percent, before the first epoch and after each. */
  readonly epochs: readonly number[]
  readonly data: { readonly train: number; readonly validation: number; readonly test: number }
  readonly difference: { readonly dense: number; readonly tuned: number }
  readonly seconds: number
}

const names = { dense: 'dense', cp: 'CP, before fine-tuning', tuned: 'CP, after fine-tuning' } as const

/** The columns of `figureRows`. */
export const figureColumns: readonly Column[] = [
  { title: 'network' },
  ...['test accuracy', 'parameters', 'multiply-adds', 'ms, batch 1', 'onnxruntime', 'ms, batch 64', 'onnxruntime'].map(
    (title): Column => ({ title, align: 'right' })
  )
]

export function demoFigures(dense: NetworkFigures, cp: NetworkFigures, tuned: NetworkFigures): DemoFigures {
  return {
    dense,
    cp,
    tuned,
    speedup_batch1: dense.batch1_ms / tuned.batch1_ms,
    speedup_batch64: dense.batch64_ms / tuned.batch64_ms,
    accuracy_drop: dense.accuracy - tuned.accuracy
  }
}

/** The table of the demo and of the README. */
export function figureRows(figures: DemoFigures): Row[] {
  return (['dense', 'cp', 'tuned'] as const).map((key) => {
    const f = figures[key]
    const times = [f.batch1_ms, f.ort_batch1_ms, f.batch64_ms, f.ort_batch64_ms].map(formatMilliseconds)
    return [names[key], formatPercent(f.accuracy), formatCount(f.parameters), formatCount(f.macs), ...times]
  })
}

/** One sentence that sums the table up. */
export function summary({ speedup_batch1, speedup_batch64, accuracy_drop, dense, tuned }: DemoFigures): string {
  const change =
    accuracy_drop >= 0 ? `${accuracy_drop.toFixed(2)} points less accurate` : `${(-accuracy_drop).toFixed(2)} points more accurate`
  return (
    `${formatRatio(speedup_batch64)} faster at batch 64 (${formatRatio(speedup_batch1)} at batch 1), ${change} than dense, ` +
    `${formatRatio(dense.parameters / tuned.parameters)} fewer parameters.`
  )
}

/** The self-contained HTML report. */
export function demoHtml(report: DemoReport): string {
  const { figures, layers, data } = report
  return htmlReport({
    title: 'CharNet, decomposed and fine-tuned',
    subtitle: summary(figures),
    sections: [
      { kind: 'table', heading: 'Before and after', columns: figureColumns, rows: figureRows(figures) },
      {
        kind: 'text',
        text: 'Times are milliseconds an image on one thread: medians of runs in which all six network-runtime pairs took turns. The columns headed onnxruntime are onnxruntime-node on the same file.'
      },
      { kind: 'chart', heading: 'Decomposition', svg: errorChart(layers) },
      { kind: 'table', columns: layerColumns, rows: layerRows(layers) },
      {
        kind: 'chart',
        heading: 'Accuracy on fonts never seen',
        svg: accuracyChart(figures),
        note: `${data.test.toLocaleString('en')} test images.`
      },
      {
        kind: 'text',
        text: `Fine-tuning took ${report.epochs.length - 1} ${report.epochs.length === 2 ? 'epoch' : 'epochs'} over ${data.train.toLocaleString('en')} images; accuracy on the validation set went ${report.epochs.map(formatPercent).join(' → ')}.`
      },
      { kind: 'chart', heading: 'Latency', svg: latencyChart(figures, 1) },
      { kind: 'chart', svg: latencyChart(figures, 64) },
      { kind: 'facts', heading: 'Where these figures are from', facts: facts(report) }
    ]
  })
}

function accuracyChart(figures: DemoFigures): string {
  const bars = (['dense', 'cp', 'tuned'] as const).map((key) => ({
    label: names[key],
    value: figures[key].accuracy,
    group: 'test accuracy'
  }))
  return barChart(bars, { title: 'Test accuracy', xLabel: 'percent', format: formatPercent })
}

function latencyChart(figures: DemoFigures, batch: 1 | 64): string {
  const bars = (['dense', 'tuned'] as const).flatMap((key) => {
    const [ours, peer] = batch === 1 ? (['batch1_ms', 'ort_batch1_ms'] as const) : (['batch64_ms', 'ort_batch64_ms'] as const)
    return [
      { label: names[key], value: figures[key][ours], group: 'polyadic' },
      { label: names[key], value: figures[key][peer], group: 'onnxruntime-node' }
    ]
  })
  return barChart(bars, { title: `One thread, batch ${batch}`, xLabel: 'milliseconds an image (shorter is better)' })
}

function facts({ difference, seconds }: DemoReport): [string, string][] {
  const { cpu, cores, os, isa } = machine()
  return [
    ['processor', `${cpu}, ${cores} logical processors`],
    ['kernels', isa],
    ['system', `${os}, Node ${process.versions.node}`],
    ['polyadic', packageVersion()],
    [
      'largest difference from onnxruntime-node',
      `${difference.dense.toExponential(1)} dense, ${difference.tuned.toExponential(1)} CP (100 images)`
    ],
    ['the whole demo took', `${Math.round(seconds)} s`]
  ]
}
