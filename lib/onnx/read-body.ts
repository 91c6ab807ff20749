import { PolyadicError, show } from '../errors.js'
import type { Attribute, Body, GraphFunction, Node } from '../graph/graph.js'
import type { Tensor } from '../tensor.js'
import type { PendingData } from './external-data.js'
import { decodeAttribute } from './read-attribute.js'
import { decodeNode, domainAlias, nameNodes } from './read-node.js'
import { decodeTensor } from './read-tensor.js'
import { attributeProto, functionProto, graphProto, nodeProto, opsetProto, tensorProto, valueInfoProto } from './schema.js'
import type { WireReader } from './wire.js'

/*
 * Sub-graphs and functions as far as running them needs it. What is written are the bytes that the file has of them, so that nothing here is
 * kept for the writer.
 */

/** A GraphProto within an attribute. `undefined` where tensors have their data in files that bytes alone do not give. */
export function readBody(reader: WireReader, pending: PendingData | undefined): Body | undefined {
  const f = graphProto.fields
  const body = { inputs: [] as string[], outputs: [] as string[], nodes: [] as Node[], initializers: new Map<string, Tensor>() }
  try {
    while (reader.next()) {
      if (reader.field === f.node) body.nodes.push(decodeNode(reader.message(nodeProto), body.nodes.length, pending))
      else if (reader.field === f.input) body.inputs.push(valueName(reader.message(valueInfoProto)))
      else if (reader.field === f.output) body.outputs.push(valueName(reader.message(valueInfoProto)))
      else if (reader.field === f.initializer) {
        const { name, tensor } = decodeTensor(reader.message(tensorProto), { owner: 'a sub-graph', pending })
        if (tensor !== undefined) body.initializers.set(name, tensor)
      } else reader.skip()
    }
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_UNSUPPORTED') return undefined
    throw error
  }
  return { ...body, nodes: nameNodes(body.nodes) }
}

function valueName(reader: WireReader): string {
  let name = ''
  while (reader.next()) {
    if (reader.field === valueInfoProto.fields.name) name = reader.string()
    else reader.skip()
  }
  return name
}

export interface DecodedFunction {
  readonly domain: string
  readonly opType: string
  readonly body: GraphFunction
}

/** A FunctionProto. */
export function readFunction(reader: WireReader, pending: PendingData | undefined): DecodedFunction {
  const f = functionProto.fields
  const [inputs, outputs, nodes]: [string[], string[], Node[]] = [[], [], []]
  const attributes = new Map<string, Attribute | undefined>()
  const opsets = new Map<string, number>()
  let [domain, opType] = ['', '']
  while (reader.next()) {
    if (reader.field === f.name) opType = reader.string()
    else if (reader.field === f.domain) domain = reader.string()
    else if (reader.field === f.input) inputs.push(reader.string())
    else if (reader.field === f.output) outputs.push(reader.string())
    else if (reader.field === f.node) nodes.push(decodeNode(reader.message(nodeProto), nodes.length, pending))
    else if (reader.field === f.attribute) attributes.set(reader.string(), undefined)
    else if (reader.field === f.attribute_proto) {
      const { name, attribute } = decodeAttribute(reader.message(attributeProto), { owner: `function ${show(opType)}`, pending })
      attributes.set(name, attribute)
    } else if (reader.field === f.opset_import) readOpset(reader.message(opsetProto), opsets)
    else reader.skip()
  }
  const body = { inputs, outputs, nodes: nameNodes(nodes), initializers: new Map<string, Tensor>(), attributes, opsets }
  return { domain: domain === domainAlias ? '' : domain, opType, body }
}

function readOpset(reader: WireReader, opsets: Map<string, number>): void {
  let [domain, version] = ['', 0]
  while (reader.next()) {
    if (reader.field === opsetProto.fields.domain) domain = reader.string()
    else if (reader.field === opsetProto.fields.version) version = reader.integer()
    else reader.skip()
  }
  opsets.set(domain === domainAlias ? '' : domain, version)
}
