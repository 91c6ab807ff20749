import { writeFileAtomically } from '../formats/atomic-write.js'
import type { Graph } from '../graph/graph.js'
import { compress, type CompressResult } from '../replacement/compress.js'
import type { CompressOptions } from '../replacement/options.js'
import { outline } from '../replacement/outline.js'
import type { FineTuneResult } from '../training/fine-tune.js'
import { type PrecisionChoice, precisionChoices } from '../runtime/precision.js'
import { checkNetworkFile, checkOutputs, choice, flag, integer, number, onePositional, requiredText, text } from './arguments.js'
import { type Arguments, type Command, type Context, UsageError } from './command.js'
import { checkReportable, compressionHtml } from './compress-report.js'
import { type Done, summary } from './compress-summary.js'
import { type LayerRequests, layerRequests, resolveLayers } from './layers.js'
import { loadNetwork, type Shapes, totals } from './network.js'
import { checkWeightType, saving, weightTypes, writeNetwork } from './saving.js'
import { checkShapeNames, concreteShapes, exampleShape, type GivenShapes, knownShapes, shapeOptions } from './shapes.js'
import {
  checkTrainable,
  frozenIn,
  given,
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
  --shape NAME=DIMS      shape of an input that leaves dimensions open, to time layers and count multiply-adds: image=1x3x224x224,
                         or 3x224x224, without the batch, of the only input. Without it the shape is that of the data
  --weights TYPE         how they are stored: float32, bfloat16 or float16, behind Cast nodes (those that stay as they are)
  --report FILE.html     a self-contained report: error curves, what each layer became, latency
  --precision P          in which layers and the report's networks are measured: f32 (default), bf16, or auto: whichever is faster
  --json                 print what was done as JSON

With --data, the network is fine-tuned afterwards; without labels in it, towards the outputs of the network as it was. Ctrl-C
then ends the tuning, and the network is written with the best weights so far:
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
    await checkNetworkFile(plan.output)
    await checkOutputs({ '--output': plan.output, '--report': plan.report }, [plan.file])
    const graph = await loadNetwork(plan.file, context.signal)
    const target = { ...plan, signal: context.signal }
    checkWeightType(graph, target)
    checkShapeNames(plan.shapes, [graph])
    const layers = resolveLayers(graph, plan.layers)
    // What cannot be is refused before the work begins: it should not cost minutes.
    const data = await readData(args, plan, graph, context)
    const shapes = shapesOf(graph, plan, data)
    // Without labels the network as it was says what is right.
    const towards = data?.kind === 'inputs alone' ? { distillation: { teacher: graph } } : {}
    const training = { ...plan.training, ...towards }
    const options = { ...plan.options, layers, ...given('inputShapes', shapes) }
    if (data !== undefined) {
      const outlined = outline(graph, options)
      checkTrainable(outlined.graph, data, frozenIn(training, outlined.layers))
    }
    if (plan.report !== undefined && shapes !== undefined) await checkReportable(graph, shapes, plan.precision, context.signal)
    const compressed = await decompose(graph, options, context)
    const settings = { ...frozenIn(training, compressed.layers), onAbort: 'keep' } as const
    const tune = (of: TrainingData): Promise<FineTuneResult> => train(compressed.graph, of, settings, context)
    const tuned = data && (await saving(compressed.graph, notTuned, target, () => tune(data)))
    const whole = tuned?.graph ?? compressed.graph
    const parts = { file: plan.file, before: graph, after: whole, layers: compressed.layers, tuned, data, precision: plan.precision }
    const html = await saving(whole, reached(tuned, plan.report), target, async () => {
      context.signal.throwIfAborted()
      return plan.report === undefined || shapes === undefined ? undefined : compressionHtml({ ...parts, shapes }, context)
    })
    await writeNetwork(whole, target)
    if (plan.report !== undefined && html !== undefined) await writeFileAtomically(plan.report, Buffer.from(html))
    const done: Done = { graph, compressed, before: totals(graph, shapes), after: totals(whole, shapes), shapes, data, tuned }
    if (flag(args, 'json')) context.printJson(jsonOf(plan, done))
    else context.print(summary({ ...plan, keepsSlower: plan.options.whenSlower !== 'replace' }, done))
  }
}

const notTuned = 'the decomposed network, not fine-tuned,'

/** What there is before a report is made. */
function reached(tuned: FineTuneResult | undefined, report: string | undefined): string {
  if (tuned?.aborted !== true) return report === undefined ? 'the decomposed network' : 'the decomposed network, without a report,'
  return tuned.best.epoch === 0 ? notTuned : `the decomposed network, fine-tuned up to epoch ${tuned.best.epoch},`
}

async function readData(
  args: Arguments,
  { data, training, shapes }: Plan,
  graph: Graph,
  context: Context
): Promise<TrainingData | undefined> {
  if (data === undefined) return undefined
  const { seed, batchSize } = training
  const reading = { ...given('shape', exampleShape(graph, shapes)), ...given('seed', seed), ...given('batchSize', batchSize) }
  return trainingData(args, data, graph, reading, context)
}

/** Of all inputs: as `--shape` or the network says, else as the data are. Undefined where they stay open, which a report cannot do with. */
function shapesOf(graph: Graph, plan: Plan, data: TrainingData | undefined): Shapes | undefined {
  const [input] = graph.inputs
  const known = knownShapes(graph, plan.shapes)
  if (known !== undefined) return known
  if (data !== undefined && input !== undefined) return { [input.name]: [1, ...data.example] }
  return plan.report === undefined ? undefined : concreteShapes(graph, plan.shapes)
}

interface Plan {
  readonly file: string
  readonly output: string
  readonly weights: (typeof weightTypes)[number] | undefined
  readonly report: string | undefined
  /** That the network will run in. */
  readonly precision: PrecisionChoice
  readonly data: string | undefined
  readonly shapes: GivenShapes
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
    shapes: shapeOptions(args),
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

function jsonOf(plan: Plan, { compressed: { layers, kept }, before, after, shapes, data, tuned }: Done): Record<string, unknown> {
  const shown = layers.map(({ perGroup: _, ...layer }) => layer)
  const training = data && tuned && { data: data.split, training: trainingSummary(tuned, data) }
  return { output: plan.output, before, after, ...(shapes && { shapes }), layers: shown, kept, ...training }
}
