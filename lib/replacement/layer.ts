import { PolyadicError, argumentError, show } from '../errors.js'
import { stringAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import type { ConvSpec } from '../operators/conv-spec.js'
import { convSpecOf } from '../operators/convolution.js'
import { asFloat32, type Tensor } from '../tensor.js'

/** ONNX's automatic padding, which is kept by name: it acts on every spatial axis by itself, so it splits exactly. */
export type AutoPad = 'SAME_UPPER' | 'SAME_LOWER'

/** A Conv node whose weights are at hand, checked and ready to be decomposed. */
export interface ConvLayer {
  readonly node: Node
  readonly weightName: string
  /** Cout × Cin/groups × kernel, row-major. */
  readonly weight: Float32Array
  readonly outputs: number
  readonly inputsPerGroup: number
  /** Pads are zero with `autoPad`. */
  readonly spec: ConvSpec
  readonly autoPad: AutoPad | undefined
}

/**
 * Finds the Conv that `key` names: by node name, else by output or weight name.
 * Throws POLYADIC_ARGUMENT, listing the Conv nodes, when there is none, several, or the node is not a Conv.
 */
export function findConv(graph: Graph, key: string): Node {
  const byName = graph.nodes.filter((node) => node.name === key)
  const found =
    byName.length > 0
      ? byName
      : graph.nodes.filter((node) => node.outputs.includes(key) || (node.opType === 'Conv' && node.inputs[1] === key))
  const convs = graph.nodes.filter((node) => node.opType === 'Conv' && node.domain === '').map((node) => node.name)
  const list = convs.length > 0 ? `the network's Conv layers are ${convs.join(', ')}` : 'the network has no Conv layer'
  const fail = (what: string): PolyadicError =>
    new PolyadicError('POLYADIC_ARGUMENT', `layers: ${show(key)} ${what}; ${list}`, { subject: key })
  const [node, ...others] = found
  if (node === undefined) throw fail('names no layer')
  if (others.length > 0) throw fail(`names ${found.length} layers (${found.map((one) => one.name).join(', ')}), use a node name`)
  if (node.opType !== 'Conv' || node.domain !== '') throw fail(`is a ${node.opType}, not a Conv`)
  return node
}

/**
 * Reads a Conv node with constant float32 weights. Throws POLYADIC_UNSUPPORTED, POLYADIC_SHAPE, POLYADIC_GRAPH or
 * POLYADIC_NUMERIC, each naming the layer.
 */
export function readConv(graph: Graph, node: Node): ConvLayer {
  const weightName = node.inputs[1] ?? ''
  const tensor = graph.initializers.get(weightName)
  if (tensor === undefined) {
    throw new PolyadicError(
      'POLYADIC_UNSUPPORTED',
      `layer ${show(node.name)}: its weights ${show(weightName)} are not an initializer, there is nothing constant to decompose`,
      { subject: node.name }
    )
  }
  if (tensor.dtype !== 'float32') {
    throw new PolyadicError(
      'POLYADIC_UNSUPPORTED',
      `layer ${show(node.name)}: its weights ${show(weightName)} are ${tensor.dtype}, expected float32`,
      { subject: node.name }
    )
  }
  const { spec, autoPad } = readGeometry(node, tensor)
  const [outputs = 0, inputsPerGroup = 0] = tensor.dims
  const weight = asFloat32(tensor, weightName)
  if (weight.length === 0)
    throw new PolyadicError('POLYADIC_GRAPH', `layer ${show(node.name)}: its weights are of shape ${show(tensor.dims)}, which is empty`, {
      subject: node.name
    })
  const bad = weight.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) {
    throw new PolyadicError(
      'POLYADIC_NUMERIC',
      `layer ${show(node.name)}: weight ${bad} of ${show(weightName)} is ${String(weight[bad])}, expected finite numbers`,
      { subject: node.name }
    )
  }
  return { node, weightName, weight, outputs, inputsPerGroup, spec, autoPad }
}

// SAME is kept by name, so its pads need not be known; everything else is the operator's to judge.
function readGeometry(node: Node, weight: Tensor): { spec: ConvSpec; autoPad: AutoPad | undefined } {
  const named = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (named !== 'SAME_UPPER' && named !== 'SAME_LOWER') return { spec: convSpecOf(node, weight.dims), autoPad: undefined }
  const attributes = new Map(node.attributes)
  attributes.delete('auto_pad')
  attributes.delete('pads')
  return { spec: convSpecOf({ ...node, attributes }, weight.dims), autoPad: named }
}

/** Throws unless `layers` is a non-empty record. */
export function checkLayers(layers: unknown): asserts layers is Record<string, unknown> {
  if (typeof layers !== 'object' || layers === null || Array.isArray(layers) || Object.keys(layers).length === 0) {
    throw argumentError('layers', 'an object of layer name: rank with at least one entry', layers)
  }
}
