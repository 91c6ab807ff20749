import { PolyadicError, show } from '../errors.js'
import type { Node, ValueInfo } from '../graph/graph.js'
import type { Tensor } from '../tensor.js'
import { sparseName } from './captures.js'
import type { OpaqueInitializer, TensorCarried } from './carried.js'
import type { PendingData } from './external-data.js'
import { decodeNode, nameNodes } from './read-node.js'
import { decodeSparse, sparseBudget } from './read-sparse.js'
import { decodeTensor } from './read-tensor.js'
import { decodeValueInfo } from './read-value.js'
import { annotationProto, graphProto, nodeProto, sparseTensorProto, stringEntryProto, tensorProto, valueInfoProto } from './schema.js'
import type { RawField, WireReader } from './wire.js'

/** A GraphProto as the file has it; inputs still include the initializers that are listed among them. */
export interface DecodedGraph {
  name: string
  nodes: Node[]
  readonly fileInputs: ValueInfo[]
  readonly outputs: ValueInfo[]
  readonly valueInfo: ValueInfo[]
  readonly initializers: Map<string, Tensor>
  readonly opaqueInitializers: Map<string, OpaqueInitializer>
  readonly initializersCarried: Map<string, TensorCarried>
  readonly captures: Set<string>
  /** Bytes that sparse initializers may still take as dense ones. */
  sparseBudget: number
  readonly extra: RawField[]
}

export function decodeGraph(reader: WireReader, pending: PendingData | undefined): DecodedGraph {
  const f = graphProto.fields
  const graph: DecodedGraph = {
    name: '',
    nodes: [],
    fileInputs: [],
    outputs: [],
    valueInfo: [],
    initializers: new Map(),
    opaqueInitializers: new Map(),
    initializersCarried: new Map(),
    captures: new Set(),
    sparseBudget: sparseBudget(reader.bytes.length),
    extra: []
  }
  while (reader.next()) {
    if (reader.field === f.node) graph.nodes.push(decodeNode(reader.message(nodeProto), graph.nodes.length, pending))
    else if (reader.field === f.name) graph.name = reader.string(graph.extra)
    else if (reader.field === f.initializer) readInitializer(reader, graph, pending)
    else if (reader.field === f.sparse_initializer) readSparseInitializer(reader, graph)
    else if (reader.field === f.input) graph.fileInputs.push(decodeValueInfo(reader.message(valueInfoProto)))
    else if (reader.field === f.output) graph.outputs.push(decodeValueInfo(reader.message(valueInfoProto)))
    else if (reader.field === f.value_info) graph.valueInfo.push(decodeValueInfo(reader.message(valueInfoProto)))
    else {
      if (reader.field === f.quantization_annotation) readAnnotation(reader.peek(annotationProto), graph.captures)
      graph.extra.push(reader.raw())
    }
  }
  graph.nodes = nameNodes(graph.nodes)
  return graph
}

function readInitializer(reader: WireReader, graph: DecodedGraph, pending: PendingData | undefined): void {
  const bytes = reader.peekView()
  const owner = `initializer ${graph.initializersCarried.size}`
  const { name, tensor, carried } = decodeTensor(reader.message(tensorProto), { owner, pending })
  note(graph, name, carried)
  if (tensor === undefined) graph.opaqueInitializers.set(name, { format: 'onnx', field: reader.field, bytes })
  else graph.initializers.set(name, tensor)
}

/** Dense in the Graph, and sparse again in the file as long as nobody has replaced it; what cannot be dense is carried. */
function readSparseInitializer(reader: WireReader, graph: DecodedGraph): void {
  const bytes = reader.peekView()
  const name = sparseName(reader.peek(sparseTensorProto))
  const tensor = decodeSparse(reader.message(sparseTensorProto), name, graph.sparseBudget)
  const plain = { extra: [], name, packedDims: false, storage: 0 }
  note(graph, name, tensor === undefined ? plain : { ...plain, sparse: { data: tensor.data, bytes } })
  if (tensor === undefined) graph.opaqueInitializers.set(name, { format: 'onnx', field: reader.field, bytes })
  else {
    graph.initializers.set(name, tensor)
    graph.sparseBudget -= tensor.data.byteLength
  }
}

function note(graph: DecodedGraph, name: string, carried: TensorCarried): void {
  if (name === '') throw new PolyadicError('POLYADIC_FORMAT', `initializer ${graph.initializersCarried.size} has no name`)
  if (graph.initializersCarried.has(name)) {
    throw new PolyadicError('POLYADIC_GRAPH', `initializer ${show(name)} is defined more than once`, { subject: name })
  }
  graph.initializersCarried.set(name, carried)
}

/** Scales and zero points that an annotation names are in use, though no node takes them. */
function readAnnotation(reader: WireReader, captures: Set<string>): void {
  while (reader.next()) {
    if (reader.field !== annotationProto.fields.quant_parameter_tensor_names) reader.skip()
    else {
      for (const entry = reader.message(stringEntryProto); entry.next(); ) {
        if (entry.field === stringEntryProto.fields.value) captures.add(entry.string())
        else entry.skip()
      }
    }
  }
}
