import { PolyadicError } from '../errors.js'
import type { Graph, Node, ValueInfo } from '../graph/graph.js'
import { calledFunction } from '../graph/body.js'
import { operatorOf } from '../operators/registry.js'
import { compressibleLayers } from '../replacement/layers.js'
import { formatCount } from '../report/format.js'
import { machine } from '../report/machine.js'
import { type Column, textTable } from '../report/table.js'
import { type Precision, type PrecisionChoice, precisionChoices } from '../runtime/precision.js'
import { Session, type SessionDescription, type StepDescription } from '../runtime/session.js'
import { choice, flag, onePositional } from './arguments.js'
import type { Command } from './command.js'
import { loadNetwork, type Problem, type Shapes, totals, tryCost } from './network.js'
import { checkShapeNames, formatDims, type GivenShapes, knownShapes, openInput, shapeOptions } from './shapes.js'

const help = `
Show a network: inputs, outputs, every node with its shape and cost, and the steps and kernels that this
machine would run it with.

Usage: polyadic inspect MODEL.onnx [--shape NAME=DIMS] [--precision P] [--json]

  --shape NAME=DIMS  shape of an input that leaves dimensions open, as in image=1x3x224x224; or 3x224x224, without the
                     batch, of the only input
  --precision P      of the steps shown: f32 (default), bf16, or auto: whichever is faster
  --json             the same as JSON
`

export const inspect: Command = {
  name: 'inspect',
  summary: 'show a network',
  help,
  options: { shape: { type: 'string', multiple: true }, precision: { type: 'string' }, json: { type: 'boolean' } },
  async run(args, { signal, print, printJson }) {
    const file = onePositional(args, 'MODEL.onnx')
    const graph = await loadNetwork(file, signal)
    const given = shapeOptions(args)
    checkShapeNames(given, [graph])
    const seen = await look(file, graph, given, choice(args, 'precision', precisionChoices) ?? 'f32')
    if (flag(args, 'json')) printJson(seen)
    else print(format(seen))
  }
}

interface Seen {
  readonly file: string
  readonly name: string
  readonly opset: number | undefined
  readonly inputs: readonly SeenValue[]
  readonly outputs: readonly SeenValue[]
  readonly parameters: number
  /** Of a run at the batch of the shapes, 1 where it is open. */
  readonly macs: number | undefined
  readonly nodes: readonly SeenNode[]
  /** Why the network cannot run here, when it cannot; it can still be read, compressed and written. */
  readonly problem: string | undefined
  /** Whether that is because an input's shape is not known. */
  readonly isOpen: boolean
  /** Operators that this version does not run, each with how many nodes have it. They are carried through compression as they are. */
  readonly carriedOperators: Readonly<Record<string, number>>
  /** What runs, in order: several nodes may be one step. */
  readonly steps: readonly StepDescription[]
  /** What the steps compute in, and why that is not what was asked for. */
  readonly precision: Precision | undefined
  readonly precisionReason: string | undefined
  readonly imagesAtATime: number | undefined
  readonly imagesReason: string | undefined
  readonly arenaBytes: number | undefined
  readonly weightBytes: number | undefined
  readonly machine: ReturnType<typeof machine>
}

interface SeenValue {
  readonly name: string
  readonly dtype: string
  readonly dims: ValueInfo['dims']
}

interface SeenNode {
  readonly name: string
  readonly operator: string
  /** Of a layer that `compress` can replace: Cout × Cin/groups × spatial extents, and the rank from which on nothing is lost. */
  readonly kernel: readonly number[] | undefined
  readonly fullRank: number | undefined
  readonly output: readonly number[] | undefined
  readonly parameters: number | undefined
  readonly macs: number | undefined
}

// A network that this version cannot run is still worth looking at.
async function look(file: string, graph: Graph, given: GivenShapes, precision: PrecisionChoice): Promise<Seen> {
  const shapes = knownShapes(graph, given)
  const open =
    shapes === undefined ? graph.inputs.find((input) => knownShapes({ ...graph, inputs: [input] }, given) === undefined) : undefined
  const counted = tryCost(graph, shapes)
  const byName = new Map('problem' in counted ? [] : counted.nodes.map((node) => [node.name, node]))
  const layers = new Map(compressibleLayers(graph).map((layer) => [layer.name, layer]))
  const looked = 'problem' in counted ? counted : await planOf(graph, shapes, precision)
  // A shape that does not fit is a mistake in the command line, not a property of the network.
  if ('problem' in looked && looked.code === 'POLYADIC_SHAPE' && given.size > 0 && open === undefined)
    throw new PolyadicError(looked.code, `--shape: ${looked.problem}`, { subject: 'shape' })
  const plan = 'problem' in looked && open !== undefined ? { problem: openInput(open) } : looked
  return {
    file,
    name: graph.name,
    opset: graph.opsets.get(''),
    inputs: graph.inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    outputs: graph.outputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    ...totals(graph, shapes),
    nodes: graph.nodes.map(({ name, opType }) => {
      const [node, layer] = [byName.get(name), layers.get(name)]
      const { kernel, fullRank } = layer ?? {}
      return { name, operator: opType, kernel, fullRank, output: node?.outputDims, parameters: node?.parameters, macs: node?.macs }
    }),
    carriedOperators: carriedOperators(graph),
    problem: 'problem' in plan ? plan.problem : undefined,
    isOpen: open !== undefined,
    steps: 'steps' in plan ? plan.steps : [],
    precision: 'steps' in plan ? plan.precision : undefined,
    precisionReason: 'steps' in plan ? plan.precisionReason : undefined,
    imagesAtATime: 'steps' in plan ? plan.imagesAtATime : undefined,
    imagesReason: 'steps' in plan ? plan.imagesReason : undefined,
    arenaBytes: 'steps' in plan ? plan.arenaBytes : undefined,
    weightBytes: 'steps' in plan ? plan.weightBytes : undefined,
    machine: machine()
  }
}

function carriedOperators(graph: Graph): Record<string, number> {
  const counts = new Map<string, number>()
  for (const node of graph.nodes) {
    const name = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`
    if (!isKnown(node, graph)) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return Object.fromEntries(counts)
}

function isKnown(node: Node, graph: Graph): boolean {
  try {
    return calledFunction(graph, node) !== undefined || operatorOf(node, graph.opsets) !== undefined
  } catch (error) {
    if (error instanceof PolyadicError) return false
    throw error
  }
}

async function planOf(graph: Graph, shapes: Shapes | undefined, precision: PrecisionChoice): Promise<SessionDescription | Problem> {
  try {
    await using session = await Session.create(graph, { threads: 1, precision })
    return session.describe(shapes)
  } catch (error) {
    if (!(error instanceof PolyadicError)) throw error
    return { problem: error.message, code: error.code }
  }
}

const columns: readonly Column[] = [
  { title: 'node' },
  { title: 'operator' },
  { title: 'kernel' },
  { title: 'full rank', align: 'right' },
  { title: 'output' },
  { title: 'parameters', align: 'right' },
  { title: 'multiply-adds', align: 'right' }
]

function format(seen: Seen): string {
  const values = (kind: string, list: readonly SeenValue[]): string[][] =>
    list.map(({ name, dtype, dims }) => [kind, name, dtype, formatDims(dims)])
  // Exporters write every weight as a node of its own: they are counted, not listed.
  const listed = seen.nodes.filter(({ operator }) => operator !== 'Constant')
  const constants = seen.nodes.length - listed.length
  const rows = listed.map((node) => [
    node.name,
    node.operator,
    node.kernel?.join('×') ?? '',
    node.fullRank === undefined ? '' : String(node.fullRank),
    formatDims(node.output),
    node.parameters ? formatCount(node.parameters) : '',
    node.macs ? formatCount(node.macs) : ''
  ])
  return [
    `${seen.file}: ${seen.name}, opset ${seen.opset ?? '?'}, ${seen.nodes.length} nodes, ${formatCount(seen.parameters)} parameters, ${seen.macs === undefined ? 'unknown' : formatCount(seen.macs)} multiply-adds`,
    '',
    textTable(
      [{ title: '' }, { title: 'name' }, { title: 'type' }, { title: 'shape' }],
      [...values('input', seen.inputs), ...values('output', seen.outputs)]
    ),
    '',
    textTable(columns, rows),
    ...(constants === 0 ? [] : [`and ${constants} Constant nodes`]),
    '',
    ...carriedLines(seen),
    ...(seen.problem === undefined
      ? stepLines(seen)
      : [`${seen.isOpen ? 'Steps and costs are not known' : 'Cannot be run by this version'}: ${seen.problem}`])
  ].join('\n')
}

function carriedLines({ carriedOperators }: Seen): string[] {
  const list = Object.entries(carriedOperators).map(([name, count]) => (count === 1 ? name : `${name} (${count} nodes)`))
  return list.length === 0 ? [] : [`Not known to this version, and carried through compression as they are: ${list.join(', ')}`]
}

function stepLines({
  steps,
  imagesAtATime = 1,
  imagesReason = '',
  arenaBytes = 0,
  weightBytes = 0,
  machine: { cpu, isa },
  ...seen
}: Seen): string[] {
  const precision = `${seen.precision}${seen.precisionReason === undefined ? '' : ` (${seen.precisionReason})`}`
  const rows = steps.flatMap(({ nodes, op, kernel, why }, i) => [
    [String(i + 1), nodesOf(nodes), op, kernel],
    ...why.flatMap((reason) => wrapped(reason, reasonWidth).map((line, n) => ['', '', '', `${n === 0 ? '· ' : '  '}${line}`]))
  ])
  return [
    `Runs on ${cpu} with ${isa} kernels in ${precision} as ${steps.length} steps, ${formatCount(weightBytes)}B of weights and ${formatCount(arenaBytes)}B of working memory, ${imagesAtATime === 1 ? 'an image' : `${imagesAtATime} images`} at a time${imagesReason === '' ? '' : ` (${imagesReason})`}:`,
    '',
    textTable([{ title: 'step', align: 'right' }, { title: 'nodes' }, { title: 'operation' }, { title: 'kernel, and why this one' }], rows)
  ]
}

/** So that a line of steps fits a terminal of 120 columns with names of the usual length. */
const reasonWidth = 72

/** The first of them, and how many more. */
function nodesOf([first = '', ...others]: readonly string[]): string {
  return others.length === 0 ? first : `${first} +${others.length}`
}

/** Lines of at most `width` characters, where words are not longer. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}
