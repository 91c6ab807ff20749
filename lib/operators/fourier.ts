import { intAttribute } from '../graph/rewrite.js'
import { floatTensor, fromFloat32, type Tensor } from '../tensor.js'
import { dataType } from './casting.js'
import { apply, type Dense, matmul, pad, refOf, reshape, transpose } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  axisOf,
  checkedCount,
  integersInput,
  maximumFolded,
  newestOpset,
  nodeError,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'

/*
 * Spectra, as networks of sound begin with: products with a matrix of cosines and sines, since their frames are short.
 */

/** Of the matrix: longer transforms would need a fast algorithm. */
const maximumElements = 2 ** 26

interface Transform {
  /** Samples; of an input of the inverse of one side, which has the frequencies 0 to length/2, those that come out. */
  readonly length: number
  /** Frequencies that are computed. */
  readonly bins: number
  /** Parts of an input: 1 real, 2 complex. */
  readonly parts: number
  readonly inverse: boolean
}

/** length·parts × bins·2: an output's real and imaginary parts lie beside each other, as an input's do. */
function matrix(context: NodeContext, { length, bins, parts, inverse }: Transform): Tensor {
  const data = zeros(context, length * parts, bins * 2)
  const scale = inverse ? 1 / length : 1
  for (let i = 0; i < length; i++)
    for (let bin = 0; bin < bins; bin++) {
      const [cosine, sine] = turn(inverse ? i * bin : -i * bin, length, scale)
      const at = (part: number): number => ((i * parts + part) * bins + bin) * 2
      data.set([cosine, sine], at(0))
      if (parts === 2) data.set([-sine, cosine], at(1))
    }
  return floatTensor(data, [length * parts, bins * 2])
}

/** bins·2 × length: real samples of frequencies 0 to length/2, of which all but the first and an even length's last stand for two. */
function halfInverse(context: NodeContext, length: number): Tensor {
  const bins = Math.floor(length / 2) + 1
  const data = zeros(context, bins * 2, length)
  for (let bin = 0; bin < bins; bin++)
    for (let i = 0; i < length; i++) {
      const [cosine, sine] = turn(i * bin, length, (bin === 0 || 2 * bin === length ? 1 : 2) / length)
      data[2 * bin * length + i] = cosine
      data[(2 * bin + 1) * length + i] = -sine
    }
  return floatTensor(data, [bins * 2, length])
}

function zeros(context: NodeContext, rows: number, columns: number): Float32Array {
  if (rows * columns <= maximumElements) return new Float32Array(rows * columns)
  throw unsupported(context, `a transform by a matrix of ${rows}×${columns}`, 'a shorter one is needed')
}

/** Cosine and sine of 2π·i/n; reduced first, as large angles would lose digits. */
function turn(i: number, n: number, scale: number): [cosine: number, sine: number] {
  const angle = (2 * Math.PI * (i % n)) / n
  return [scale * Math.cos(angle), scale * Math.sin(angle)]
}

/** …×length·parts → …×bins×2 */
function transformed(context: NodeContext, plan: PlanWriter, x: Dense, transform: Transform): Dense {
  const product = matmul(plan, x, plan.constant(matrix(context, transform)))
  return reshape(plan, product, [...x.dims.slice(0, -1), transform.bins, 2])
}

function binsOf(context: NodeContext, length: number, fallback: number): number {
  return intAttribute(context.node, 'onesided', fallback) !== 0 ? Math.floor(length / 2) + 1 : length
}

interface Dft {
  readonly axis: number
  readonly transform: Transform
  /** Frequencies 0 to length/2 become real samples. */
  readonly isHalfInverse: boolean
  /** Elements of the axis that the transform takes: it is cut, or filled with zeros. */
  readonly taken: number
}

/** The axis is an attribute before opset 20 and input 2 since; input 1 is the length. */
function dftOf(context: NodeContext): Dft {
  const { dims } = requiredInput(context, 0)
  const parts = dims.at(-1) as number
  if (dims.length < 2 || (parts !== 1 && parts !== 2)) throw shapeError(context, `expected …×1 or …×2, got [${dims}]`)
  const given = context.opset < 20 ? intAttribute(context.node, 'axis', 1) : (integersInput(context, 2, 'axis')?.[0] ?? -2)
  const axis = axisOf(context, given, dims.length)
  if (axis === dims.length - 1) throw nodeError(context, 'axis: the last one holds real and imaginary parts')
  const inverse = intAttribute(context.node, 'inverse', 0) !== 0
  const isHalfInverse = inverse && intAttribute(context.node, 'onesided', 0) !== 0
  if (isHalfInverse && parts !== 2) throw shapeError(context, `expected complex frequencies, got [${dims}]`)
  const size = dims[axis] as number
  const length = integersInput(context, 1, 'length')?.[0] ?? (isHalfInverse ? 2 * (size - 1) : size)
  if (length < 1) throw nodeError(context, `a length of ${length}`)
  const bins = isHalfInverse ? length : binsOf(context, length, 0)
  return { axis, isHalfInverse, taken: isHalfInverse ? Math.floor(length / 2) + 1 : length, transform: { length, bins, parts, inverse } }
}

const dft: Operator = {
  opType: 'DFT',
  opsets: [17, newestOpset],
  constants: [1, 2],
  dims(context) {
    const { axis, transform, isHalfInverse } = dftOf(context)
    const { dims } = requiredInput(context, 0)
    return [dims.with(axis, transform.bins).with(-1, isHalfInverse ? 1 : 2)]
  },
  lower(context, plan) {
    const { axis, transform, isHalfInverse, taken } = dftOf(context)
    const x = plan.dense(0)
    const last = x.dims.length - 1
    const missing = x.dims.map((dim, other) => (other === axis ? taken - dim : 0))
    const none = x.dims.map(() => 0)
    const filled = missing[axis] === 0 ? x : pad(plan, x, none, missing, 0)
    const others = x.dims.map((_, other) => other).filter((other) => other !== axis && other !== last)
    const moved = transpose(filled, [...others, axis, last])
    const rows = reshape(plan, moved, [...moved.dims.slice(0, -2), taken * transform.parts])
    const result = isHalfInverse
      ? reshape(plan, matmul(plan, rows, plan.constant(halfInverse(context, transform.length))), [
          ...moved.dims.slice(0, -2),
          transform.length,
          1
        ])
      : transformed(context, plan, rows, transform)
    const back = x.dims.map((_, other) => (other === axis ? last - 1 : other === last ? last : others.indexOf(other)))
    return [refOf(transpose(result, back))]
  }
}

interface Frames {
  readonly count: number
  readonly step: number
  readonly transform: Transform
}

/** Frame length: input 3, or that of the window (input 2). */
function framesOf(context: NodeContext): Frames {
  const { dims } = requiredInput(context, 0)
  const [, samples = 0, parts = 1] = dims
  if (dims.length < 2 || dims.length > 3 || parts > 2) throw shapeError(context, `expected batch×samples, with 1 or 2 parts, got [${dims}]`)
  const step = integersInput(context, 1, 'frame step')?.[0] ?? 0
  const length = integersInput(context, 3, 'frame length')?.[0] ?? context.inputs[2]?.dims[0] ?? 0
  if (step < 1 || length < 1 || length > samples) throw nodeError(context, `frames of ${length}, every ${step}, of ${samples} samples`)
  const count = Math.floor((samples - length) / step) + 1
  return { count, step, transform: { length, bins: binsOf(context, length, 1), parts, inverse: false } }
}

const stft: Operator = {
  opType: 'STFT',
  opsets: [17, newestOpset],
  constants: [1, 3],
  dims(context) {
    const { count, transform } = framesOf(context)
    return [[requiredInput(context, 0).dims[0] as number, count, transform.bins, 2]]
  },
  lower(context, plan) {
    const { count, step, transform } = framesOf(context)
    const { length, parts } = transform
    const signal = plan.contiguous(plan.dense(0))
    const [batch = 1, samples = 1] = signal.dims
    const strides = [samples * parts, step * parts, parts, 1]
    const frames: Dense = { ...signal, dims: [batch, count, length, parts], strides }
    const window = context.inputs[2] === undefined ? undefined : reshape(plan, plan.dense(2), [length, 1])
    const weighted = window === undefined ? frames : apply(plan, 'multiply', [frames, window])
    return [refOf(transformed(context, plan, reshape(plan, weighted, [batch, count, length * parts]), transform))]
  }
}

/** Σ (−1)^k·a_k·cos(2πki/n): over a period of `size`, or symmetric over `size` points. */
function windowing(opType: string, coefficients: readonly number[]): Operator {
  const values = (context: NodeContext): Tensor => {
    const size = checkedCount(context, [integersInput(context, 0, 'size')?.[0] ?? 0], maximumFolded)
    const period = intAttribute(context.node, 'periodic', 1) !== 0 ? size : size - 1
    const at = (i: number): number =>
      coefficients.reduce((sum, a, k) => sum + (k % 2 === 0 ? a : -a) * Math.cos((2 * Math.PI * k * i) / period), 0)
    return fromFloat32(
      Float32Array.from({ length: size }, (_, i) => at(i)),
      [size],
      dataType(context, intAttribute(context.node, 'output_datatype', 1))
    )
  }
  return {
    opType,
    opsets: [17, newestOpset],
    gradient: 'zero',
    constants: [0],
    dims: (context) => [values(context).dims],
    fold: (context) => (context.inputs[0]?.constant === undefined ? undefined : [values(context)]),
    lower: (context) => {
      throw unsupported(context, 'a size that is computed', 'it must be known when a plan is made')
    }
  }
}

export const spectra: readonly Operator[] = [
  dft,
  stft,
  windowing('HannWindow', [0.5, 0.5]),
  windowing('HammingWindow', [25 / 46, 21 / 46]),
  windowing('BlackmanWindow', [0.42, 0.5, 0.08])
]
