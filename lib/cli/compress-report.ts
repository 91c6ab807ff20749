import type { Graph } from '../graph/graph.js'
import type { LayerReport } from '../replacement/layer-report.js'
import { barChart, lineChart } from '../report/charts.js'
import { errorChart, layerColumns, layerRows } from '../report/compression.js'
import { formatChange, formatCount, formatSpeed } from '../report/format.js'
import { htmlReport, type Section } from '../report/html.js'
import { machine } from '../report/machine.js'
import { measureInterleaved } from '../report/measure.js'
import { packageVersion } from '../report/version.js'
import type { PrecisionChoice } from '../runtime/precision.js'
import { Session } from '../runtime/session.js'
import type { FineTuneResult } from '../training/fine-tune.js'
import type { Evaluation } from '../training/loop.js'
import type { Context } from './command.js'
import { totals } from './network.js'
import { randomInputs } from './shapes.js'
import { measure } from './training.js'
import type { TrainingData } from './training-data.js'

interface CompressionParts {
  readonly file: string
  readonly before: Graph
  readonly after: Graph
  readonly shapes: Readonly<Record<string, readonly number[]>>
  readonly layers: readonly LayerReport[]
  readonly tuned: FineTuneResult | undefined
  /** What it was tuned on. */
  readonly data: TrainingData | undefined
  /** That both networks are run in. */
  readonly precision: PrecisionChoice
}

/** The report of `polyadic compress --report`; measures both networks for it, on one thread. */
export async function compressionHtml(parts: CompressionParts, context: Context): Promise<string> {
  const [before, after] = [totals(parts.before, parts.shapes), totals(parts.after, parts.shapes)]
  const [slow = Number.NaN, fast = Number.NaN] = await latencies(parts, context)
  const { cpu, isa, os } = machine()
  const bars = [
    { label: 'before', value: slow, group: 'polyadic' },
    { label: 'after', value: fast, group: 'polyadic' }
  ]
  return htmlReport({
    title: `${parts.file}, compressed`,
    subtitle: `${formatSpeed(slow, fast)} on one thread; parameters: ${formatChange(before.parameters, after.parameters)}; multiply-adds: ${formatChange(before.macs ?? Number.NaN, after.macs ?? Number.NaN)}`,
    sections: [
      { kind: 'table', heading: 'Layers', columns: layerColumns, rows: layerRows(parts.layers) },
      { kind: 'chart', heading: 'Decomposition', svg: errorChart(parts.layers) },
      ...trainingSections(parts),
      {
        kind: 'chart',
        heading: 'Latency',
        svg: barChart(bars, { title: 'One run, one thread', xLabel: 'milliseconds (shorter is better)' })
      },
      {
        kind: 'facts',
        heading: 'Where these figures are from',
        facts: [
          ['parameters', `${formatCount(before.parameters)} → ${formatCount(after.parameters)}`],
          ['multiply-adds', `${formatCount(before.macs ?? Number.NaN)} → ${formatCount(after.macs ?? Number.NaN)}`],
          ['processor', `${cpu}, ${isa} kernels, precision ${parts.precision}`],
          ['system', `${os}, Node ${process.versions.node}, polyadic ${packageVersion()}`]
        ]
      }
    ]
  })
}

/** Fails now where the report's measurements would fail, which come last. */
export async function checkReportable(
  graph: Graph,
  shapes: CompressionParts['shapes'],
  precision: PrecisionChoice,
  signal: AbortSignal
): Promise<void> {
  await using session = await Session.create(graph, { threads: 1, precision })
  await session.run(randomInputs(graph, shapes), { signal })
}

async function latencies({ before, after, shapes, precision }: CompressionParts, { signal, progress }: Context): Promise<number[]> {
  const inputs = randomInputs(before, shapes)
  const sessions = [await Session.create(before, { threads: 1, precision }), await Session.create(after, { threads: 1, precision })]
  try {
    const candidates = sessions.map((session, i) => ({ name: String(i), run: () => session.run(inputs, { signal }) }))
    const measured = await measureInterleaved(candidates, {
      signal,
      onProgress: (done, total) => progress.update('measuring', done, total)
    })
    return measured.map(({ medianMs }) => medianMs)
  } finally {
    for (const session of sessions) session.close()
  }
}

function trainingSections({ tuned, data }: CompressionParts): Section[] {
  if (tuned === undefined || data === undefined) return []
  const value = ({ accuracy, loss }: Pick<Evaluation, 'accuracy' | 'loss'>): number => (data.kind === 'targets' ? loss : 100 * accuracy)
  const before = tuned.initial ? [[0, value(tuned.initial)] as const] : []
  const points = tuned.history.flatMap(({ epoch, validation }) => (validation ? [[epoch, value(validation)] as const] : []))
  const axes = { title: measure(data), xLabel: 'epoch', yLabel: data.kind === 'targets' ? 'loss' : 'percent' }
  return [{ kind: 'chart', heading: 'Fine-tuning', svg: lineChart([{ name: 'validation', points: [...before, ...points] }], axes) }]
}
