import { PolyadicError } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { graphCost } from '../operators/cost.js'
import { formatCount } from '../report/format.js'
import { machine } from '../report/machine.js'
import { type Column, textTable } from '../report/table.js'
import { Session } from '../runtime/session.js'
import { flag, onePositional } from './arguments.js'
import type { Command } from './command.js'
import { loadNetwork } from './network.js'
import { concreteShapes, formatDims, shapeOptions } from './shapes.js'

const help = `
Show a network: inputs, outputs, and every node with its shape, cost and the kernel that this machine would run it with.

Usage: polyadic inspect MODEL.onnx [--shape NAME=DIMS] [--json]

  --shape NAME=DIMS  shape of an input that leaves dimensions open, as in image=1x3x224x224
  --json             the same as JSON
`

export const inspect: Command = {
  name: 'inspect',
  summary: 'show a network',
  help,
  options: { shape: { type: 'string', multiple: true }, json: { type: 'boolean' } },
  async run(args, { print }) {
    const file = onePositional(args, 'MODEL.onnx')
    const graph = await loadNetwork(file)
    const seen = await look(file, graph, concreteShapes(graph, shapeOptions(args)))
    print(flag(args, 'json') ? JSON.stringify(seen, null, 2) : format(seen))
  }
}

interface Seen {
  readonly file: string
  readonly name: string
  readonly opset: number | undefined
  readonly inputs: readonly SeenValue[]
  readonly outputs: readonly SeenValue[]
  readonly parameters: number
  /** Of one example. */
  readonly macs: number
  readonly nodes: readonly SeenNode[]
  /** Why the network cannot run here, when it cannot; it can still be read, compressed and written. */
  readonly problem: string | undefined
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
  readonly output: readonly number[] | undefined
  readonly parameters: number
  readonly macs: number
  readonly kernel: string | undefined
}

// A network that this version cannot run is still worth looking at.
async function look(file: string, graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Promise<Seen> {
  const cost = graphCost(graph, shapes)
  const { kernels, problem } = await chosenKernels(graph, shapes)
  return {
    file,
    name: graph.name,
    opset: graph.opsets.get(''),
    inputs: graph.inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    outputs: graph.outputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    parameters: cost.parameters,
    macs: cost.macs,
    nodes: cost.nodes.map((node) => ({ name: node.name, operator: node.opType, output: node.output, parameters: node.parameters, macs: node.macs, kernel: kernels.get(node.name) })),
    problem,
    machine: machine()
  }
}

async function chosenKernels(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Promise<{ kernels: ReadonlyMap<string, string>; problem: string | undefined }> {
  let session: Session | undefined
  try {
    session = await Session.create(graph, { threads: 1 })
    const { steps } = session.describe(shapes)
    return { kernels: new Map(steps.flatMap(({ nodes, kernel }) => nodes.map((name, i) => [name, i === 0 ? kernel : '〃'] as const))), problem: undefined }
  } catch (error) {
    if (!(error instanceof PolyadicError)) throw error
    return { kernels: new Map(), problem: error.message }
  } finally {
    session?.close()
  }
}

const columns: readonly Column[] = [
  { title: 'node' },
  { title: 'operator' },
  { title: 'output' },
  { title: 'parameters', align: 'right' },
  { title: 'multiply-adds', align: 'right' },
  { title: 'kernel' }
]

function format(seen: Seen): string {
  const { cpu, isa } = seen.machine
  const values = (kind: string, list: readonly SeenValue[]): string[][] => list.map(({ name, dtype, dims }) => [kind, name, dtype, formatDims(dims)])
  const rows = seen.nodes.map((node) => [
    node.name,
    node.operator,
    formatDims(node.output),
    node.parameters === 0 ? '' : formatCount(node.parameters),
    node.macs === 0 ? '' : formatCount(node.macs),
    node.kernel ?? ''
  ])
  return [
    `${seen.file}: ${seen.name}, opset ${seen.opset ?? '?'}, ${seen.nodes.length} nodes, ${formatCount(seen.parameters)} parameters, ${formatCount(seen.macs)} multiply-adds an example`,
    '',
    textTable([{ title: '' }, { title: 'name' }, { title: 'type' }, { title: 'shape' }], [...values('input', seen.inputs), ...values('output', seen.outputs)]),
    '',
    textTable(columns, rows),
    '',
    seen.problem === undefined ? `Kernels: ${isa} on ${cpu}` : `Cannot be run by this version: ${seen.problem}`
  ].join('\n')
}
