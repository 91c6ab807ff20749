import { PolyadicError, show } from '../errors.js'
import { floatAttribute, intAttribute } from '../graph/attributes.js'
import type { Graph, Node } from '../graph/graph.js'
import { freshName, int, makeNode, producers, replaceNode, valueNames } from '../graph/rewrite.js'
import { constantFinder } from '../operators/constants.js'
import { asFloatTensor, fromFloat32, type Tensor } from '../tensor.js'
import { type Layer, readLayer } from './layer.js'
import type { Dims } from './spatial-extents.js'

/** Operators between maps and a fully connected layer that change no value in inference. */
const passing = new Set(['Flatten', 'Reshape', 'Squeeze', 'Dropout', 'Identity'])

/**
 * Writes a fully connected layer behind a flatten of N×C×H×W as what it is: a convolution with an H×W kernel and no padding, then a
 * flatten of the N×outputs×1×1 maps that gives. The Conv keeps the layer's name. `shapes`: dims of the graph's values, as far as known.
 * Throws POLYADIC_UNSUPPORTED naming the layer where nothing is flattened in front of it, or shapes do not tell how.
 */
export function asConvolution(graph: Graph, node: Node, shapes: ReadonlyMap<string, Dims | undefined>): Graph {
  const layer = readLayer(graph, node)
  const { maps, extents } = flattenedMaps(graph, layer, shapes)
  const bias = biasOf(graph, layer)
  const taken = new Set([...valueNames(graph), ...graph.nodes.map(({ name }) => name)])
  const name = (role: string): string => freshName(taken, `${node.name}/${role}`)
  const [kernelName, biasName, output, flatten] = [name('kernel'), name('expand.bias'), name('maps'), name('flatten')]
  const add = new Map<string, Tensor>([[kernelName, fromFloat32(layer.weight, [layer.outputs, ...extents], layer.dtype)]])
  if (bias !== undefined) add.set(biasName, fromFloat32(bias, [layer.outputs], layer.dtype))
  const inputs = [maps, kernelName, ...(bias === undefined ? [] : [biasName])]
  const conv = makeNode({ name: node.name, opType: 'Conv', inputs, outputs: [output], docString: node.docString })
  const nodes = [
    { ...conv, carried: node.carried },
    makeNode({ name: flatten, opType: 'Flatten', inputs: [output], outputs: [node.outputs[0] as string], attributes: { axis: int(1) } })
  ]
  return replaceNode(graph, node.name, nodes, { add })
}

/** The value that is flattened into the layer's input, and its C, H, W. */
function flattenedMaps(graph: Graph, layer: Layer, shapes: ReadonlyMap<string, Dims | undefined>): { maps: string; extents: number[] } {
  const producer = producers(graph)
  const fail = (what: string): PolyadicError =>
    new PolyadicError('POLYADIC_UNSUPPORTED', `layer ${show(layer.node.name)}: ${what}`, { subject: layer.node.name })
  if (layer.kind !== 'matrix') throw fail('form "convolution" is for Gemm and MatMul layers; this one is a Conv already')
  if (intAttribute(layer.node, 'transA', 0) !== 0) throw fail('form "convolution" needs rows of examples, transA is set')
  let maps = layer.node.inputs[0] as string
  for (let depth = 0; depth <= graph.nodes.length; depth++) {
    const dims = shapes.get(maps)
    if (dims !== undefined && dims.length > 2) {
      const extents = dims.slice(1)
      const isWhole = extents.every((dim) => typeof dim === 'number') && extents.reduce<number>((a, b) => a * Number(b), 1)
      if (isWhole === layer.inputsPerGroup) return { maps, extents: extents as number[] }
      throw fail(`its ${layer.inputsPerGroup} inputs are not what ${show(maps)} of shape ${show(dims)} flattens to, an example each row`)
    }
    const node = producer.get(maps)
    if (node === undefined || node.domain !== '' || !passing.has(node.opType)) break
    maps = node.inputs[0] as string
  }
  throw fail('form "convolution" needs a flatten of maps of known size in front of the layer; give inputShapes, or use form "matrix"')
}

/** A Gemm's C times beta, one value an output. Throws where it is no such thing. */
function biasOf(graph: Graph, { node, outputs }: Layer): Float32Array | undefined {
  const name = node.opType === 'Gemm' ? (node.inputs[2] ?? '') : ''
  const beta = floatAttribute(node, 'beta', 1)
  if (name === '' || beta === 0) return undefined
  const tensor = constantFinder(graph)(name)
  const values = tensor === undefined ? undefined : asFloatTensor(tensor)?.data
  const isRow = tensor?.dims.slice(0, -1).every((dim) => dim === 1)
  if (values === undefined || !isRow || (values.length !== 1 && values.length !== outputs)) {
    const what = `form "convolution" needs a constant bias of one value an output, ${show(name)} is not`
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `layer ${show(node.name)}: ${what}`, { subject: node.name })
  }
  return Float32Array.from({ length: outputs }, (_, i) => beta * (values[values.length === 1 ? 0 : i] as number))
}
