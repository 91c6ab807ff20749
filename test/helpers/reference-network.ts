import { elementwise, runDense } from './reference-dense.js'
import { runRecurrent } from './reference-recurrent.js'
import type { PlanActivation, PlanConvolution, PlanMaxout, PlanSpec, PlanStep, PlanValue, PlanWindow } from '../../lib/runtime/plan-spec.js'

/** A value in float64, N×C×H×W row-major. */
export interface Map4 {
  readonly shape: PlanValue
  readonly data: Float64Array
}

const zeros = (shape: PlanValue): Map4 => ({ shape, data: new Float64Array(shape.n * shape.c * shape.h * shape.w) })
const index = (s: PlanValue, n: number, c: number, y: number, x: number): number => ((n * s.c + c) * s.h + y) * s.w + x

/**
 * Runs a plan in float64 with the plainest loops: what native results and gradients are compared with.
 * `parameters` replaces the plan's own, so that they can be perturbed.
 */
export function runReference(
  spec: PlanSpec,
  inputs: readonly ArrayLike<number>[],
  parameters: readonly ArrayLike<number>[]
): Float64Array[] {
  const values = runSteps(spec, spec.steps, givenValues(spec, inputs), parameters)
  return spec.outputs.map((i) => (values.get(i) as Map4).data)
}

/** The inputs of a plan by the values that they are. */
export function givenValues(spec: PlanSpec, inputs: readonly ArrayLike<number>[]): ReadonlyMap<number, Map4> {
  return new Map(
    spec.inputs.map((value, i) => [
      value,
      { shape: spec.values[value] as PlanValue, data: Float64Array.from(inputs[i] as ArrayLike<number>) }
    ])
  )
}

/** All values of a plan after some of its steps, from those that the steps read. */
export function runSteps(
  spec: PlanSpec,
  steps: readonly PlanStep[],
  given: ReadonlyMap<number, Map4>,
  parameters: readonly ArrayLike<number>[]
): Map<number, Map4> {
  const values = new Map(given)
  for (const step of steps) {
    const out = zeros(spec.values[step.output] as PlanValue)
    runStep(step, (i) => valueAt(spec, values, i, parameters), out, parameters)
    values.set(step.output, out)
  }
  return values
}

function valueAt(spec: PlanSpec, values: ReadonlyMap<number, Map4>, i: number, parameters: readonly ArrayLike<number>[]): Map4 {
  const shape = spec.values[i] as PlanValue
  if (shape.parameter === undefined) return values.get(i) as Map4
  return { shape, data: Float64Array.from(parameters[shape.parameter] as ArrayLike<number>) }
}

function runStep(step: PlanStep, value: (i: number) => Map4, out: Map4, parameters: readonly ArrayLike<number>[]): void {
  switch (step.op) {
    case 'convolution':
      return finish(step, convolve(value(step.input), step, parameters), value, out)
    case 'cp_block':
      return finish(
        step,
        step.stages.reduce((map, stage) => convolve(map, stage, parameters), value(step.input)),
        value,
        out
      )
    case 'activation':
      return void out.data.set(value(step.input).data.map((v) => activate(step.activation, v)))
    case 'maxout':
      return void out.data.set(maxout(value(step.input), step).data)
    case 'max_pool':
    case 'average_pool':
      return pool(value(step.input), step, step.op === 'max_pool', step.countIncludePad, out)
    case 'global_average_pool':
      return eachChannel(value(step.input), (n, c, plane) => {
        out.data[n * out.shape.c + c] = plane.reduce((a, b) => a + b, 0) / plane.length
      })
    case 'add':
    case 'multiply': {
      const [a, b] = step.inputs.map((i) => value(i).data) as [Float64Array, Float64Array]
      return void out.data.set(a.map((v, i) => (step.op === 'add' ? v + (b[i] as number) : v * (b[i] as number))))
    }
    case 'affine':
      return eachPixel(value(step.input), (n, c, y, x, v) => {
        out.data[index(out.shape, n, c, y, x)] = v * at(parameters, step.scale, c) + at(parameters, step.shift, c)
      })
    case 'softmax':
    case 'log_softmax':
      return softmax(value(step.input), step.op === 'log_softmax', out)
    case 'flatten':
      return void out.data.set(value(step.input).data)
    case 'concat': {
      let first = 0
      for (const i of step.inputs) {
        const map = value(i)
        const from = first
        eachPixel(map, (n, c, y, x, v) => {
          out.data[index(out.shape, n, from + c, y, x)] = v
        })
        first += map.shape.c
      }
      return
    }
    case 'lrn':
      return eachPixel(value(step.input), (n, c, y, x, v) => {
        const map = value(step.input)
        let sum = 0
        for (
          let k = Math.max(0, c - Math.floor((step.size - 1) / 2));
          k <= Math.min(map.shape.c - 1, c + Math.ceil((step.size - 1) / 2));
          k++
        )
          sum += (map.data[index(map.shape, n, k, y, x)] as number) ** 2
        out.data[index(out.shape, n, c, y, x)] = v / (step.bias + (step.alpha / step.size) * sum) ** step.beta
      })
    case 'batch_norm':
      return eachPixel(value(step.input), (n, c, y, x, v) => {
        const factor = at(parameters, step.scale, c) / Math.sqrt(at(parameters, step.variance, c) + step.epsilon)
        const i = index(out.shape, n, c, y, x)
        const residual = step.residual === undefined ? 0 : (value(step.residual).data[i] as number)
        const result = (v - at(parameters, step.mean, c)) * factor + at(parameters, step.bias, c) + residual
        out.data[i] = activate(step.activation ?? { kind: 'none' }, result)
      })
    case 'conv_transpose':
      return transposeConvolve(value(step.input), step, parameters, out)
    case 'resample':
      return eachPixel(out, (n, c, y, x) => {
        const map = value(step.input)
        const [rows, columns] = step.sizes
        let sum = 0
        for (let r = y * rows; r < (y + 1) * rows; r++)
          for (let k = x * columns; k < (x + 1) * columns; k++) {
            const weight = (step.numbers[r] as number) * (step.numbers[step.tables[0].length + k] as number)
            sum += weight * (map.data[index(map.shape, n, c, step.tables[0][r] as number, step.tables[1][k] as number)] as number)
          }
        out.data[index(out.shape, n, c, y, x)] = sum
      })
    case 'channels':
      return eachPixel(out, (n, c, y, x) => {
        const map = value(step.input)
        out.data[index(out.shape, n, c, y, x)] = map.data[index(map.shape, n, step.tables[0][c] as number, y, x)] as number
      })
    case 'to_dense':
    case 'to_blocked':
      return void out.data.set(value(step.input).data)
    case 'convert':
    case 'dropout':
      throw new Error(`no reference of ${step.op}`)
    case 'elementwise':
      if (step.dims === undefined)
        return eachPixel(out, (n, c, y, x) => {
          const own = step.inputs.map((i) => {
            const { shape, data } = value(i)
            const within = (at: number, size: number): number => (size === 1 ? 0 : at)
            return data[index(shape, within(n, shape.n), c, within(y, shape.h), within(x, shape.w))] as number
          })
          out.data[index(out.shape, n, c, y, x)] = elementwise(step.function, step.numbers, own)
        })
      return runDense(step, (i) => value(i).data, out.data)
    case 'recurrent':
      return runRecurrent(
        step,
        step.inputs.map((i) => value(i).data),
        out.data,
        activate
      )
    default:
      return runDense(step, (i) => value(i).data, out.data)
  }
}

/** Each input, times a window of weights, is added to the output. */
function transposeConvolve(map: Map4, step: PlanConvolution, parameters: readonly ArrayLike<number>[], out: Map4): void {
  const [kh, kw] = step.kernel
  const [perIn, perOut] = [map.shape.c / step.groups, out.shape.c / step.groups]
  if (step.bias >= 0) eachPixel(out, (n, c, y, x) => (out.data[index(out.shape, n, c, y, x)] = at(parameters, step.bias, c)))
  eachPixel(map, (n, c, y, x, v) => {
    const first = Math.floor(c / perIn) * perOut
    for (let k = 0; k < perOut; k++)
      for (let a = 0; a < kh; a++)
        for (let b = 0; b < kw; b++) {
          const row = y * step.strides[0] - step.pads[0] + a * step.dilations[0]
          const column = x * step.strides[1] - step.pads[1] + b * step.dilations[1]
          if (row < 0 || row >= out.shape.h || column < 0 || column >= out.shape.w) continue
          const i = index(out.shape, n, first + k, row, column)
          out.data[i] = (out.data[i] as number) + v * at(parameters, step.weight, ((c * perOut + k) * kh + a) * kw + b)
        }
  })
}

const at = (parameters: readonly ArrayLike<number>[], parameter: number, i: number): number =>
  (parameters[parameter] as ArrayLike<number>)[i] as number

function finish(
  step: { maxout?: PlanMaxout; activation?: PlanActivation; residual?: number },
  map: Map4,
  value: (i: number) => Map4,
  out: Map4
): void {
  const pooled = step.maxout ? maxout(map, step.maxout) : map
  const residual = step.residual === undefined ? undefined : value(step.residual).data
  pooled.data.forEach((v, i) => {
    out.data[i] = activate(step.activation ?? { kind: 'none' }, v + (residual ? (residual[i] as number) : 0))
  })
}

function activate(activation: PlanActivation, v: number): number {
  const { kind, alpha = 0, beta = 0 } = activation
  switch (kind) {
    case 'none':
      return v
    case 'relu':
      return Math.max(v, 0)
    case 'leaky_relu':
      return v < 0 ? alpha * v : v
    case 'clip':
      return Math.min(Math.max(v, alpha), beta)
    case 'sigmoid':
      return 1 / (1 + Math.exp(-v))
    case 'tanh':
      return Math.tanh(v)
    case 'hard_sigmoid':
      return Math.min(1, Math.max(0, alpha * v + beta))
    case 'hard_swish':
      return alpha * v * Math.min(1, Math.max(0, v / 6 + 0.5))
    case 'elu':
      return v < 0 ? alpha * Math.expm1(v) : v
    case 'selu':
      return beta * (v < 0 ? alpha * Math.expm1(v) : v)
    case 'softplus':
      return Math.log1p(Math.exp(v))
    case 'swish':
      return v / (1 + Math.exp(-alpha * v))
    case 'gelu':
      return 0.5 * v * (1 + elementwise('erf', undefined, [v / Math.SQRT2]))
    case 'gelu_tanh':
      return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))
    case 'mish':
      return v * Math.tanh(Math.log1p(Math.exp(v)))
    case 'softsign':
      return v / (1 + Math.abs(v))
    case 'thresholded_relu':
      return v > alpha ? v : 0
    case 'affine':
      return alpha * v + beta
    case 'scaled_tanh':
      return alpha * Math.tanh(beta * v)
    default:
      throw new Error(`no reference of ${kind}`)
  }
}

function extents(w: PlanWindow, h: number, width: number): [number, number] {
  const extent = (axis: 0 | 1, size: number): number =>
    Math.floor((size + w.pads[axis] + w.pads[(axis + 2) as 2 | 3] - w.dilations[axis] * (w.kernel[axis] - 1) - 1) / w.strides[axis]) + 1
  return [extent(0, h), extent(1, width)]
}

/** Sums in the order of channels, then taps, as the plain loops of reference-conv.ts do: the same bits, several times faster. */
export function convolve(map: Map4, conv: PlanConvolution, parameters: readonly ArrayLike<number>[]): Map4 {
  const { shape } = map
  const [kh, kw] = conv.kernel
  const perGroup = shape.c / conv.groups
  const weights = parameters[conv.weight] as ArrayLike<number>
  const channels = weights.length / (perGroup * kh * kw)
  const [h, w] = extents(conv, shape.h, shape.w)
  const out = zeros({ n: shape.n, c: channels, h, w })
  for (let n = 0; n < shape.n; n++) {
    for (let k = 0; k < channels; k++) {
      const group = Math.floor(k / (channels / conv.groups))
      const plane = out.data.subarray((n * channels + k) * h * w, (n * channels + k + 1) * h * w)
      if (conv.bias >= 0) plane.fill(at(parameters, conv.bias, k))
      for (let c = 0; c < perGroup; c++) {
        const first = index(shape, n, group * perGroup + c, 0, 0)
        for (let a = 0; a < kh; a++)
          for (let b = 0; b < kw; b++)
            addTap(plane, [h, w], map, first, conv, [a, b], weights[((k * perGroup + c) * kh + a) * kw + b] as number)
      }
    }
  }
  return out
}

/** Adds a plane of `map` (its first element at `first`), as tap [a, b] of the window sees it, times `weight` to a plane of results. */
function addTap(
  plane: Float64Array,
  [h, w]: readonly [number, number],
  { data, shape }: Map4,
  first: number,
  { strides, pads, dilations }: PlanWindow,
  [a, b]: readonly [number, number],
  weight: number
): void {
  const stride = strides[1]
  const column = b * dilations[1] - pads[1] // of the leftmost result
  const from = Math.max(0, Math.ceil(-column / stride))
  const to = Math.min(w, Math.ceil((shape.w - column) / stride))
  for (let y = 0; y < h; y++) {
    const row = y * strides[0] - pads[0] + a * dilations[0]
    if (row < 0 || row >= shape.h) continue
    const source = first + row * shape.w + column
    const target = y * w
    for (let x = from; x < to; x++) plane[target + x] = (plane[target + x] as number) + (data[source + x * stride] as number) * weight
  }
}

function maxout(map: Map4, { pieces, order }: PlanMaxout): Map4 {
  const channels = map.shape.c / pieces
  const out = zeros({ ...map.shape, c: channels })
  out.data.fill(-Infinity)
  eachPixel(map, (n, c, y, x, v) => {
    const at = index(out.shape, n, order === 'adjacent' ? Math.floor(c / pieces) : c % channels, y, x)
    out.data[at] = Math.max(out.data[at] as number, v)
  })
  return out
}

function pool(map: Map4, window: PlanWindow, maximum: boolean, includePad: boolean, out: Map4): void {
  const { h, w } = map.shape
  eachPixel(out, (n, c, y, x) => {
    const seen: number[] = []
    let count = 0
    for (let a = 0; a < window.kernel[0]; a++) {
      for (let b = 0; b < window.kernel[1]; b++) {
        const iy = y * window.strides[0] - window.pads[0] + a * window.dilations[0]
        const ix = x * window.strides[1] - window.pads[1] + b * window.dilations[1]
        const inside = iy >= 0 && iy < h && ix >= 0 && ix < w
        if (inside) seen.push(map.data[index(map.shape, n, c, iy, ix)] as number)
        if (inside || (includePad && iy < h + window.pads[2] && ix < w + window.pads[3])) count++
      }
    }
    out.data[index(out.shape, n, c, y, x)] = maximum ? Math.max(...seen) : seen.reduce((s, v) => s + v, 0) / count
  })
}

function softmax(map: Map4, logarithm: boolean, out: Map4): void {
  const { n: images, c: channels, h, w } = map.shape
  for (let n = 0; n < images; n++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const logits = Array.from({ length: channels }, (_, c) => map.data[index(map.shape, n, c, y, x)] as number)
        const largest = Math.max(...logits)
        const total = logits.reduce((sum, v) => sum + Math.exp(v - largest), 0)
        logits.forEach((v, c) => {
          out.data[index(out.shape, n, c, y, x)] = logarithm ? v - largest - Math.log(total) : Math.exp(v - largest) / total
        })
      }
    }
  }
}

function eachPixel(map: Map4, f: (n: number, c: number, y: number, x: number, value: number) => void): void {
  const { n: images, c: channels, h, w } = map.shape
  let i = 0
  for (let n = 0; n < images; n++)
    for (let c = 0; c < channels; c++) for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) f(n, c, y, x, map.data[i++] as number)
}

function eachChannel(map: Map4, f: (n: number, c: number, plane: Float64Array) => void): void {
  const area = map.shape.h * map.shape.w
  for (let n = 0; n < map.shape.n; n++)
    for (let c = 0; c < map.shape.c; c++) f(n, c, map.data.subarray((n * map.shape.c + c) * area, (n * map.shape.c + c + 1) * area))
}
