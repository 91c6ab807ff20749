import { type AbortOptions, abortOptions } from '../abortable.js'
import { checkBytes, checkOptions, filePath, isBytes } from '../arguments.js'
import { PolyadicError } from '../errors.js'
import { functionKey } from '../graph/body.js'
import { checkGraph } from '../graph/check.js'
import type { Graph, GraphFunction, ValueInfo } from '../graph/graph.js'
import type { ModelCarried, OpsetCarried } from './carried.js'
import { loadPendingData } from './external-data.js'
import type { PendingData } from './external-data.js'
import { openModelFile, type ScanLimits } from './model-file.js'
import { type DecodedFunction, readFunction } from './read-body.js'
import { decodeGraph } from './read-graph.js'
import type { DecodedGraph } from './read-graph.js'
import { domainAlias } from './read-node.js'
import { functionProto, graphProto, modelProto, opsetProto, stringEntryProto } from './schema.js'
import { sniffForeign } from './sniff.js'
import { WireReader } from './wire.js'
import type { RawField } from './wire.js'

/**
 * Reads an ONNX model from a file or from bytes. A file takes its own size in memory. Tensors are views of bytes that are given where
 * alignment allows it: do not change them afterwards. Tensor data in other files is read when a path is given, from the model's folder only.
 *
 * Throws `POLYADIC_IO` when a file cannot be read, `POLYADIC_FORMAT` when it is not a model or a broken one,
 * `POLYADIC_GRAPH` when the network is inconsistent; the message begins with the path. Rejects with `signal.reason` when aborted.
 */
export async function readOnnx(source: string | URL | Uint8Array, options: AbortOptions = {}): Promise<Graph> {
  checkOptions(options, abortOptions)
  options.signal?.throwIfAborted()
  if (isBytes(source)) return decodeOnnx(source)
  return readOnnxWith(filePath('source', source, 'a path or the bytes of a model'), options)
}

/** `readOnnx` of a file with limits of one's own on what is read how: for tests, which make gigabytes of a few bytes by it. */
export async function readOnnxWith(source: string, { signal }: AbortOptions = {}, limits?: ScanLimits): Promise<Graph> {
  const model = await openModelFile(source, signal, limits)
  try {
    const pending = { requests: [], holes: model.holes }
    const graph = decode(model.bytes, pending)
    await loadPendingData(source, model, pending.requests, signal)
    return graph
  } catch (cause) {
    signal?.throwIfAborted()
    if (!(cause instanceof PolyadicError)) throw cause
    // The path in full, however long: `show` would cut it off before the file's name.
    throw new PolyadicError(cause.code, `${JSON.stringify(source)}: ${cause.message}`, { subject: cause.subject ?? source, cause })
  } finally {
    await model.file.close()
  }
}

/** As `readOnnx` for bytes, at once. Tensor data in other files is `POLYADIC_UNSUPPORTED` here. */
export function decodeOnnx(bytes: Uint8Array): Graph {
  checkBytes('bytes', bytes)
  return decode(bytes, undefined)
}

interface ModelParts {
  irVersion: number
  docString: string
  graph: DecodedGraph | undefined
  readonly opsets: Map<string, number>
  readonly opsetsCarried: Map<string, OpsetCarried>
  readonly metadata: Map<string, string>
  readonly metadataCarried: Map<string, readonly RawField[]>
  /** `undefined`: several have one name, and differ in what is not read (overloads). */
  readonly functions: Map<string, GraphFunction | undefined>
  readonly extra: RawField[]
}

function decode(source: Uint8Array, pending: PendingData | undefined): Graph {
  // A plain Uint8Array: subarrays of a Buffer would be Buffers, and text cannot be decoded from shared memory.
  const isShared = !(source.buffer instanceof ArrayBuffer)
  const bytes = isShared ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.length)
  const foreign = sniffForeign(bytes)
  if (foreign !== undefined) throw notAModel(foreign)
  const parts = readModel(bytes, pending)
  if (parts.graph === undefined) {
    throw parts.irVersion > 0
      ? new PolyadicError('POLYADIC_FORMAT', 'the model has no graph')
      : notAModel('it has neither an IR version nor a graph')
  }
  return checkGraph(assemble(parts, parts.graph))
}

function readModel(bytes: Uint8Array, pending: PendingData | undefined): ModelParts {
  const f = modelProto.fields
  const parts: ModelParts = {
    irVersion: 0,
    docString: '',
    graph: undefined,
    opsets: new Map(),
    opsetsCarried: new Map(),
    metadata: new Map(),
    metadataCarried: new Map(),
    functions: new Map(),
    extra: []
  }
  const reader = new WireReader(bytes, modelProto)
  try {
    while (reader.next()) {
      if (reader.field === f.ir_version) parts.irVersion = reader.integer(parts.extra)
      else if (reader.field === f.doc_string) parts.docString = reader.string(parts.extra)
      else if (reader.field === f.opset_import) readOpset(reader.message(opsetProto), parts)
      else if (reader.field === f.metadata_props) readMetadata(reader.message(stringEntryProto), parts)
      else if (reader.field === f.graph) {
        if (parts.graph !== undefined) throw reader.error('more than one graph')
        parts.graph = decodeGraph(reader.message(graphProto), pending)
      } else {
        if (reader.field === f.functions) noteFunction(readFunction(reader.peek(functionProto), pending), parts)
        parts.extra.push(reader.raw())
      }
    }
  } catch (error) {
    // What fails before anything was recognised is some other kind of file.
    const isForeign = error instanceof PolyadicError && error.subject?.startsWith(modelProto.name) === true && parts.irVersion === 0
    throw isForeign ? notAModel(error.message, error) : error
  }
  return parts
}

function noteFunction({ domain, opType, body }: DecodedFunction, { functions }: ModelParts): void {
  const key = functionKey({ domain, opType })
  functions.set(key, functions.has(key) ? undefined : body)
}

function readOpset(reader: WireReader, parts: ModelParts): void {
  const extra: RawField[] = []
  let domain = ''
  let version = 0
  while (reader.next()) {
    if (reader.field === opsetProto.fields.domain) domain = reader.string(extra)
    else if (reader.field === opsetProto.fields.version) version = reader.integer(extra)
    else extra.push(reader.raw())
  }
  const key = domain === domainAlias ? '' : domain
  parts.opsets.set(key, version)
  parts.opsetsCarried.set(key, { extra, domain })
}

function readMetadata(reader: WireReader, parts: ModelParts): void {
  const extra: RawField[] = []
  let key = ''
  let value = ''
  while (reader.next()) {
    if (reader.field === stringEntryProto.fields.key) key = reader.string(extra)
    else if (reader.field === stringEntryProto.fields.value) value = reader.string(extra)
    else extra.push(reader.raw())
  }
  parts.metadata.set(key, value)
  parts.metadataCarried.set(key, extra)
}

function assemble(parts: ModelParts, decoded: DecodedGraph): Graph {
  const isInitializer = (info: ValueInfo): boolean => decoded.initializersCarried.has(info.name)
  const carried: ModelCarried = {
    format: 'onnx',
    irVersion: parts.irVersion,
    extra: parts.extra,
    graphExtra: decoded.extra,
    opsets: parts.opsetsCarried,
    metadata: parts.metadataCarried,
    initializers: decoded.initializersCarried,
    inputSlots: decoded.fileInputs.map((info) => (isInitializer(info) ? info : undefined)),
    captures: [...decoded.captures]
  }
  // Opset imports came with IR version 3; before, everything was opset 1.
  const isBeforeOpsets = parts.irVersion < 3 && parts.opsets.size === 0
  const functions = [...parts.functions].filter((entry): entry is [string, GraphFunction] => entry[1] !== undefined)
  return {
    name: decoded.name,
    inputs: decoded.fileInputs.filter((info) => !isInitializer(info)),
    outputs: decoded.outputs,
    nodes: decoded.nodes,
    initializers: decoded.initializers,
    ...(decoded.opaqueInitializers.size === 0 ? {} : { opaqueInitializers: decoded.opaqueInitializers }),
    valueInfo: decoded.valueInfo,
    opsets: isBeforeOpsets ? new Map([['', 1]]) : parts.opsets,
    metadata: parts.metadata,
    docString: parts.docString,
    ...(functions.length === 0 ? {} : { functions: new Map(functions) }),
    carried
  }
}

function notAModel(reason: string, cause?: unknown): PolyadicError {
  return new PolyadicError('POLYADIC_FORMAT', `not an ONNX model (${reason})`, { cause })
}
