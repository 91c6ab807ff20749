// LocallyConnected(X, W) as an operator of a domain of our own, which a file explains to any runtime by a function of ONNX's operators.

import { type Graph, int, int64Tensor, encodeOnnx, decodeOnnx, makeNode, type Node } from '../../lib/index.js'
import { functionProto, modelProto, opsetProto } from '../../lib/onnx/schema.js'
import { joinChunks, MessageWriter } from '../../lib/onnx/wire-writer.js'
import { encodeNode } from '../../lib/onnx/write-node.js'

export const localDomain = 'polyadic.experiments'
export const localName = 'LocallyConnected'

/** X N×s×H×W, W side×side×(i, j, s)×t → Y N×t×side×side: shifted copies of the maps become channels (i, j, s), and every place has its own product. */
function body(kernel: number, side: number): Node[] {
  const nodes: Node[] = []
  const constant = (name: string, values: readonly number[]): string => {
    nodes.push(makeNode({ opType: 'Constant', inputs: [], outputs: [name], attributes: { value: int64Tensor(values, [values.length]) } }))
    return name
  }
  const axes = constant('axes', [2, 3])
  const shifted = Array.from({ length: kernel * kernel }, (_, k) => {
    const [i, j] = [Math.floor(k / kernel), k % kernel]
    const inputs = ['X', constant(`from${k}`, [i, j]), constant(`to${k}`, [i + side, j + side]), axes]
    nodes.push(makeNode({ opType: 'Slice', inputs, outputs: [`shifted${k}`] }))
    return `shifted${k}`
  })
  const byPlace = { perm: [2, 3, 0, 1] }
  nodes.push(
    makeNode({ opType: 'Concat', inputs: shifted, outputs: ['windows'], attributes: { axis: int(1) } }),
    makeNode({ opType: 'Transpose', inputs: ['windows'], outputs: ['places'], attributes: byPlace }),
    makeNode({ opType: 'MatMul', inputs: ['places', 'W'], outputs: ['products'] }),
    makeNode({ opType: 'Transpose', inputs: ['products'], outputs: ['Y'], attributes: byPlace })
  )
  return nodes
}

/** The graph as read from `encodeWithLocal`: it has the function. */
export function withLocal(graph: Graph, kernel: number, side: number): Graph {
  return decodeOnnx(encodeWithLocal(graph, kernel, side))
}

/** The ONNX file of a graph that uses LocallyConnected at one size, with the function. */
export function encodeWithLocal(graph: Graph, kernel: number, side: number): Uint8Array {
  const opset = graph.opsets.get('') as number
  const model = encodeOnnx({ ...graph, opsets: new Map([...graph.opsets, [localDomain, 1]]) })
  const f = functionProto.fields
  const definition = new MessageWriter()
  definition.string(f.name, localName)
  for (const input of ['X', 'W']) definition.string(f.input, input)
  definition.string(f.output, 'Y')
  for (const node of body(kernel, side)) definition.message(f.node, encodeNode(node))
  const version = new MessageWriter()
  version.integer(opsetProto.fields.version, opset)
  definition.message(f.opset_import, version)
  definition.string(f.domain, localDomain)
  // A message's fields may stand in any order, and repeated ones add up.
  const more = new MessageWriter()
  more.message(modelProto.fields.functions, definition)
  return joinChunks([model, ...more.finish()])
}
