import { show } from '../errors.js'
import { converted } from '../formats/convert.js'
import { readNpy, writeNpy } from '../formats/npy.js'
import { readNpz, writeNpz } from '../formats/npz.js'
import type { Graph } from '../graph/graph.js'
import { significant } from '../report/format.js'
import { type Column, textTable } from '../report/table.js'
import { precisionChoices } from '../runtime/precision.js'
import { Session } from '../runtime/session.js'
import { asNumbers, elementCount, type Tensor } from '../tensor.js'
import { checkOutputs, choice, flag, integer, list, onePositional, text } from './arguments.js'
import { type Command, UsageError } from './command.js'
import { loadNetwork, onlyInput } from './network.js'
import { given } from './training.js'

const help = `
Run a network on NumPy arrays.

Usage: polyadic run MODEL.onnx --input X.npy [-o OUT.npy] [--top K]

  --input FILE       a .npy array of the input's shape; NAME=FILE, repeated, for several inputs. Or a .npz file with an array for
                     each input, by its name. Arrays of another floating-point type, or of other integers, are converted
  -o, --output FILE  write the output as .npy; FILE.npz: all outputs, by their names
  --top K            print the K largest values of each example and their indices (5 when nothing else is asked for)
  --threads N        1 by default
  --precision P      f32 (default), bf16, or auto: whichever is faster
  --json             print shapes, and the top values when asked for, as JSON
`

export const run: Command = {
  name: 'run',
  summary: 'run a network on a .npy array',
  help,
  options: {
    input: { type: 'string', multiple: true },
    output: { type: 'string', short: 'o' },
    top: { type: 'string' },
    threads: { type: 'string' },
    precision: { type: 'string' },
    json: { type: 'boolean' }
  },
  async run(args, { signal, progress, print, printJson }) {
    const file = onePositional(args, 'MODEL.onnx')
    const [output, top, threads] = [text(args, 'output'), integer(args, 'top', 1), integer(args, 'threads', 1) ?? 1]
    const precision = choice(args, 'precision', precisionChoices)
    const files = list(args, 'input')
    if (files.length === 0) throw new UsageError('--input is missing')
    await checkOutputs({ '--output': output }, [file, ...files.map((item) => item.slice(item.indexOf('=') + 1))])
    const graph = await loadNetwork(file, signal)
    checkOutputKind(graph, output)
    const { inputs, notes } = await readInputs(graph, files, signal)
    for (const note of notes) progress.done(note)
    await using session = await Session.create(graph, { threads, signal, ...given('precision', precision) })
    const results = await session.run(inputs, { signal })
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]))
    const used = session.describe(shapes, inputs)
    const wanted = top ?? (output === undefined ? 5 : undefined)
    const outputs = Object.entries(results).map(([name, tensor]) => describeOutput(name, tensor, wanted))
    const [first] = Object.values(results)
    if (output !== undefined && isArchive(output)) await writeNpz(output, results, { signal })
    else if (output !== undefined && first) await writeNpy(output, first, { signal })
    if (flag(args, 'json')) return printJson({ precision: used.precision, precisionReason: used.precisionReason, outputs })
    const note = used.precisionReason === undefined ? [] : [`computed in ${used.precision}: ${used.precisionReason}`]
    print([...outputs.map(outputText), ...note].join('\n\n'))
  }
}

function isArchive(file: string): boolean {
  return /\.npz$/i.test(file)
}

/** One array is no place for several. */
function checkOutputKind({ outputs }: Graph, output: string | undefined): void {
  if (output === undefined || isArchive(output) || outputs.length < 2) return
  const names = outputs.map(({ name }) => show(name)).join(', ')
  throw new UsageError(`-o: the network has ${outputs.length} outputs (${names}): give a file name that ends in .npz, got ${show(output)}`)
}

interface Inputs {
  readonly inputs: Readonly<Record<string, Tensor>>
  /** What was converted. */
  readonly notes: readonly string[]
}

async function readInputs(graph: Graph, files: readonly string[], signal: AbortSignal): Promise<Inputs> {
  const inputs = new Map<string, Tensor>()
  const notes: string[] = []
  const add = (name: string, tensor: Tensor, file: string): void => {
    if (inputs.has(name)) throw new UsageError(`--input: input ${show(name)} is given twice`)
    const dtype = graph.inputs.find((input) => input.name === name)?.dtype ?? tensor.dtype
    inputs.set(name, converted(tensor, dtype, file))
    if (tensor.dtype !== dtype) notes.push(`${show(file)}: ${tensor.dtype}, converted to ${dtype}`)
  }
  for (const item of files) {
    const { name, file } = splitInput(item)
    if (!isArchive(file)) add(name ?? onlyInput(graph), await readNpy(file, { signal }), file)
    else for (const [key, tensor] of await readArchive(graph, name, file, signal)) add(key, tensor, file)
  }
  return { inputs: Object.fromEntries(inputs), notes }
}

/** The arrays of a .npz file that are called as inputs are; the only one whatever its name, where only one can be meant. */
async function readArchive(graph: Graph, name: string | undefined, file: string, signal: AbortSignal): Promise<[string, Tensor][]> {
  const arrays = Object.entries(await readNpz(file, { signal }))
  const names = name === undefined ? graph.inputs.map((input) => input.name) : [name]
  const found = arrays.filter(([key]) => names.includes(key))
  if (found.length > 0) return found
  const [[, tensor] = [], ...others] = arrays
  const [only, ...rest] = names
  if (tensor !== undefined && only !== undefined && others.length === 0 && rest.length === 0) return [[only, tensor]]
  throw new UsageError(
    `--input: ${show(file)} holds ${arrays.map(([key]) => show(key)).join(', ') || 'nothing'}, expected an array for ${names.map(show).join(', ')}`
  )
}

interface Output {
  readonly name: string
  readonly dims: readonly number[]
  readonly top?: readonly (readonly { readonly index: number; readonly value: number }[])[]
}

function splitInput(item: string): { readonly name: string | undefined; readonly file: string } {
  const at = item.indexOf('=')
  if (at === 0 || item === '') throw new UsageError(`--input: expected FILE or NAME=FILE, got ${show(item)}`)
  return at < 0 ? { name: undefined, file: item } : { name: item.slice(0, at), file: item.slice(at + 1) }
}

function describeOutput(name: string, tensor: Tensor, top: number | undefined): Output {
  const examples = tensor.dims[0] ?? 1
  if (top === undefined || examples === 0) return { name, dims: tensor.dims }
  const size = elementCount(tensor.dims.slice(1))
  const values = asNumbers(tensor)
  const rows = Array.from({ length: examples }, (_, i) => largest(values.subarray(i * size, (i + 1) * size), top))
  return { name, dims: tensor.dims, top: rows }
}

function largest(values: Float32Array | Float64Array, count: number): { index: number; value: number }[] {
  const order = Array.from(values.keys()).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b)
  return order.slice(0, count).map((index) => ({ index, value: values[index] ?? Number.NaN }))
}

function outputText({ name, dims, top }: Output): string {
  const heading = `${name}: ${dims.join('×')}`
  if (!top) return heading
  const places = top[0]?.length ?? 0
  const columns: Column[] = [
    { title: 'example', align: 'right' },
    ...Array.from({ length: places }, (_, i): Column => ({ title: `${i + 1}.` }))
  ]
  const rows = top.map((row, i) => [String(i), ...row.map(({ index, value }) => `${index} (${significant(value, 3)})`)])
  return `${heading}\n${textTable(columns, rows)}`
}
