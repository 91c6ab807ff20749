import type { Attribute, Graph, Node } from '../graph/graph.js'
import type { ConvSpec } from '../operators/conv-spec.js'
import type { Tensor } from '../tensor.js'
import type { Stage } from './factors-to-convs.js'
import type { AutoPad, ConvLayer } from './layer.js'

/** A layer and the chain that takes its place. */
export interface Replacement {
  readonly layer: ConvLayer
  readonly stages: readonly Stage[]
}

/**
 * A new graph in which chains stand for layers. A chain's nodes are named `<layer>/<role>`, its weights
 * `<layer>/<role>.weight`, its inner values `<layer>/<role>.output`; the last one takes the layer's output name and bias.
 * Old weights go unless something else uses them.
 */
export function replaceConvs(graph: Graph, replacements: readonly Replacement[]): Graph {
  const chains = new Map(replacements.map((one) => [one.layer.node, one]))
  const nodeNames = new Set(graph.nodes.map((node) => node.name))
  const valueNames = new Set([...graph.initializers.keys(), ...graph.inputs.map((value) => value.name), ...graph.nodes.flatMap((node) => node.outputs)])
  const initializers = new Map(graph.initializers)
  const nodes = graph.nodes.flatMap((node) => {
    const one = chains.get(node)
    return one === undefined ? [node] : chainNodes(one, initializers, nodeNames, valueNames)
  })
  const replaced: Graph = { ...graph, nodes, initializers }
  for (const { layer } of replacements) {
    if (!isUsed(replaced, layer.weightName)) initializers.delete(layer.weightName)
  }
  return replaced
}

function chainNodes({ layer, stages }: Replacement, initializers: Map<string, Tensor>, nodeNames: Set<string>, valueNames: Set<string>): Node[] {
  let [value = ''] = layer.node.inputs
  return stages.map((stage, index) => {
    const last = index === stages.length - 1
    const name = unique(`${layer.node.name}/${stage.role}`, nodeNames)
    const weight = unique(`${name}.weight`, valueNames)
    const output = last ? (layer.node.outputs[0] as string) : unique(`${name}.output`, valueNames)
    initializers.set(weight, stage.weight)
    const bias = last ? layer.node.inputs.slice(2) : []
    const node = { name, opType: 'Conv', domain: '', inputs: [value, weight, ...bias], outputs: [output], attributes: convAttributes(stage.spec, layer.autoPad), docString: '' }
    value = output
    return node
  })
}

// A stage that is 1 wide with unit stride on every axis gets no padding from SAME, so the mode can be left out there.
function convAttributes(spec: ConvSpec, autoPad: AutoPad | undefined): Map<string, Attribute> {
  const attributes = new Map<string, Attribute>([
    ['dilations', { kind: 'ints', value: spec.dilations }],
    ['group', { kind: 'int', value: spec.groups }],
    ['kernel_shape', { kind: 'ints', value: spec.kernel }],
    ['strides', { kind: 'ints', value: spec.strides }]
  ])
  const padded = [...spec.kernel, ...spec.strides].some((value) => value > 1)
  if (autoPad !== undefined && padded) return attributes.set('auto_pad', { kind: 'string', value: autoPad })
  return attributes.set('pads', { kind: 'ints', value: [...spec.padsBegin, ...spec.padsEnd] })
}

/** `name`, or `name_2`, `name_3`, … when it is taken; takes it. */
function unique(name: string, taken: Set<string>): string {
  let free = name
  for (let n = 2; taken.has(free); n++) free = `${name}_${n}`
  taken.add(free)
  return free
}

// A subgraph (opaque attribute) may read any outer value by name, so next to one nothing is thrown away.
function isUsed(graph: Graph, name: string): boolean {
  return graph.outputs.some((value) => value.name === name) ||
    graph.nodes.some((node) => node.inputs.includes(name) || [...node.attributes.values()].some((attribute) => attribute.kind === 'opaque'))
}
