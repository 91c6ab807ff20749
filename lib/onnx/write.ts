import { checkOptions, filePath, type Names } from '../arguments.js'
import { PolyadicError, checkChoice, show } from '../errors.js'
import { writeFileAtomically } from '../formats/atomic-write.js'
import { checkForm, checkGraph } from '../graph/check.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import type { Tensor } from '../tensor.js'
import { carriedAs } from './carried.js'
import type { ModelCarried } from './carried.js'
import { DataFile, writeWithData } from './data-file.js'
import { graphProto, irVersionFor, modelProto, opsetProto, stringEntryProto } from './schema.js'
import { MessageWriter, joinChunks, totalLength } from './wire-writer.js'
import { encodeNode } from './write-node.js'
import { type ExternalSink, encodeTensor } from './write-tensor.js'
import { encodeValueInfo } from './write-value.js'

/** From IR version 4 on, initializers need not be listed among the inputs. */
const firstVersionWithFreeInitializers = 4

/** What protobuf implementations take at most; ONNX has none that would read more. */
const maximumLength = 2 ** 31 - 1

export interface WriteOptions {
  /**
   * Whether the data of tensors of 1 KiB and more goes into a second file beside the model's, `<name>.data` (or `<name>.1.data`, … while
   * that is in use). `auto` (default): when the model would not fit into 2 GiB, which is all that an ONNX file may have.
   */
  readonly externalData?: 'auto' | 'always' | 'never'
  readonly signal?: AbortSignal
}

const optionNames: Names<WriteOptions> = { externalData: true, signal: true }

/**
 * Writes `graph` to the file `location`, which is replaced as a whole or, when anything fails, left as it was. Tensor data that was
 * read from other files is written into this one, unless `externalData` says otherwise; then the data file is complete before the model
 * that refers to it takes its place, and data files of the model that it replaces are removed. Throws `POLYADIC_GRAPH` when the network
 * is inconsistent, `POLYADIC_UNSUPPORTED` when it does not fit into 2 GiB, `POLYADIC_IO` when a file cannot be written; rejects with
 * `signal.reason` when aborted, with all files as they were.
 */
export async function writeOnnx(graph: Graph, location: string | URL, options: WriteOptions = {}): Promise<void> {
  checkForm(graph)
  const path = filePath('path', location)
  checkOptions(options, optionNames)
  const { signal } = options
  signal?.throwIfAborted()
  const externalData = checkChoice('externalData', options.externalData ?? 'auto', ['auto', 'always', 'never'])
  const chunks = externalData === 'always' ? undefined : encodeChunks(graph)
  if (chunks !== undefined && (externalData === 'never' || totalLength(chunks) <= maximumLength)) {
    return writeFileAtomically(path, checkLength(graph, chunks), signal)
  }
  const encode = (location: string): { model: readonly Uint8Array[]; data: readonly Uint8Array[] } => {
    const data = new DataFile(location)
    return { model: checkLength(graph, encodeChunks(graph, data)), data: data.chunks }
  }
  await writeWithData(path, encode, signal)
}

/** The bytes of an ONNX file that holds `graph`, with everything that it carries. Errors as of `writeOnnx`. */
export function encodeOnnx(graph: Graph): Uint8Array {
  checkForm(graph)
  return joinChunks(checkLength(graph, encodeChunks(graph)))
}

function checkLength(graph: Graph, chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = totalLength(chunks)
  if (length <= maximumLength) return chunks
  const what = `its file would have ${length} bytes, ONNX files have at most ${maximumLength}`
  throw new PolyadicError('POLYADIC_UNSUPPORTED', `graph ${show(graph.name)}: ${what}`, { subject: graph.name })
}

/** The model in pieces that are views of its tensors: nothing large is copied. */
function encodeChunks(graph: Graph, external?: ExternalSink): readonly Uint8Array[] {
  const checked = checkGraph(graph)
  const carried = carriedAs('model', graph.carried)
  const irVersion = carried?.irVersion ?? irVersionFor(graph.opsets.get('') ?? 1)
  const f = modelProto.fields
  const writer = new MessageWriter(carried?.extra)
  writer.optionalInteger(f.ir_version, irVersion)
  if (carried === undefined) writer.string(f.producer_name, 'polyadic')
  writer.optionalString(f.doc_string, graph.docString)
  writer.message(f.graph, encodeGraph(checked, irVersion, carried, external))
  writeOpsets(writer, graph, carried)
  for (const [key, value] of graph.metadata) {
    const entry = new MessageWriter(carried?.metadata.get(key))
    entry.optionalString(stringEntryProto.fields.key, key)
    entry.optionalString(stringEntryProto.fields.value, value)
    writer.message(f.metadata_props, entry)
  }
  return writer.finish()
}

function writeOpsets(writer: MessageWriter, graph: Graph, carried: ModelCarried | undefined): void {
  for (const [domain, version] of graph.opsets) {
    const kept = carried?.opsets.get(domain)
    // Models from before opset imports get none, as long as they are what that meant.
    if (carried !== undefined && carried.irVersion < 3 && carried.opsets.size === 0 && domain === '' && version === 1) continue
    const opset = new MessageWriter(kept?.extra)
    opset.optionalString(opsetProto.fields.domain, kept?.domain ?? domain)
    opset.optionalInteger(opsetProto.fields.version, version)
    writer.message(modelProto.fields.opset_import, opset)
  }
}

function encodeGraph(
  graph: Graph,
  irVersion: number,
  carried: ModelCarried | undefined,
  external: ExternalSink | undefined
): MessageWriter {
  const f = graphProto.fields
  const writer = new MessageWriter(carried?.graphExtra)
  for (const node of graph.nodes) writer.message(f.node, encodeNode(node))
  writer.optionalString(f.name, graph.name)
  const names = initializerOrder(graph, carried)
  for (const name of names) writeInitializer(writer, graph, name, carried, { field: f.initializer, external })
  for (const input of fileInputs(graph, irVersion, carried)) writer.message(f.input, encodeValueInfo(input))
  for (const output of graph.outputs) writer.message(f.output, encodeValueInfo(output))
  for (const info of graph.valueInfo) writer.message(f.value_info, encodeValueInfo(info))
  for (const name of names) writeInitializer(writer, graph, name, carried, { field: f.sparse_initializer })
  return writer
}

/** The file's order first, then what is new. */
function initializerOrder(graph: Graph, carried: ModelCarried | undefined): Set<string> {
  const existing = new Set([...graph.initializers.keys(), ...(graph.opaqueInitializers?.keys() ?? [])])
  const kept = [...(carried?.initializers.keys() ?? [])].filter((name) => existing.has(name))
  return new Set([...kept, ...existing])
}

/** Writes the initializer `name` if it belongs into `field`, else nothing. */
function writeInitializer(
  writer: MessageWriter,
  graph: Graph,
  name: string,
  carried: ModelCarried | undefined,
  { field, external }: { readonly field: number; readonly external?: ExternalSink | undefined }
): void {
  const tensor = graph.initializers.get(name)
  if (tensor !== undefined) {
    const kept = carried?.initializers.get(name)
    const sparse = kept?.sparse?.data === tensor.data ? kept.sparse : undefined
    if (sparse !== undefined && field === graphProto.fields.sparse_initializer) writer.bytes(field, sparse.bytes)
    if (sparse !== undefined || field !== graphProto.fields.initializer) return
    writer.message(field, encodeTensor(name, tensor, kept, `initializer ${show(name)}`, external))
    return
  }
  const opaque = carriedAs('initializer', graph.opaqueInitializers?.get(name))
  if (opaque === undefined) {
    const what = 'is opaque and did not come from an ONNX file'
    throw new PolyadicError('POLYADIC_GRAPH', `initializer ${show(name)} ${what}`, { subject: name })
  }
  if (opaque.field === field) writer.bytes(field, opaque.bytes)
}

/** Graph.inputs, and initializers wherever the file listed them among its inputs or its IR version demands it. */
function fileInputs(graph: Graph, irVersion: number, carried: ModelCarried | undefined): ValueInfo[] {
  const waiting = [...graph.inputs]
  const listed = new Set<string>()
  const inputs: ValueInfo[] = []
  for (const slot of carried?.inputSlots ?? []) {
    const info = slot === undefined ? waiting.shift() : initializerInput(graph, slot)
    if (info !== undefined) inputs.push(info)
    if (slot !== undefined) listed.add(slot.name)
  }
  inputs.push(...waiting)
  if (irVersion >= firstVersionWithFreeInitializers) return inputs
  for (const [name, { dtype, dims }] of graph.initializers) {
    // Those that the file itself did not list are left as it had them.
    if (!listed.has(name) && carried?.initializers.has(name) !== true) inputs.push({ name, dtype, dims })
  }
  return inputs
}

/** The input that stands for an initializer, brought up to date with it; undefined when that is gone. */
function initializerInput(graph: Graph, slot: ValueInfo): ValueInfo | undefined {
  const tensor: Tensor | undefined = graph.initializers.get(slot.name)
  if (tensor === undefined) return graph.opaqueInitializers?.has(slot.name) === true ? slot : undefined
  const fits =
    slot.dims === undefined ||
    (slot.dims.length === tensor.dims.length && slot.dims.every((dim, i) => typeof dim !== 'number' || dim === tensor.dims[i]))
  const isUpToDate = slot.opaque === true || (slot.dtype === tensor.dtype && fits)
  return isUpToDate ? slot : { ...slot, dtype: tensor.dtype, dims: tensor.dims }
}
