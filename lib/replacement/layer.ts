import { PolyadicError, argumentError, show } from '../errors.js'
import { intAttribute, stringAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import type { ConvSpec } from '../operators/conv-spec.js'
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
  const found = byName.length > 0 ? byName : graph.nodes.filter((node) => node.outputs.includes(key) || (node.opType === 'Conv' && node.inputs[1] === key))
  const convs = graph.nodes.filter((node) => node.opType === 'Conv' && node.domain === '').map((node) => node.name)
  const list = convs.length > 0 ? `the network's Conv layers are ${convs.join(', ')}` : 'the network has no Conv layer'
  const fail = (what: string): PolyadicError => new PolyadicError('POLYADIC_ARGUMENT', `layers: ${show(key)} ${what}; ${list}`, { subject: key })
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
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `layer ${show(node.name)}: its weights ${show(weightName)} are not an initializer, there is nothing constant to decompose`, { subject: node.name })
  }
  const { spec, autoPad } = readGeometry(node, tensor)
  const [outputs = 0, inputsPerGroup = 0] = tensor.dims
  if (outputs % spec.groups !== 0) throw shapeError(node, `${outputs} output channels cannot be split into ${spec.groups} groups`)
  const weight = asFloat32(tensor, weightName)
  const bad = weight.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) {
    throw new PolyadicError('POLYADIC_NUMERIC', `layer ${show(node.name)}: weight ${bad} of ${show(weightName)} is ${String(weight[bad])}, expected finite numbers`, { subject: node.name })
  }
  return { node, weightName, weight, outputs, inputsPerGroup, spec, autoPad }
}

function readGeometry(node: Node, weight: Tensor): { spec: ConvSpec; autoPad: AutoPad | undefined } {
  const axes = weight.dims.length - 2
  if (axes < 1 || weight.dims.some((dim) => dim < 1)) throw shapeError(node, `weights of shape ${show(weight.dims)}, expected Cout × Cin/groups × kernel`)
  const kernel = integers(node, 'kernel_shape', axes) ?? weight.dims.slice(2)
  if (kernel.some((extent, axis) => extent !== weight.dims[axis + 2])) throw shapeError(node, `kernel_shape ${show(kernel)} disagrees with weights of shape ${show(weight.dims)}`)
  const fill = (value: number): number[] => new Array<number>(axes).fill(value)
  const named = stringAttribute(node, 'auto_pad', 'NOTSET')
  const autoPad = named === 'SAME_UPPER' || named === 'SAME_LOWER' ? named : undefined
  if (autoPad === undefined && named !== 'NOTSET' && named !== 'VALID' && named !== '') throw shapeError(node, `auto_pad ${show(named)} is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER`)
  const pads = (named === 'NOTSET' || named === '' ? integers(node, 'pads', 2 * axes) : undefined) ?? [...fill(0), ...fill(0)]
  const groups = intAttribute(node, 'group', 1)
  if (!Number.isSafeInteger(groups) || groups < 1) throw shapeError(node, `group ${show(groups)}, expected an integer of at least 1`)
  const spec = {
    kernel, strides: integers(node, 'strides', axes) ?? fill(1), dilations: integers(node, 'dilations', axes) ?? fill(1),
    padsBegin: pads.slice(0, axes), padsEnd: pads.slice(axes), groups
  }
  return { spec, autoPad }
}

function integers(node: Node, name: string, length: number): readonly number[] | undefined {
  const attribute = node.attributes.get(name)
  if (attribute === undefined || (attribute.kind === 'ints' && attribute.value.length === 0)) return undefined
  if (attribute.kind === 'ints' && attribute.value.length === length) return attribute.value
  throw shapeError(node, `${name} ${show(attribute.value)}, expected ${length} integers`)
}

function shapeError(node: Node, what: string): PolyadicError {
  return new PolyadicError('POLYADIC_GRAPH', `layer ${show(node.name)}: ${what}`, { subject: node.name })
}

/** Throws unless `layers` is a non-empty record. */
export function checkLayers(layers: unknown): asserts layers is Record<string, unknown> {
  if (typeof layers !== 'object' || layers === null || Array.isArray(layers) || Object.keys(layers).length === 0) {
    throw argumentError('layers', 'an object of layer name: rank with at least one entry', layers)
  }
}
