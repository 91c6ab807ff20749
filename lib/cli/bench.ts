import { show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { writeFileAtomically } from '../formats/atomic-write.js'
import { formatMilliseconds, formatRatio } from '../report/format.js'
import { machine } from '../report/machine.js'
import { type Candidate, type Measured, measureInterleaved } from '../report/measure.js'
import { textTable } from '../report/table.js'
import { packageVersion } from '../report/version.js'
import { type Precision, type PrecisionChoice, precisionChoices } from '../runtime/precision.js'
import { Session } from '../runtime/session.js'
import { checkOutputs, choices, integer, number, text } from './arguments.js'
import { type Command, type Context, UsageError } from './command.js'
import { loadNetwork, type Shapes } from './network.js'
import { checkShapeNames, concreteShapes, formatDims, type GivenShapes, randomInputs, shapeOptions } from './shapes.js'

const help = `
Measure the latency of one network, or compare a second with the first.

Usage: polyadic bench A.onnx [B.onnx] [--batch N] [--threads N] [--runs N] [--json FILE] [--fail-above RATIO]

  --batch N           examples a run (1), where the first dimension of the inputs is open. Times are of a run, not of an example
  --threads N         1 by default
  --precision P       f32 (default), bf16, or auto: whichever is faster. Given twice, each network has its own; one network is
                      compared with itself
  --runs N            samples of each network (30); they are taken in turn, and medians are compared
  --shape NAME=DIMS   shape of an input that leaves dimensions open, as in image=1x3x224x224; or 3x224x224, without the batch, of
                      the only input. May be repeated; of two networks it is for those that have the input
  --fail-above RATIO  exit with 1 when B takes more than RATIO times as long as A
  --json FILE         write the figures, with the shapes that were timed

Inputs are random numbers of the types that the network declares; integers of 32 and 64 bits are 1, booleans true.
`

export const bench: Command = {
  name: 'bench',
  summary: 'measure latency, compare two networks',
  help,
  options: {
    batch: { type: 'string' },
    threads: { type: 'string' },
    precision: { type: 'string', multiple: true },
    runs: { type: 'string' },
    shape: { type: 'string', multiple: true },
    'fail-above': { type: 'string' },
    json: { type: 'string' }
  },
  async run(args, context) {
    const networks = networksOf(args.positionals, choices(args, 'precision', precisionChoices))
    const settings = { batch: integer(args, 'batch', 1), threads: integer(args, 'threads', 1) ?? 1, runs: integer(args, 'runs', 1) ?? 30 }
    const [limit, json] = [number(args, 'fail-above', 0), text(args, 'json')]
    if (limit !== undefined && networks.length < 2) throw new UsageError('--fail-above needs two networks')
    // An option that takes nothing elsewhere: the network after it must not be lost.
    if (json?.endsWith('.onnx')) throw new UsageError(`--json: expected the file to write the figures to, got a network, ${show(json)}`)
    await checkOutputs({ '--json': json }, args.positionals)
    const measured = await measureNetworks(networks, { ...settings, shapes: shapeOptions(args) }, context)
    const [a, b] = measured
    const ratio = a && b ? b.medianMs / a.medianMs : undefined
    context.print(table(measured, ratio))
    if (json !== undefined) await writeFileAtomically(json, Buffer.from(toJson(measured, ratio, settings)))
    if (limit !== undefined && ratio !== undefined && ratio > limit) {
      throw new Error(`${b?.name} takes ${formatRatio(ratio)} the time of ${a?.name}, more than the ${formatRatio(limit)} allowed`)
    }
  }
}

interface Settings {
  readonly batch: number | undefined
  readonly threads: number
  readonly runs: number
}

interface Network {
  readonly file: string
  readonly asked: PrecisionChoice
}

interface MeasuredNetwork extends Measured {
  readonly file: string
  readonly precision: Precision
  readonly precisionReason: string | undefined
  /** That it was run on, by input. */
  readonly inputs: Shapes
}

function networksOf(files: readonly string[], precisions: readonly PrecisionChoice[]): Network[] {
  if (files.length < 1 || files.length > 2) throw new UsageError(`expected one or two networks, got ${files.length}`)
  if (precisions.length > 2) throw new UsageError(`--precision: expected one or two, got ${precisions.length}`)
  const count = Math.max(files.length, precisions.length)
  const pick = <T>(list: readonly T[], i: number): T | undefined => list[Math.min(i, list.length - 1)]
  return Array.from({ length: count }, (_, i) => ({ file: pick(files, i) as string, asked: pick(precisions, i) ?? 'f32' }))
}

/** The shapes of inputs that the network has: of two, each may have its own. */
function ofGraph({ inputs }: Graph, shapes: GivenShapes): GivenShapes {
  return new Map([...shapes].filter(([name]) => name === '' || inputs.some((input) => input.name === name)))
}

async function measureNetworks(
  networks: readonly Network[],
  settings: Settings & { shapes: GivenShapes },
  context: Context
): Promise<MeasuredNetwork[]> {
  const { threads, runs, batch, shapes } = settings
  const sessions: Session[] = []
  try {
    const candidates: Candidate[] = []
    const used: Omit<MeasuredNetwork, keyof Measured>[] = []
    const graphs: Graph[] = []
    for (const { file } of networks) graphs.push(await loadNetwork(file, context.signal))
    checkShapeNames(shapes, graphs)
    for (const [i, { file, asked }] of networks.entries()) {
      const graph = graphs[i] as Graph
      const dims = concreteShapes(graph, ofGraph(graph, shapes), batch)
      const inputs = randomInputs(graph, dims)
      const session = await Session.create(graph, { threads, precision: asked })
      sessions.push(session)
      await session.run(inputs, { signal: context.signal }) // `auto` decides
      const { precision, precisionReason } = session.describe(dims, inputs)
      used.push({ file, precision, precisionReason, inputs: dims })
      candidates.push({
        name: networks.length === 2 && networks[0]?.file === networks[1]?.file ? `${file} in ${asked}` : file,
        run: () => session.run(inputs, { signal: context.signal })
      })
    }
    const onProgress = (done: number, total: number): void => context.progress.update('measuring', done, total)
    const measured = await measureInterleaved(candidates, { runs, signal: context.signal, onProgress })
    return measured.map((one, i) => ({ ...one, ...(used[i] as (typeof used)[number]) }))
  } finally {
    for (const session of sessions) session.close()
    context.progress.clear()
  }
}

/** A batch that all inputs have, or undefined. */
function batchOf(inputs: Shapes): number | undefined {
  const [batch, ...others] = new Set(Object.values(inputs).map((dims) => dims[0]))
  return others.length === 0 ? batch : undefined
}

function showShapes(inputs: Shapes): string {
  return Object.entries(inputs)
    .map(([name, dims]) => `${name} ${formatDims(dims)}`)
    .join(', ')
}

/** What the times are of. */
function timed(measured: readonly MeasuredNetwork[]): string[] {
  const [first, second] = measured.map(({ inputs }) => inputs)
  const batches = new Set([first, second].flatMap((inputs) => (inputs === undefined ? [] : [batchOf(inputs)])))
  const [batch] = batches
  const examples = batches.size > 1 || batch === undefined ? '' : batch === 1 ? ', of one example' : `, of ${batch} examples`
  const differ = first !== undefined && second !== undefined && Object.values(first).join(';') !== Object.values(second).join(';')
  return [
    `times are of a run${examples}`,
    ...(differ ? ['the networks were run on inputs of different shapes: their times are not of the same work'] : [])
  ]
}

function table(measured: readonly MeasuredNetwork[], ratio: number | undefined): string {
  const columns = [
    { title: 'network' },
    { title: 'inputs' },
    { title: 'precision' },
    { title: 'median ms', align: 'right' },
    { title: 'fastest', align: 'right' },
    { title: 'slowest', align: 'right' },
    { title: 'time', align: 'right' }
  ] as const
  const rows = measured.map(({ name, inputs, medianMs, samplesMs, precision }, i) => [
    name,
    showShapes(inputs),
    precision,
    ...[medianMs, Math.min(...samplesMs), Math.max(...samplesMs)].map(formatMilliseconds),
    formatRatio(i === 0 ? 1 : (ratio ?? Number.NaN))
  ])
  const reasons = new Set(measured.flatMap(({ precisionReason }) => (precisionReason === undefined ? [] : [`f32: ${precisionReason}`])))
  return [textTable(columns, rows), ...timed(measured), ...reasons].join('\n')
}

function toJson(measured: readonly MeasuredNetwork[], ratio: number | undefined, { threads, runs }: Settings): string {
  const networks = measured.map(({ file, inputs, precision, precisionReason, medianMs, samplesMs }) => ({
    file,
    inputs,
    batch: batchOf(inputs) ?? null,
    precision,
    ...(precisionReason !== undefined && { precision_reason: precisionReason }),
    median_ms: medianMs,
    fastest_ms: Math.min(...samplesMs),
    slowest_ms: Math.max(...samplesMs)
  }))
  const [batch = null, ...others] = new Set(networks.map((network) => network.batch))
  const report = {
    machine: machine(),
    versions: { polyadic: packageVersion(), node: process.versions.node },
    // Of all inputs that were timed; null where they differ. Times are of a run, not of an example.
    batch: others.length === 0 ? batch : null,
    threads,
    runs,
    networks,
    ...(ratio !== undefined && { ratio })
  }
  return `${JSON.stringify(report, null, 2)}\n`
}
