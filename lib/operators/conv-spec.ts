/**
 * The geometry of a convolution or pooling window: the one home of kernel, strides, pads, dilations and groups.
 * Every array has one entry a spatial axis, in ONNX order (H, W for images).
 */
export interface ConvSpec {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly padsBegin: readonly number[]
  readonly padsEnd: readonly number[]
  readonly dilations: readonly number[]
  readonly groups: number
}

/** Output extent along one axis, rounded down (or up with `ceil`, as pooling's ceil_mode asks). */
export function outputExtent(spec: ConvSpec, axis: number, input: number, ceil = false): number {
  const at = (values: readonly number[]): number => values[axis] as number
  const window = at(spec.dilations) * (at(spec.kernel) - 1) + 1
  const padded = input + at(spec.padsBegin) + at(spec.padsEnd)
  const steps = (padded - window) / at(spec.strides)
  return (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1
}

/** The geometry of one spatial axis alone; the other axes become 1-wide, unit stride, unpadded. */
export function alongAxis(spec: ConvSpec, axis: number, groups: number): ConvSpec {
  const only = (values: readonly number[], otherwise: number): number[] => values.map((value, i) => (i === axis ? value : otherwise))
  return {
    kernel: only(spec.kernel, 1),
    strides: only(spec.strides, 1),
    padsBegin: only(spec.padsBegin, 0),
    padsEnd: only(spec.padsEnd, 0),
    dilations: only(spec.dilations, 1),
    groups
  }
}

/** A 1×…×1 window over `axes` spatial axes: what reduce and expand layers are. */
export function pointwise(axes: number, groups: number): ConvSpec {
  const fill = (value: number): number[] => new Array<number>(axes).fill(value)
  return { kernel: fill(1), strides: fill(1), padsBegin: fill(0), padsEnd: fill(0), dilations: fill(1), groups }
}
