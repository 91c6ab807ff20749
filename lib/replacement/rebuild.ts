import { intAttribute } from '../graph/attributes.js'
import type { Attribute, Graph, Node } from '../graph/graph.js'
import { type AttributeValue, freshName, int, makeNode, replaceNode, valueNames } from '../graph/rewrite.js'
import { inherited } from '../onnx/carried.js'
import type { ConvSpec } from '../operators/conv-spec.js'
import { fromFloat32, type Tensor } from '../tensor.js'
import type { Stage } from './factors-to-convs.js'
import { type AutoPad, type Layer, transposed } from './layer.js'

/** A layer and the chain that takes its place. */
export interface Replacement {
  readonly layer: Layer
  readonly stages: readonly Stage[]
}

/** Gemm may leave out C from here on. */
const gemmWithoutBias = 11

/**
 * A new graph in which a chain stands for the layer, and the names of the chain's nodes. They are `<layer>/<role>`, their
 * weights `<layer>/<role>.weight`, inner values `<layer>/<role>.output`; the last one takes the layer's output name, bias and doc
 * string, all of them its metadata. Old weights, and nodes that made them, go unless something else uses them.
 */
export function replaceLayer(graph: Graph, { layer, stages }: Replacement): { readonly graph: Graph; readonly nodes: readonly string[] } {
  const { node: old } = layer
  const taken = new Set([...valueNames(graph), ...graph.nodes.map((node) => node.name)])
  const name = (base: string): string => {
    const fresh = freshName(taken, base)
    taken.add(fresh)
    return fresh
  }
  const add = new Map<string, Tensor>()
  const nodes: Node[] = []
  let [value = ''] = old.inputs
  stages.forEach((stage, index) => {
    const last = index === stages.length - 1
    const node = name(`${old.name}/${stage.role}`)
    const weight = name(`${node}.weight`)
    const output = last ? (old.outputs[0] as string) : name(`${node}.output`)
    const built = layer.kind === 'matrix' ? matrixStage(graph, layer, stage, index, last) : convStage(layer, stage)
    const { attributes } = built
    add.set(weight, built.weight)
    const bias = last ? old.inputs.slice(2) : built.bias === undefined ? [] : [name(`${node}.bias`)]
    if (built.bias !== undefined && bias[0] !== undefined && !last) add.set(bias[0], built.bias)
    const made = makeNode({ name: node, opType: old.opType, inputs: [value, weight, ...bias], outputs: [output], attributes })
    nodes.push({ ...made, docString: last ? old.docString : '', carried: inherited(old.carried) })
    value = output
  })
  return { graph: replaceNode(graph, old.name, nodes, { add }), nodes: nodes.map((node) => node.name) }
}

interface BuiltStage {
  readonly weight: Tensor
  readonly attributes: Record<string, AttributeValue>
  /** A bias that the operator wants although there is none. */
  readonly bias?: Tensor
}

function convStage(layer: Layer, { spec, weight }: Stage): BuiltStage {
  return { weight: fromFloat32(weight.data, weight.dims, layer.dtype), attributes: convAttributes(spec, layer.autoPad) }
}

// A stage that is 1 wide with unit stride on every axis gets no padding from SAME, so the mode can be left out there.
function convAttributes(spec: ConvSpec, autoPad: AutoPad | undefined): Record<string, AttributeValue> {
  const shape = { dilations: spec.dilations, group: int(spec.groups), kernel_shape: spec.kernel, strides: spec.strides }
  const padded = [...spec.kernel, ...spec.strides].some((value) => value > 1)
  return autoPad !== undefined && padded ? { ...shape, auto_pad: autoPad } : { ...shape, pads: [...spec.padsBegin, ...spec.padsEnd] }
}

/**
 * Two Gemms, or two MatMuls, for one. Gemms have their weights outputs×inputs (transB), MatMuls inputs×outputs; a Gemm's transA belongs
 * to the first, its C and beta to the last, its alpha is in the weights.
 */
function matrixStage(graph: Graph, layer: Layer, { weight }: Stage, index: number, last: boolean): BuiltStage {
  const [rows = 0, columns = 0] = weight.dims
  if (layer.node.opType === 'MatMul') {
    return { weight: fromFloat32(transposed(weight.data, rows, columns), [columns, rows], layer.dtype), attributes: {} }
  }
  const attributes: Record<string, Attribute> = { transB: int(1) }
  if (index === 0 && intAttribute(layer.node, 'transA', 0) !== 0) attributes.transA = int(1)
  const beta = layer.node.attributes.get('beta')
  if (last && beta !== undefined) attributes.beta = beta
  const needsBias = !last && (graph.opsets.get('') ?? gemmWithoutBias) < gemmWithoutBias
  const bias = needsBias ? { bias: fromFloat32(new Float32Array(1), [1], layer.dtype) } : {}
  return { weight: fromFloat32(weight.data, weight.dims, layer.dtype), attributes, ...bias }
}
