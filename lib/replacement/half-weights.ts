import { checkChoice, PolyadicError, show } from '../errors.js'
import { checkForm, checkGraph } from '../graph/check.js'
import type { Graph, Node } from '../graph/graph.js'
import { consumers, int, intAttribute, makeNode } from '../graph/rewrite.js'
import { givenValues } from '../graph/values.js'
import { asFloatTensor, fromFloat32, type Tensor } from '../tensor.js'

export type HalfType = 'bfloat16' | 'float16'

/** ONNX's number of the type, and the first opset whose Cast knows it. */
const casts = { bfloat16: { to: 16, opset: 13 }, float16: { to: 10, opset: 1 } } as const
const float32 = 1

/** The largest number of float16 that is not rounded to infinity is just below this. */
const float16Limit = 65520

/**
 * The network with the float32 weights of its convolutions and matrix products stored in 16 bits, each behind a Cast back to float32: half of
 * the file, and any ONNX runtime computes with the rounded weights. A session in bf16 computes the same with bfloat16 weights as without. Throws
 * `POLYADIC_UNSUPPORTED` where the opset's Cast does not know the type, or a weight is too large for float16.
 */
export function halfWeights(graph: Graph, type: HalfType): Graph {
  checkForm(graph)
  const cast = casts[checkChoice('type', type, ['bfloat16', 'float16'])]
  const opset = graph.opsets.get('') ?? 1
  if (opset < cast.opset)
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `${type} weights need opset ${cast.opset}, graph ${show(graph.name)} has ${opset}`, {
      subject: graph.name
    })
  const names = weightNames(graph)
  const initializers = new Map(graph.initializers)
  const taken = new Set([...givenValues(graph), ...graph.nodes.flatMap(({ outputs }) => outputs)])
  const nodeNames = new Set(graph.nodes.map(({ name }) => name))
  const nodes: Node[] = []
  for (const name of names) {
    const stored = unique(`${name}.${type}`, taken)
    initializers.delete(name)
    initializers.set(stored, rounded(name, graph.initializers.get(name) as Tensor, type))
    const node = { name: unique(`${name}.cast`, nodeNames), opType: 'Cast', inputs: [stored], outputs: [name] }
    nodes.push(makeNode({ ...node, attributes: { to: int(float32) } }))
  }
  return checkGraph({ ...graph, initializers, nodes: [...nodes, ...graph.nodes] })
}

/**
 * The inverse, but for what rounding has lost: the 16-bit initializers that only a Cast to float32 stands behind become float32 ones of the
 * Cast's output's name. The graph itself where there are none.
 */
export function fullWeights(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const users = consumers(graph)
  const initializers = new Map(graph.initializers)
  const folded = new Set<Node>()
  for (const node of graph.nodes) {
    const [stored = ''] = node.inputs
    const [name = ''] = node.outputs
    const tensor = graph.initializers.get(stored)
    const isCast = node.opType === 'Cast' && node.domain === '' && intAttribute(node, 'to', 0) === float32
    if (!isCast || (tensor?.dtype !== 'float16' && tensor?.dtype !== 'bfloat16') || name === '' || outputs.has(name)) continue
    initializers.set(name, asFloatTensor(tensor) as Tensor)
    folded.add(node)
  }
  if (folded.size === 0) return graph
  for (const node of folded) {
    const [stored = ''] = node.inputs
    if (!outputs.has(stored) && users.get(stored)?.every((user) => folded.has(user))) initializers.delete(stored)
  }
  return checkGraph({ ...graph, initializers, nodes: graph.nodes.filter((node) => !folded.has(node)) })
}

function weightNames(graph: Graph): Set<string> {
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const read = graph.nodes.flatMap(({ domain, opType, inputs }) => {
    if (domain !== '') return []
    if (opType === 'Conv' || opType === 'ConvTranspose') return inputs.slice(1, 2)
    return opType === 'Gemm' || opType === 'MatMul' ? inputs.slice(0, 2) : []
  })
  return new Set(read.filter((name) => graph.initializers.get(name)?.dtype === 'float32' && !outputs.has(name)))
}

function rounded(name: string, { data, dims }: Tensor, type: HalfType): Tensor {
  const values = data as Float32Array
  const tooLarge = type === 'float16' ? values.find((value) => Number.isFinite(value) && Math.abs(value) >= float16Limit) : undefined
  if (tooLarge !== undefined)
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `weight ${show(name)} holds ${tooLarge}, which float16 cannot`, { subject: name })
  return fromFloat32(values, dims, type)
}

function unique(wanted: string, taken: Set<string>): string {
  let name = wanted
  for (let i = 2; taken.has(name); i++) name = `${wanted}${i}`
  taken.add(name)
  return name
}
