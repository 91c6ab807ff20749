import type { ConvSpec } from '../operators/conv-spec.js'
import { pointwise } from '../operators/conv-spec.js'
import { type FloatTensor, floatTensor } from '../tensor.js'
import { type Factors, balance } from './balance.js'
import type { KernelMode, KernelShape } from './kernel-tensor.js'

/** One of the small convolutions that take a layer's place. */
export interface Stage {
  /** `reduce`, `vertical`, `horizontal`, `expand` (`depth` for a third spatial axis): the end of the new node's name. */
  readonly role: string
  readonly spec: ConvSpec
  /** Cout × Cin/groups × kernel. */
  readonly weight: FloatTensor
}

/** What has to be known of a convolution to rebuild it from factors. */
export interface ConvShape {
  readonly spec: ConvSpec
  readonly outputs: number
  readonly inputsPerGroup: number
}

/**
 * The chain of convolutions that computes exactly what the original would with the kernel its factors stand for.
 * `factors[g]` are group g's, in the order of `modes`, each I_n×rank row-major; component weights are spread evenly.
 *
 * Convolutions along different axes commute, so every axis' stride, dilation and pads go with the layer of that axis;
 * an axis that is only 1 wide has no layer, its stride and pads go to the first one (no stage but the last has a bias,
 * hence zeros stay zeros).
 */
export function factorsToConvs(shape: ConvShape, modes: readonly KernelMode[], factors: readonly Factors[], rank: number): Stage[] {
  const { spec } = shape
  const channels = rank * spec.groups
  const balanced = factors.map((group) => balance(group, rank))
  const rows = (mode: KernelMode): Float64Array[] => balanced.map((group) => group[modes.indexOf(mode)] as Float64Array)
  const spatial = modes.filter((mode) => typeof mode === 'number')
  const flat = spec.kernel.flatMap((extent, axis) => (extent === 1 ? [axis] : []))
  const ones = spec.kernel.map(() => 1)
  const stages: Stage[] = []
  if (modes.includes('input')) {
    const weight = floatTensor(transposed(rows('input'), rank), [channels, shape.inputsPerGroup, ...ones])
    stages.push({ role: 'reduce', spec: alongAxes(spec, flat, spec.groups), weight })
  }
  for (const axis of spatial) {
    const first = stages.length === 0
    const weight = floatTensor(transposed(rows(axis), rank), [
      channels,
      1,
      ...ones.map((one, i) => (i === axis ? (spec.kernel[i] as number) : one))
    ])
    stages.push({
      role: axisName(axis, spec.kernel.length),
      spec: alongAxes(spec, first ? [...flat, axis] : [axis], first ? spec.groups : channels),
      weight
    })
  }
  const expand = floatTensor(Float32Array.from(concatenated(rows('output'))), [shape.outputs, rank, ...ones])
  stages.push({ role: 'expand', spec: pointwise(ones.length, spec.groups), weight: expand })
  return stages
}

/** A chain of this rank, of whatever weights: for its shapes and its speed. */
export function someStages(shape: ConvShape, { modes, dims }: KernelShape, rank: number): Stage[] {
  const factors = Array.from({ length: shape.spec.groups }, () => dims.map((dim) => new Float64Array(dim * rank).fill(1)))
  return factorsToConvs(shape, modes, factors, rank)
}

/** The geometry of some spatial axes; the others are 1 wide, with unit stride and no pads. */
function alongAxes(spec: ConvSpec, axes: readonly number[], groups: number): ConvSpec {
  const only = (values: readonly number[], otherwise: number): number[] =>
    values.map((value, axis) => (axes.includes(axis) ? value : otherwise))
  return {
    kernel: only(spec.kernel, 1),
    strides: only(spec.strides, 1),
    dilations: only(spec.dilations, 1),
    padsBegin: only(spec.padsBegin, 0),
    padsEnd: only(spec.padsEnd, 0),
    groups
  }
}

function axisName(axis: number, axes: number): string {
  return ['depth', 'vertical', 'horizontal'].slice(-axes)[axis] ?? `axis${axis}`
}

// Factors I×R of every group, as (R·groups)×I: component r of group g is channel g·R + r.
function transposed(groups: readonly Float64Array[], rank: number): Float32Array {
  const rows = (groups[0] as Float64Array).length / rank
  const result = new Float32Array(groups.length * rank * rows)
  groups.forEach((factor, g) => {
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < rows; i++) result[(g * rank + r) * rows + i] = factor[i * rank + r] as number
    }
  })
  return result
}

function concatenated(groups: readonly Float64Array[]): Float64Array {
  const size = (groups[0] as Float64Array).length
  const result = new Float64Array(groups.length * size)
  groups.forEach((factor, g) => result.set(factor, g * size))
  return result
}
