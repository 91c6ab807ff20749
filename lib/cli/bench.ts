import { writeFileAtomically } from '../formats/atomic-write.js'
import { formatMilliseconds, formatRatio } from '../report/format.js'
import { machine } from '../report/machine.js'
import { type Candidate, type Measured, measureInterleaved } from '../report/measure.js'
import { textTable } from '../report/table.js'
import { packageVersion } from '../report/version.js'
import { Session } from '../runtime/session.js'
import { checkWritable, integer, number, text } from './arguments.js'
import { type Command, type Context, UsageError } from './command.js'
import { loadNetwork } from './network.js'
import { concreteShapes, randomInputs, shapeOptions } from './shapes.js'

const help = `
Measure the latency of one network, or compare a second with the first.

Usage: polyadic bench A.onnx [B.onnx] [--batch N] [--threads N] [--runs N] [--json FILE] [--fail-above RATIO]

  --batch N           examples a run, where the first dimension is open (1)
  --threads N         1 by default
  --runs N            samples of each network (30); they are taken in turn, and medians are compared
  --shape NAME=DIMS   shape of an input that leaves dimensions open, as in image=1x3x224x224
  --fail-above RATIO  exit with 1 when B takes more than RATIO times as long as A
  --json FILE         write the figures
`

export const bench: Command = {
  name: 'bench',
  summary: 'measure latency, compare two networks',
  help,
  options: {
    batch: { type: 'string' },
    threads: { type: 'string' },
    runs: { type: 'string' },
    shape: { type: 'string', multiple: true },
    'fail-above': { type: 'string' },
    json: { type: 'string' }
  },
  async run(args, context) {
    const files = args.positionals
    if (files.length < 1 || files.length > 2) throw new UsageError(`expected one or two networks, got ${files.length}`)
    const settings = { batch: integer(args, 'batch', 1), threads: integer(args, 'threads', 1) ?? 1, runs: integer(args, 'runs', 1) ?? 30 }
    const [limit, json] = [number(args, 'fail-above', 0), text(args, 'json')]
    if (limit !== undefined && files.length < 2) throw new UsageError('--fail-above needs two networks')
    if (json !== undefined) await checkWritable(json)
    const measured = await measureFiles(files, { ...settings, shapes: shapeOptions(args) }, context)
    const [a, b] = measured
    const ratio = a && b ? b.medianMs / a.medianMs : undefined
    context.print(table(measured, ratio))
    if (json !== undefined) await writeFileAtomically(json, Buffer.from(toJson(measured, ratio, settings)))
    if (limit !== undefined && ratio !== undefined && ratio > limit) {
      throw new Error(`${files[1]} takes ${formatRatio(ratio)} the time of ${files[0]}, more than the ${formatRatio(limit)} allowed`)
    }
  }
}

interface Settings {
  readonly batch: number | undefined
  readonly threads: number
  readonly runs: number
}

async function measureFiles(
  files: readonly string[],
  settings: Settings & { shapes: ReadonlyMap<string, readonly number[]> },
  context: Context
): Promise<Measured[]> {
  const { threads, runs, batch, shapes } = settings
  const sessions: Session[] = []
  try {
    const candidates: Candidate[] = []
    for (const file of files) {
      const graph = await loadNetwork(file)
      const inputs = randomInputs(concreteShapes(graph, shapes, batch))
      const session = await Session.create(graph, { threads })
      sessions.push(session)
      candidates.push({ name: file, run: () => session.run(inputs, { signal: context.signal }) })
    }
    const onProgress = (done: number, total: number): void => context.progress.update('measuring', done, total)
    return await measureInterleaved(candidates, { runs, signal: context.signal, onProgress })
  } finally {
    for (const session of sessions) session.close()
    context.progress.clear()
  }
}

function table(measured: readonly Measured[], ratio: number | undefined): string {
  const columns = [
    { title: 'network' },
    { title: 'median ms', align: 'right' },
    { title: 'fastest', align: 'right' },
    { title: 'slowest', align: 'right' },
    { title: 'time', align: 'right' }
  ] as const
  const rows = measured.map(({ name, medianMs, samplesMs }, i) => [
    name,
    ...[medianMs, Math.min(...samplesMs), Math.max(...samplesMs)].map(formatMilliseconds),
    formatRatio(i === 0 ? 1 : (ratio ?? Number.NaN))
  ])
  return textTable(columns, rows)
}

function toJson(measured: readonly Measured[], ratio: number | undefined, { batch = 1, threads, runs }: Settings): string {
  const networks = measured.map(({ name, medianMs, samplesMs }) => ({
    file: name,
    median_ms: medianMs,
    fastest_ms: Math.min(...samplesMs),
    slowest_ms: Math.max(...samplesMs)
  }))
  const report = {
    machine: machine(),
    versions: { polyadic: packageVersion(), node: process.versions.node },
    batch,
    threads,
    runs,
    networks,
    ...(ratio !== undefined && { ratio })
  }
  return `${JSON.stringify(report, null, 2)}\n`
}
