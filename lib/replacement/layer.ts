import { PolyadicError, argumentError, show } from '../errors.js'
import { floatAttribute, intAttribute, stringAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import { type ConstantFinder, constantFinder } from '../operators/constants.js'
import { type ConvSpec, pointwise } from '../operators/conv-spec.js'
import { convSpecOf } from '../operators/convolution.js'
import { asFloatTensor, type DataType, type Tensor } from '../tensor.js'

/** ONNX's automatic padding, which is kept by name: it acts on every spatial axis by itself, so it splits exactly. */
export type AutoPad = 'SAME_UPPER' | 'SAME_LOWER'

/** A node whose weights are at hand, checked and ready to be decomposed. */
export interface Layer {
  readonly node: Node
  /** `matrix`: a Gemm or MatMul, which becomes two of its kind; else a Conv, which becomes Convs. */
  readonly kind: 'convolution' | 'matrix'
  readonly weightName: string
  /** Cout × Cin/groups × kernel, row-major. Of a matrix product outputs × inputs, a Gemm's alpha multiplied in. */
  readonly weight: Float32Array
  /** What type the network has here: new weights get it too. */
  readonly dtype: DataType
  readonly outputs: number
  readonly inputsPerGroup: number
  /** Pads are zero with `autoPad`; a matrix product has no spatial axes. */
  readonly spec: ConvSpec
  readonly autoPad: AutoPad | undefined
}

/** Whether `compress` knows how to replace a node of this kind. */
export function isLayer({ opType, domain }: Node): boolean {
  return domain === '' && (opType === 'Conv' || opType === 'Gemm' || opType === 'MatMul')
}

/**
 * Finds the layer that `key` names: by node name, else by output or weight name. Throws POLYADIC_ARGUMENT, listing the layers
 * there are, when there is none, several, or the node is no layer.
 */
export function findLayer(graph: Graph, key: string): Node {
  const byName = graph.nodes.filter((node) => node.name === key)
  const found =
    byName.length > 0 ? byName : graph.nodes.filter((node) => node.outputs.includes(key) || (isLayer(node) && node.inputs[1] === key))
  const layers = graph.nodes.filter(isLayer).map((node) => node.name)
  const list =
    layers.length > 0 ? `the network's Conv, Gemm and MatMul layers are ${shortList(layers)}` : 'the network has no Conv, Gemm or MatMul'
  const fail = (what: string): PolyadicError =>
    new PolyadicError('POLYADIC_ARGUMENT', `layers: ${show(key)} ${what}; ${list}`, { subject: key })
  const [node, ...others] = found
  if (node === undefined) throw fail('names no layer')
  if (others.length > 0) throw fail(`names ${found.length} layers (${found.map((one) => one.name).join(', ')}), use a node name`)
  if (!isLayer(node)) throw fail(`is a ${node.opType}, not a Conv, Gemm or MatMul`)
  return node
}

function shortList(names: readonly string[]): string {
  return names.length <= 24 ? names.join(', ') : `${names.slice(0, 24).join(', ')} and ${names.length - 24} more`
}

/**
 * Reads a Conv, Gemm or MatMul node with constant weights: an initializer, or what follows from constants (a Constant node, a cast,
 * dequantised integers). `constant` finds these; whoever reads many layers of a graph makes it once. Throws POLYADIC_UNSUPPORTED,
 * POLYADIC_SHAPE, POLYADIC_GRAPH or POLYADIC_NUMERIC, each naming the layer.
 */
export function readLayer(graph: Graph, node: Node, constant: ConstantFinder = constantFinder(graph)): Layer {
  const weightName = node.inputs[1] ?? ''
  const { tensor, values } = readWeight(node, weightName, constant)
  const { dtype } = tensor
  if (node.opType !== 'Conv') return { node, kind: 'matrix', weightName, dtype, autoPad: undefined, ...readMatrix(node, tensor, values) }
  const { spec, autoPad } = readGeometry(node, tensor)
  const [outputs = 0, inputsPerGroup = 0] = tensor.dims
  return { node, kind: 'convolution', weightName, weight: values, dtype, outputs, inputsPerGroup, spec, autoPad }
}

function readWeight(node: Node, weightName: string, constant: ConstantFinder): { tensor: Tensor; values: Float32Array } {
  const fail = (code: 'POLYADIC_UNSUPPORTED' | 'POLYADIC_GRAPH' | 'POLYADIC_NUMERIC', what: string): PolyadicError =>
    new PolyadicError(code, `layer ${show(node.name)}: ${what}`, { subject: node.name })
  const tensor = constant(weightName)
  if (tensor === undefined) {
    throw fail('POLYADIC_UNSUPPORTED', `its weights ${show(weightName)} are not constant, there is nothing to decompose`)
  }
  const values = asFloatTensor(tensor)?.data
  if (values === undefined) {
    throw fail('POLYADIC_UNSUPPORTED', `its weights ${show(weightName)} are ${tensor.dtype}, expected real numbers`)
  }
  if (values.length === 0) throw fail('POLYADIC_GRAPH', `its weights are of shape ${show(tensor.dims)}, which is empty`)
  const bad = values.findIndex((value) => !Number.isFinite(value))
  if (bad < 0) return { tensor, values }
  throw fail('POLYADIC_NUMERIC', `weight ${bad} of ${show(weightName)} is ${String(values[bad])}, expected finite numbers`)
}

/** The outputs × inputs matrix that a Gemm (times its alpha) or a MatMul multiplies rows by. */
function readMatrix(node: Node, { dims }: Tensor, values: Float32Array): Pick<Layer, 'weight' | 'outputs' | 'inputsPerGroup' | 'spec'> {
  const [first = 0, second = 0] = dims
  if (dims.length !== 2) {
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `layer ${show(node.name)}: weights of shape ${show(dims)}, a matrix is needed`, {
      subject: node.name
    })
  }
  const isTransposed = node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
  const [inputs, outputs] = isTransposed ? [second, first] : [first, second]
  const alpha = node.opType === 'Gemm' ? floatAttribute(node, 'alpha', 1) : 1
  const oriented = isTransposed ? values : transposed(values, inputs, outputs)
  const weight = alpha === 1 ? oriented : oriented.map((value) => value * alpha)
  return { weight, outputs, inputsPerGroup: inputs, spec: pointwise(0, 1) }
}

/** A rows×columns matrix as columns×rows. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j] as number
  }
  return result
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
