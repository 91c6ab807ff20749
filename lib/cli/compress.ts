import { writeFileAtomically } from '../formats/atomic-write.js'
import type { Graph } from '../graph/graph.js'
import { writeOnnx } from '../onnx/write.js'
import { compress, type CompressOptions, type CompressResult } from '../replacement/compress.js'
import { layerRows, shortLayerColumns } from '../report/compression.js'
import { formatCount, formatMilliseconds, formatRatio } from '../report/format.js'
import { textTable } from '../report/table.js'
import { type PrecisionChoice, precisionChoices } from '../runtime/precision.js'
import type { FineTuneResult } from '../training/fine-tune.js'
import { checkOutputs, choice, flag, integer, number, onePositional, requiredText, text } from './arguments.js'
import { type Arguments, type Command, type Context, UsageError } from './command.js'
import { compressionHtml } from './compress-report.js'
import { type LayerRequests, layerRequests, resolveLayers } from './layers.js'
import { loadNetwork, type Totals, totals, weightTypes, withWeights } from './network.js'
import { concreteShapes, knownShapes, shapeOptions } from './shapes.js'
import {
  given,
  measure,
  quality,
  train,
  trainingHelp,
  trainingOptions,
  type TrainingSettings,
  trainingSettings,
  trainingSummary
} from './training.js'
import { type TrainingData, trainingData } from './training-data.js'

const help = `
Replace convolutions by CP decompositions of their kernels, and matrix products by two of them; fine-tune the network when there
is data. Nodes that polyadic does not know stay as they are.

Usage: polyadic compress MODEL.onnx --rank LAYER=R [--rank LAYER=R ...] -o SMALL.onnx [...]

  --rank LAYER=R         components of a layer's decomposition (of each group's); \`polyadic inspect\` lists the layers.
                         R may be C/2, half of its outputs; error=0.2, the least rank with such a relative error; or full, an
                         exact one, to check. LAYER may hold *: every layer
                         that it fits and that gets smaller, as in --rank '*=C/2'
  --form LAYER=FORM      of a Gemm or MatMul: matrix (two of it), or convolution (four small ones, behind a flatten)
  --batch-norm WHAT      keep batch normalisation behind a layer, or fold it into the layer first (keep)
  -o, --output FILE      the compressed network
  --when-slower WHAT     a layer whose chain is not faster on this CPU: keep it as it is, or replace it (keep)
  --method NAME          nls (non-linear least squares), als or greedy (nls)
  --max-iterations N     of the solver (200)
  --tolerance X          the solver stops when the error changes less than this
  --shape NAME=DIMS      shape of an input that leaves dimensions open, to count multiply-adds: image=1x3x224x224
  --weights TYPE         how they are stored: float32 (as they are), bfloat16 or float16, behind Cast nodes (float32)
  --report FILE.html     a self-contained report: error curves, what each layer became, latency
  --precision P          in which layers and the report's networks are measured: f32 (default), bf16, or auto: whichever is faster
  --json                 print what was done as JSON

With --data, the network is fine-tuned afterwards; without labels in it, towards the outputs of the network as it was:
${trainingHelp}
`

const methods = ['nls', 'als', 'greedy'] as const

export const compressCommand: Command = {
  name: 'compress',
  summary: 'replace convolutions by CP decompositions',
  help,
  options: {
    ...trainingOptions,
    rank: { type: 'string', multiple: true },
    form: { type: 'string', multiple: true },
    'batch-norm': { type: 'string' },
    'when-slower': { type: 'string' },
    output: { type: 'string', short: 'o' },
    method: { type: 'string' },
    'max-iterations': { type: 'string' },
    tolerance: { type: 'string' },
    shape: { type: 'string', multiple: true },
    weights: { type: 'string' },
    report: { type: 'string' },
    precision: { type: 'string' },
    json: { type: 'boolean' }
  },
  async run(args, context) {
    const plan = readPlan(args)
    await checkOutputs({ '--output': plan.output, '--report': plan.report }, [plan.file])
    const graph = await loadNetwork(plan.file, context.signal)
    // A report measures latency, which needs a shape for every input; multiply-adds stay unknown without.
    const shapes = plan.report === undefined ? knownShapes(graph, shapeOptions(args)) : concreteShapes(graph, shapeOptions(args))
    // Read before the work begins: a data folder that is not there should not cost minutes.
    const { seed, batchSize } = plan.training
    const data =
      plan.data === undefined
        ? undefined
        : await trainingData(args, plan.data, graph, { ...given('seed', seed), ...given('batchSize', batchSize) })
    const layers = resolveLayers(graph, plan.layers)
    const compressed = await decompose(graph, { ...plan.options, layers, ...given('inputShapes', shapes) }, context)
    // Without labels the network as it was says what is right.
    const towards = data?.kind === 'inputs alone' ? { distillation: { teacher: graph } } : {}
    const tuned = data && (await train(compressed.graph, data, { ...plan.training, ...towards }, context))
    const whole = tuned?.graph ?? compressed.graph
    const result = withWeights(whole, plan.weights)
    const html =
      plan.report === undefined || shapes === undefined
        ? undefined
        : await compressionHtml(
            { file: plan.file, before: graph, after: whole, shapes, layers: compressed.layers, tuned, data, precision: plan.precision },
            context
          )
    context.signal.throwIfAborted()
    await writeOnnx(result, plan.output, { signal: context.signal })
    if (plan.report !== undefined && html !== undefined) await writeFileAtomically(plan.report, Buffer.from(html))
    const [before, after] = [totals(graph, shapes), totals(whole, shapes)]
    if (flag(args, 'json')) context.printJson(jsonOf(plan.output, compressed, before, after, data && tuned && trainingSummary(tuned, data)))
    else context.print(summary(plan, compressed, before, after, data, tuned))
  }
}

interface Plan {
  readonly file: string
  readonly output: string
  readonly weights: (typeof weightTypes)[number] | undefined
  readonly report: string | undefined
  /** That the network will run in. */
  readonly precision: PrecisionChoice
  readonly data: string | undefined
  readonly layers: LayerRequests
  readonly options: Omit<CompressOptions, 'layers'>
  readonly training: TrainingSettings
}

function readPlan(args: Arguments): Plan {
  const file = onePositional(args, 'MODEL.onnx')
  const data = text(args, 'data')
  const needsData = [
    'epochs',
    'batch',
    'learning-rate',
    'momentum',
    'weight-decay',
    'label-smoothing',
    'schedule',
    'freeze',
    'mean',
    'std',
    'fit'
  ].find((name) => args.values[name] !== undefined)
  if (data === undefined && needsData !== undefined) throw new UsageError(`--${needsData} needs --data`)
  const precision = choice(args, 'precision', precisionChoices) ?? 'f32'
  return {
    file,
    data,
    output: requiredText(args, 'output', '-o'),
    report: text(args, 'report'),
    weights: choice(args, 'weights', weightTypes),
    precision,
    layers: layerRequests(args),
    options: {
      precision,
      ...given('batchNorm', choice(args, 'batch-norm', ['keep', 'fold'] as const)),
      ...given('whenSlower', choice(args, 'when-slower', ['keep', 'replace'] as const)),
      ...given('method', choice(args, 'method', methods)),
      ...given('seed', integer(args, 'seed', 0)),
      ...given('threads', integer(args, 'threads', 1)),
      ...given('maxIterations', integer(args, 'max-iterations', 1)),
      ...given('tolerance', number(args, 'tolerance', 0))
    },
    training: trainingSettings(args)
  }
}

async function decompose(graph: Graph, options: CompressOptions, { signal, progress }: Context): Promise<CompressResult> {
  const result = await compress(graph, {
    ...options,
    signal,
    onProgress: ({ fraction, layer, error }) => progress.update(`decomposing ${layer}`, fraction, 1, `error ${error.toFixed(4)}`)
  })
  progress.done(`decomposed ${result.layers.length === 1 ? 'one layer' : `${result.layers.length} layers`}`)
  return result
}

function summary(
  plan: Plan,
  compressed: CompressResult,
  before: Totals,
  after: Totals,
  data: TrainingData | undefined,
  tuned: FineTuneResult | undefined
): string {
  const lines = [
    ...(compressed.layers.length === 0 ? [] : [textTable(shortLayerColumns, layerRows(compressed.layers)), '']),
    `parameters     ${formatCount(before.parameters)} → ${formatCount(after.parameters)} (${formatRatio(before.parameters / after.parameters)} fewer)`,
    ...(before.macs === undefined || after.macs === undefined
      ? []
      : [`multiply-adds  ${formatCount(before.macs)} → ${formatCount(after.macs)} (${formatRatio(before.macs / after.macs)} fewer)`])
  ]
  for (const { name, rank, latency, error } of compressed.kept)
    lines.push(
      latency === undefined
        ? `${name} stays: no chain with fewer weights has the error asked for, at rank ${rank} it is ${error?.toFixed(3)} (--when-slower replace)`
        : `${name} stays: ${formatMilliseconds(latency.denseMs)} ms as it is (${latency.densePrecision}), ${formatMilliseconds(latency.chainMs)} ms at rank ${rank} (${latency.chainPrecision}) on this CPU (--when-slower replace)`
    )
  const worse = compressed.layers.filter(({ saves }) => !saves).map(({ name }) => name)
  if (worse.length > 0) lines.push(`${worse.join(', ')}: more multiply-adds than before at this rank`)
  if (tuned && data) {
    const { initial = { accuracy: Number.NaN, loss: Number.NaN }, best } = tuned
    lines.push(`fine-tuned     ${measure(data)} ${quality(initial, data)} → ${quality(best, data)} on ${data.validation.count} examples`)
  }
  return [...lines, `${plan.output} written${plan.report === undefined ? '' : `, ${plan.report} too`}`].join('\n')
}

function jsonOf(
  output: string,
  { layers, kept }: CompressResult,
  before: Totals,
  after: Totals,
  training: Record<string, unknown> | undefined
): Record<string, unknown> {
  const shown = layers.map(({ perGroup: _, ...layer }) => layer)
  return { output, before, after, layers: shown, kept, ...(training && { training }) }
}
