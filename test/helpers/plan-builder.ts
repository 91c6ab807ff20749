import { mulberry32 } from '../../lib/random.js'
import type {
  PlanActivation,
  PlanConvolution,
  PlanMaxout,
  PlanParameter,
  PlanSpec,
  PlanStep,
  PlanValue,
  PlanWindow
} from '../../lib/runtime/plan-spec.js'

/** A small seeded generator: the same numbers on every machine. */
export function generator(seed: number): {
  next(): number
  integer(low: number, high: number): number
  normal(length: number, scale?: number): Float32Array
} {
  const bits = mulberry32(seed)
  const next = (): number => bits() / 4294967296
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return {
    next,
    integer: (low, high) => low + Math.floor(next() * (high - low + 1)),
    normal: (length, scale = 1) => Float32Array.from({ length }, () => gauss() * scale)
  }
}

export type Random = ReturnType<typeof generator>

export const unitWindow: PlanWindow = { kernel: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1] }

/** Builds PlanSpecs by hand: each method appends a step and returns the index of its output value. */
export class PlanBuilder {
  readonly values: PlanValue[] = []
  readonly parameters: PlanParameter[] = []
  readonly steps: PlanStep[] = []
  readonly inputs: number[] = []
  readonly random: Random

  constructor(
    random: Random,
    readonly training = false
  ) {
    this.random = random
  }

  input(n: number, c: number, h: number, w: number): number {
    const index = this.value({ n, c, h, w })
    this.inputs.push(index)
    return index
  }

  value(shape: PlanValue): number {
    return this.values.push(shape) - 1
  }

  shape(value: number): PlanValue {
    return this.values[value] as PlanValue
  }

  parameter(length: number, scale: number, offset = 0): number {
    return this.parameters.push({ data: this.random.normal(length, scale).map((v) => v + offset), trainable: this.training }) - 1
  }

  /** The weights of a convolution with `channels` outputs over `cin` inputs, scaled so that activations keep their size. */
  conv(cin: number, channels: number, window: Partial<PlanWindow> & { groups?: number; bias?: boolean } = {}): PlanConvolution {
    const { groups = 1, bias = true, ...geometry } = window
    const merged = { ...unitWindow, ...geometry }
    const fanIn = (cin / groups) * merged.kernel[0] * merged.kernel[1]
    const weight = this.parameter(channels * fanIn, 1 / Math.sqrt(fanIn))
    return { ...merged, groups, weight, bias: bias ? this.parameter(channels, 0.5) : -1 }
  }

  windowed(input: number, window: PlanWindow, channels: number): PlanValue {
    const { n, h, w } = this.shape(input)
    const extent = (axis: 0 | 1, size: number): number =>
      Math.floor(
        (size + window.pads[axis] + window.pads[(axis + 2) as 2 | 3] - window.dilations[axis] * (window.kernel[axis] - 1) - 1) /
          window.strides[axis]
      ) + 1
    return { n, c: channels, h: extent(0, h), w: extent(1, w) }
  }

  /** With ONNX's ceil_mode: windows as well that begin in the image and end beyond its padding. */
  windowedUp(input: number, window: PlanWindow, channels: number): PlanValue {
    const { h, w, ...rest } = this.windowed(input, window, channels)
    const extent = (axis: 0 | 1, count: number, size: number): number => {
      const begin = count * window.strides[axis] - window.pads[axis]
      return begin >= 0 && begin < size ? count + 1 : count
    }
    const image = this.shape(input)
    return { ...rest, h: extent(0, h, image.h), w: extent(1, w, image.w) }
  }

  convolution(
    input: number,
    channels: number,
    window: Parameters<PlanBuilder['conv']>[2] = {},
    rest: { maxout?: PlanMaxout; activation?: PlanActivation; residual?: number } = {}
  ): number {
    const conv = this.conv(this.shape(input).c, channels, window)
    const output = this.value(this.windowed(input, conv, channels / (rest.maxout?.pieces ?? 1)))
    this.steps.push({ op: 'convolution', input, output, ...conv, ...rest })
    return output
  }

  block(
    input: number,
    stages: readonly PlanConvolution[],
    channels: number,
    rest: { maxout?: PlanMaxout; activation?: PlanActivation; residual?: number } = {}
  ): number {
    const last = stages.reduce((shape, stage) => {
      const value = this.value(shape)
      const next = this.windowed(value, stage, channels)
      this.values.pop()
      return next
    }, this.shape(input))
    const output = this.value({ ...last, c: channels / (rest.maxout?.pieces ?? 1) })
    this.steps.push({ op: 'cp_block', input, output, stages, ...rest })
    return output
  }

  /** A step whose output has the input's shape, or the given one. */
  step(step: PlanStep extends infer S ? (S extends { output: number } ? Omit<S, 'output'> : never) : never, shape?: PlanValue): number {
    const first = 'input' in step ? step.input : (step as { inputs: readonly number[] }).inputs[0]
    const output = this.value(shape ?? this.shape(first as number))
    this.steps.push({ ...step, output } as PlanStep)
    return output
  }

  spec(output: number, threads = 1): PlanSpec {
    const { values, parameters, steps, inputs } = this
    return { threads, training: this.training, values, parameters, steps, inputs, outputs: [output] }
  }

  inputData(): Float32Array[] {
    return this.inputs.map((i) => {
      const { n, c, h, w } = this.shape(i)
      return this.random.normal(n * c * h * w)
    })
  }
}
