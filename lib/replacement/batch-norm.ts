import { PolyadicError, show } from '../errors.js'
import { floatAttribute, intAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import { consumers, freshName, replaceNode, valueNames } from '../graph/rewrite.js'
import { constantFinder } from '../operators/constants.js'
import { asFloatTensor, fromFloat32, type Tensor } from '../tensor.js'
import { readLayer } from './layer.js'

/** A graph without the batch normalisation behind a layer, and what that was called; undefined when there was none to fold. */
export interface Folded {
  readonly graph: Graph
  readonly folded: string | undefined
}

/**
 * Multiplies the batch normalisation that follows the Conv `node` into its weights and bias: scale·(w∗x + b − mean)/√(variance + ε) + shift
 * is a convolution again. The Conv keeps its name and takes the normalisation's output. Nothing happens where no normalisation in
 * inference form with constant statistics is the only reader of the layer's output.
 */
export function foldBatchNorm(graph: Graph, node: Node): Folded {
  const norm = node.opType === 'Conv' ? followingNorm(graph, node) : undefined
  const constants = norm === undefined ? undefined : normConstants(graph, norm, node)
  if (norm === undefined || constants === undefined) return { graph, folded: undefined }
  const layer = readLayer(graph, node)
  const perOutput = layer.weight.length / layer.outputs
  if (constants.scale.length !== layer.outputs) {
    const what = `normalises ${constants.scale.length} channels, the layer in front of it has ${layer.outputs}`
    throw new PolyadicError('POLYADIC_SHAPE', `node ${show(norm.name)} (BatchNormalization): ${what}`, { subject: norm.name })
  }
  const weight = layer.weight.map((value, i) => value * (constants.scale[Math.floor(i / perOutput)] as number))
  const taken = new Set([...valueNames(graph), ...graph.nodes.map(({ name }) => name)])
  const weightName = freshName(taken, `${node.name}/folded.weight`)
  const biasName = freshName(taken, `${node.name}/folded.bias`)
  const dims = [layer.outputs, layer.inputsPerGroup, ...layer.spec.kernel]
  const add = new Map<string, Tensor>([
    [weightName, fromFloat32(weight, dims, layer.dtype)],
    [biasName, fromFloat32(constants.shift, [layer.outputs], layer.dtype)]
  ])
  const conv: Node = { ...node, inputs: [node.inputs[0] as string, weightName, biasName], outputs: [norm.outputs[0] as string] }
  // The normalisation goes first: the Conv's output has no reader then, and its name can take the other's output.
  const valueInfo = graph.valueInfo.filter(({ name }) => name !== node.outputs[0])
  const without: Graph = { ...graph, valueInfo, nodes: graph.nodes.map((one) => (one === node ? conv : one)) }
  return { graph: replaceNorm(without, norm, add, node), folded: norm.name }
}

function replaceNorm(graph: Graph, norm: Node, add: ReadonlyMap<string, Tensor>, before: Node): Graph {
  const initializers = new Map([...graph.initializers, ...add])
  // The old Conv stands in for the normalisation for a moment, so that what only the two used goes with them.
  const inputs = [...before.inputs.slice(1), ...norm.inputs.slice(1)]
  const standIn: Node = { ...norm, inputs, outputs: [] }
  const nodes = graph.nodes.map((one) => (one === norm ? standIn : one))
  return replaceNode({ ...graph, nodes, initializers }, norm.name, [])
}

/** The BatchNormalization in inference form that alone reads what `node` computes. */
function followingNorm(graph: Graph, node: Node): Node | undefined {
  const output = node.outputs[0] as string
  const [norm, ...others] = consumers(graph).get(output) ?? []
  const isOnlyReader = norm !== undefined && others.length === 0 && !graph.outputs.some(({ name }) => name === output)
  if (!isOnlyReader || norm.opType !== 'BatchNormalization' || norm.domain !== '' || norm.inputs.indexOf(output) !== 0) return undefined
  const isInference = intAttribute(norm, 'training_mode', 0) === 0 && intAttribute(norm, 'spatial', 1) !== 0
  const isSole = norm.inputs.lastIndexOf(output) === 0 && norm.outputs.slice(1).every((name) => name === '')
  return isInference && isSole ? norm : undefined
}

/** y = scale·x + shift by channel, with the layer's own bias worked in; undefined when anything of it is computed. */
function normConstants(graph: Graph, norm: Node, node: Node): { scale: Float32Array; shift: Float32Array } | undefined {
  const find = constantFinder(graph)
  const valuesOf = (name: string): Float32Array | undefined => {
    const tensor = find(name)
    return tensor === undefined ? undefined : asFloatTensor(tensor)?.data
  }
  const [gamma, beta, mean, variance] = norm.inputs.slice(1, 5).map(valuesOf)
  const biasName = node.inputs[2] ?? ''
  const bias = biasName === '' ? undefined : valuesOf(biasName)
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined) return undefined
  if (biasName !== '' && bias === undefined) return undefined
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5)
  const scale = gamma.map((value, c) => value / Math.sqrt((variance[c] as number) + epsilon))
  const shift = beta.map((value, c) => value + ((bias?.[c] ?? 0) - (mean[c] as number)) * (scale[c] as number))
  return { scale, shift }
}
