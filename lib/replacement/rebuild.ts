import type { Graph, Node } from '../graph/graph.js'
import { type AttributeValue, freshName, int, makeNode, replaceNode, valueNames } from '../graph/rewrite.js'
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
 * A new graph in which a chain stands for the layer, and the names of the chain's nodes. They are `<layer>/<role>`, their
 * weights `<layer>/<role>.weight`, inner values `<layer>/<role>.output`; the last one takes the layer's output name and
 * bias. Old weights go unless something else uses them.
 */
export function replaceConv(graph: Graph, { layer, stages }: Replacement): { readonly graph: Graph; readonly nodes: readonly string[] } {
  const taken = new Set([...valueNames(graph), ...graph.nodes.map((node) => node.name)])
  const name = (base: string): string => {
    const fresh = freshName(taken, base)
    taken.add(fresh)
    return fresh
  }
  const add = new Map<string, Tensor>()
  const nodes: Node[] = []
  let [value = ''] = layer.node.inputs
  stages.forEach((stage, index) => {
    const last = index === stages.length - 1
    const node = name(`${layer.node.name}/${stage.role}`)
    const weight = name(`${node}.weight`)
    const output = last ? (layer.node.outputs[0] as string) : name(`${node}.output`)
    const bias = last ? layer.node.inputs.slice(2) : []
    add.set(weight, stage.weight)
    nodes.push(
      makeNode({
        name: node,
        opType: 'Conv',
        inputs: [value, weight, ...bias],
        outputs: [output],
        attributes: convAttributes(stage.spec, layer.autoPad)
      })
    )
    value = output
  })
  return { graph: replaceNode(graph, layer.node.name, nodes, { add }), nodes: nodes.map((node) => node.name) }
}

// A stage that is 1 wide with unit stride on every axis gets no padding from SAME, so the mode can be left out there.
function convAttributes(spec: ConvSpec, autoPad: AutoPad | undefined): Record<string, AttributeValue> {
  const shape = { dilations: spec.dilations, group: int(spec.groups), kernel_shape: spec.kernel, strides: spec.strides }
  const padded = [...spec.kernel, ...spec.strides].some((value) => value > 1)
  return autoPad !== undefined && padded ? { ...shape, auto_pad: autoPad } : { ...shape, pads: [...spec.padsBegin, ...spec.padsEnd] }
}
