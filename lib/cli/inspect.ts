import { PolyadicError } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { formatCount } from '../report/format.js'
import { machine } from '../report/machine.js'
import { type Column, textTable } from '../report/table.js'
import { Session } from '../runtime/session.js'
import { flag, onePositional } from './arguments.js'
import type { Command } from './command.js'
import { loadNetwork, type Shapes, totals, tryCost } from './network.js'
import { formatDims, knownShapes, shapeOptions } from './shapes.js'

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
    const seen = await look(file, graph, knownShapes(graph, shapeOptions(args)))
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
  /** Of a run at the batch of the shapes, 1 where it is open. */
  readonly macs: number | undefined
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
  readonly parameters: number | undefined
  readonly macs: number | undefined
  readonly kernel: string | undefined
}

// A network that this version cannot run is still worth looking at.
async function look(file: string, graph: Graph, shapes: Shapes | undefined): Promise<Seen> {
  const counted = tryCost(graph, shapes)
  const byName = new Map('problem' in counted ? [] : counted.nodes.map((node) => [node.name, node]))
  const { kernels, problem } = 'problem' in counted ? { kernels: new Map<string, string>(), problem: counted.problem } : await chosenKernels(graph, shapes)
  return {
    file,
    name: graph.name,
    opset: graph.opsets.get(''),
    inputs: graph.inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    outputs: graph.outputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    ...totals(graph, shapes),
    nodes: graph.nodes.map(({ name, opType }) => {
      const node = byName.get(name)
      return { name, operator: opType, output: node?.outputDims, parameters: node?.parameters, macs: node?.macs, kernel: kernels.get(name) }
    }),
    problem,
    machine: machine()
  }
}

async function chosenKernels(graph: Graph, shapes: Shapes | undefined): Promise<{ kernels: ReadonlyMap<string, string>; problem: string | undefined }> {
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
    node.parameters ? formatCount(node.parameters) : '',
    node.macs ? formatCount(node.macs) : '',
    node.kernel ?? ''
  ])
  return [
    `${seen.file}: ${seen.name}, opset ${seen.opset ?? '?'}, ${seen.nodes.length} nodes, ${formatCount(seen.parameters)} parameters, ${seen.macs === undefined ? 'unknown' : formatCount(seen.macs)} multiply-adds`,
    '',
    textTable([{ title: '' }, { title: 'name' }, { title: 'type' }, { title: 'shape' }], [...values('input', seen.inputs), ...values('output', seen.outputs)]),
    '',
    textTable(columns, rows),
    '',
    seen.problem === undefined ? `Kernels: ${isa} on ${cpu}` : `Cannot be run by this version: ${seen.problem}`
  ].join('\n')
}
