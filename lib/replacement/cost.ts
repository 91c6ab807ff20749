import { type ConvSpec, outputExtent } from '../operators/conv-spec.js'
import { elementCount } from '../tensor.js'
import type { AutoPad, Layer } from './layer.js'
import type { Stage } from './factors-to-convs.js'

/** Weights and biases of a layer; multiply-adds for one example, unknown without the input's spatial extents. */
export interface Cost {
  readonly parameters: number
  readonly macs: number | undefined
}

/** Cost of the dense layer. `extents`: its input's spatial extents; `biases`: how many bias values it has. */
export function denseCost(layer: Layer, biases: number, extents: readonly number[] | undefined): Cost {
  const dims = [layer.outputs, layer.inputsPerGroup, ...layer.spec.kernel]
  return chainCost([{ spec: layer.spec, dims }], layer.autoPad, biases, extents)
}

/** Cost of the chain that replaces it, every stage counted on the maps it really sees. */
export function stagesCost(
  stages: readonly Stage[],
  autoPad: AutoPad | undefined,
  biases: number,
  extents: readonly number[] | undefined
): Cost {
  return chainCost(
    stages.map(({ spec, weight }) => ({ spec, dims: weight.dims })),
    autoPad,
    biases,
    extents
  )
}

interface Counted {
  readonly spec: ConvSpec
  readonly dims: readonly number[]
}

function chainCost(chain: readonly Counted[], autoPad: AutoPad | undefined, biases: number, extents: readonly number[] | undefined): Cost {
  let parameters = biases
  let macs = 0
  let maps = extents
  for (const { spec, dims } of chain) {
    parameters += elementCount(dims)
    maps = maps?.map((extent, axis) => extentAfter(spec, axis, extent, autoPad))
    macs += elementCount(dims) * elementCount(maps ?? [])
  }
  return { parameters, macs: maps === undefined ? undefined : macs }
}

function extentAfter(spec: ConvSpec, axis: number, input: number, autoPad: AutoPad | undefined): number {
  if (axis >= spec.kernel.length) return input // rows of a matrix product
  if (autoPad !== undefined) return Math.ceil(input / (spec.strides[axis] as number))
  return Math.max(0, outputExtent(spec, axis, input))
}
