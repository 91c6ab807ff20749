import { PolyadicError, show } from '../errors.js'
import type { Layer } from './layer.js'

/** What one mode of a kernel's tensor stands for: output channels, input channels, or a spatial axis by number. */
export type KernelMode = 'output' | 'input' | number

/**
 * Which kind of chain a kernel becomes. `cp4`: reduce, two spatial axes, expand. `first-layer`: one input channel a
 * group, so no reduce. `one-axis`: a single spatial axis wider than 1. `pointwise`: none. `cp5`: three spatial axes.
 * `matrix`: a matrix product, which becomes two.
 */
export type ReplacementForm = 'cp4' | 'cp5' | 'first-layer' | 'one-axis' | 'pointwise' | 'matrix'

/** How a kernel is seen as one tensor a group; modes of extent 1 that need no layer of their own are left out. */
export interface KernelShape {
  readonly modes: readonly KernelMode[]
  /** The extent of every mode; the first is Cout/groups. */
  readonly dims: readonly number[]
  readonly form: ReplacementForm
}

export interface KernelTensor extends KernelShape {
  /** Row-major tensors, one a group. */
  readonly groups: readonly Float64Array[]
}

/** The modes of a layer's kernel. Throws POLYADIC_UNSUPPORTED when fewer than two are left. */
export function kernelShape({ node, kind, spec, outputs, inputsPerGroup }: Omit<Layer, 'weight'>): KernelShape {
  const spatial = spec.kernel.flatMap((extent, axis) => (extent > 1 ? [axis] : []))
  const modes: KernelMode[] = ['output', ...(inputsPerGroup > 1 ? (['input'] as const) : []), ...spatial]
  const dims = modes.map((mode) =>
    mode === 'output' ? outputs / spec.groups : mode === 'input' ? inputsPerGroup : (spec.kernel[mode] as number)
  )
  if (modes.length >= 2) return { modes, dims, form: kind === 'matrix' ? 'matrix' : formOf(inputsPerGroup, spatial.length) }
  const shape = [outputs, inputsPerGroup, ...spec.kernel]
  throw new PolyadicError(
    'POLYADIC_UNSUPPORTED',
    `layer ${show(node.name)}: a kernel of shape ${show(shape)} is a vector, there is nothing to decompose`,
    { subject: node.name }
  )
}

/**
 * The tensors of a layer's kernel, in float64. ONNX keeps a group's filters together and row-major, so a group is a slice and
 * dropping a mode of extent 1 moves nothing. Errors as of `kernelShape`.
 */
export function kernelTensor(layer: Layer): KernelTensor {
  const shape = kernelShape(layer)
  const size = layer.weight.length / layer.spec.groups
  const groups = Array.from({ length: layer.spec.groups }, (_, g) => Float64Array.from(layer.weight.subarray(g * size, (g + 1) * size)))
  return { ...shape, groups }
}

function formOf(inputsPerGroup: number, spatial: number): ReplacementForm {
  if (spatial === 0) return 'pointwise'
  if (inputsPerGroup === 1) return 'first-layer'
  if (spatial === 1) return 'one-axis'
  return spatial === 2 ? 'cp4' : 'cp5'
}
