import { PolyadicError } from '../../lib/errors.js'
import type { Graph } from '../../lib/graph/graph.js'
import { inferShapes } from '../../lib/operators/infer.js'
import { elementCount } from '../../lib/tensor.js'
import { int, NetworkBuilder } from './network-builder.js'

/*
 * Random networks: chains and joins of operators over values of any rank, so that blocks, dense values and views of both meet in every way.
 * Only operators that are continuous, or choose nothing between equals: the result is compared with another runtime's.
 */

type Dims = readonly number[]

interface Value {
  readonly name: string
  readonly dims: Dims
}

/** What a move has to work with: the value that it continues, and all that there are. */
class Walk {
  readonly #random
  constructor(
    readonly b: NetworkBuilder,
    readonly values: readonly Value[],
    readonly at: Value
  ) {
    this.#random = b.random
  }
  get rank(): number {
    return this.at.dims.length
  }
  get spatial(): Dims {
    return this.at.dims.slice(2)
  }
  int(low: number, high: number): number {
    return this.#random.integer(low, high)
  }
  chance(probability: number): boolean {
    return this.#random.next() < probability
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T
  }
  axis(): number {
    return this.int(0, this.rank - 1)
  }
  dim(axis: number): number {
    return this.at.dims[axis] as number
  }
}

/** The name of a new value; `undefined`: the move does not fit here. */
type Move = (walk: Walk) => string | undefined

const smooth = [
  'Relu',
  'Sigmoid',
  'Tanh',
  'LeakyRelu',
  'Elu',
  'Selu',
  'HardSigmoid',
  'Softplus',
  'Softsign',
  'Erf',
  'Neg',
  'Abs',
  'Identity'
]

const convolution: Move = (w) => {
  if (w.rank < 3 || w.rank > 4) return undefined
  const channels = w.dim(1)
  const group = w.chance(0.3) ? w.pick([1, 2, 3, channels].filter((count) => channels % count === 0)) : 1
  const kernel = w.spatial.map((size) => Math.min(size, w.int(1, 3)))
  const dilations = w.spatial.map((size, i) => ((kernel[i] as number) * 2 - 1 <= size ? w.int(1, 2) : 1))
  const pads = [...kernel, ...kernel].map(() => w.int(0, 2))
  const place = w.chance(0.2) ? { auto_pad: w.pick(['SAME_UPPER', 'SAME_LOWER', 'VALID']) } : { pads, dilations }
  const outputs = group * w.int(1, Math.max(1, Math.floor(20 / group)))
  const attributes = { ...place, strides: kernel.map(() => w.int(1, 2)), group: int(group) }
  return w.b.conv(w.at.name, [outputs, channels / group, ...kernel], attributes, w.chance(0.7))
}

const transposedConvolution: Move = (w) => {
  if (w.rank !== 4) return undefined
  const kernel = w.spatial.map(() => w.int(1, 3))
  return w.b.node('ConvTranspose', [w.at.name, w.b.weight(w.dim(1), w.int(1, 9), ...kernel)], { strides: kernel.map(() => w.int(1, 2)) })
}

const pool: Move = (w) => {
  if (w.rank < 3) return undefined
  if (w.chance(0.3)) return w.b.node(w.pick(['GlobalAveragePool', 'GlobalMaxPool']), [w.at.name])
  const kernel = w.spatial.map((size) => Math.min(size, w.int(1, 3)))
  const pads = [...kernel, ...kernel].map((size) => w.int(0, size - 1))
  const attributes = { kernel_shape: kernel, strides: kernel.map(() => w.int(1, 2)), pads, ceil_mode: int(w.int(0, 1)) }
  if (w.chance(0.5)) return w.b.node('MaxPool', [w.at.name], attributes)
  return w.b.node('AveragePool', [w.at.name], { ...attributes, count_include_pad: int(w.int(0, 1)) })
}

const normalisation: Move = (w) => (w.rank < 2 ? undefined : w.b.norm(w.at.name, w.dim(1)))

const transposition: Move = (w) => {
  const perm = w.at.dims.map((_, axis) => axis)
  for (let i = perm.length - 1; i > 0; i--) {
    const j = w.int(0, i)
    ;[perm[i], perm[j]] = [perm[j] as number, perm[i] as number]
  }
  return w.b.node('Transpose', [w.at.name], { perm })
}

const reshaping: Move = (w) => {
  const factors: number[] = []
  let rest = elementCount(w.at.dims)
  for (let i = w.int(1, 3); i > 0; i--) {
    const divisors = [2, 3, 4, 5, 6].filter((factor) => rest % factor === 0)
    if (divisors.length === 0) break
    factors.push(w.pick(divisors))
    rest /= factors.at(-1) as number
  }
  factors.splice(w.int(0, factors.length), 0, w.chance(0.5) ? -1 : rest)
  return w.b.node('Reshape', [w.at.name, w.b.ints(...factors)])
}

const flattening: Move = (w) => w.b.node('Flatten', [w.at.name], { axis: int(w.int(0, w.rank)) })

const unsqueezing: Move = (w) => (w.rank > 5 ? undefined : w.b.node('Unsqueeze', [w.at.name, w.b.ints(w.int(0, w.rank))]))

const slicing: Move = (w) => {
  const axis = w.axis()
  const start = w.int(0, w.dim(axis) - 1)
  return w.b.node('Slice', [
    w.at.name,
    w.b.ints(start),
    w.b.ints(w.int(start + 1, w.dim(axis))),
    w.b.ints(axis),
    w.b.ints(w.pick([1, 1, 2]))
  ])
}

const splitting: Move = (w) => {
  if (w.rank < 2 || w.dim(1) < 2) return undefined
  const first = w.int(1, w.dim(1) - 1)
  return w.pick(w.b.nodeOf('Split', [w.at.name, w.b.ints(first, w.dim(1) - first)], { axis: int(1) }, 2))
}

const gathering: Move = (w) => {
  const axis = w.axis()
  const indices = Array.from({ length: w.int(1, 4) }, () => w.int(-w.dim(axis), w.dim(axis) - 1))
  return w.b.node('Gather', [w.at.name, w.b.ints(...indices)], { axis: int(axis) })
}

const padding: Move = (w) => {
  const pads = w.at.dims.flatMap(() => [0, 0])
  for (const _ of [1, 2]) pads[w.int(0, pads.length - 1)] = w.int(0, 2)
  const reflects = w.at.dims.every((dim, axis) => (pads[axis] as number) < dim && (pads[axis + w.rank] as number) < dim)
  return w.b.node('Pad', [w.at.name, w.b.ints(...pads)], { mode: w.pick(['constant', 'constant', 'edge', reflects ? 'reflect' : 'edge']) })
}

const resizing: Move = (w) => {
  if (w.rank !== 4) return undefined
  return w.b.node('Resize', [w.at.name, '', '', w.b.ints(w.dim(0), w.dim(1), w.int(1, 9), w.int(1, 9))], {
    mode: w.pick(['nearest', 'linear']),
    coordinate_transformation_mode: w.pick(['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel']),
    nearest_mode: w.pick(['floor', 'round_prefer_floor'])
  })
}

const joining: Move = (w) => {
  const { dims } = w.at
  const axis = w.axis()
  const fitting = w.values.filter(
    (other) => other.dims.length === dims.length && other.dims.every((dim, i) => i === axis || dim === dims[i])
  )
  return w.b.node('Concat', [w.at.name, w.pick(fitting).name], { axis: int(axis) })
}

/** With another value, a constant of the same shape, of a channel, of a column, or a number, on either side. */
const arithmetic: Move = (w) => {
  const { dims } = w.at
  const fits = (other: Dims): boolean => other.every((dim, i) => [1, dims[i + dims.length - other.length]].includes(dim))
  const values = w.values.filter((other) => other.dims.length <= dims.length && fits(other.dims)).map(({ name }) => name)
  const shapes = [dims, [], dims.slice(-1), dims.slice(1).map((dim, i) => (i === 0 ? dim : 1))]
  const other = w.chance(0.6) ? w.pick(values) : w.b.weight(...w.pick(shapes))
  return w.b.node(w.pick(['Add', 'Sub', 'Mul', 'Max', 'Min']), w.chance(0.5) ? [w.at.name, other] : [other, w.at.name])
}

const reduction: Move = (w) => {
  const opType = w.pick(['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceL2'])
  const [axis, keepdims] = [w.axis() - (w.chance(0.5) ? w.rank : 0), int(w.int(0, 1))]
  if (w.b.opset < 18) return w.b.node(opType, [w.at.name], { axes: [axis], keepdims })
  return w.b.node(opType, [w.at.name, w.b.ints(axis)], { keepdims })
}

const product: Move = (w) => (w.rank < 2 ? undefined : w.b.node('MatMul', [w.at.name, w.b.weight(w.dim(w.rank - 1), w.int(1, 12))]))

const moves: readonly Move[] = [
  convolution,
  convolution,
  convolution,
  transposedConvolution,
  pool,
  normalisation,
  transposition,
  reshaping,
  flattening,
  unsqueezing,
  slicing,
  splitting,
  gathering,
  padding,
  resizing,
  joining,
  arithmetic,
  arithmetic,
  reduction,
  product,
  (w) => w.b.node(w.pick(smooth), [w.at.name]),
  (w) => w.b.node('Softmax', [w.at.name], { axis: int(w.axis()) })
]

/** Larger values are not continued. */
const maximumElements = 40_000

export interface RandomNetwork {
  readonly graph: Graph
  /** Of its only input, `x0`. */
  readonly dims: Dims
}

/** The network of a seed: two to ten nodes, one or two outputs. */
export function randomNetwork(seed: number): RandomNetwork {
  const b = new NetworkBuilder([13, 15, 17, 18, 20][seed % 5], seed)
  const dims = [
    b.random.integer(1, 3),
    b.random.integer(1, 20),
    ...(seed % 4 === 0 ? [9] : [b.random.integer(3, 11), b.random.integer(3, 11)])
  ]
  const input: Value = { name: b.input(dims), dims }
  const values = [input]
  let at = input
  for (let steps = b.random.integer(2, 10); steps > 0; steps--) {
    const walk = new Walk(b, values, at)
    const name = at.dims.length === 0 ? undefined : walk.pick(moves)(walk)
    const own = name === undefined ? undefined : dimsOf(b, name)
    const fits = name !== undefined && own !== undefined && elementCount(own) > 0 && elementCount(own) <= maximumElements
    at = fits ? { name, dims: own } : walk.pick(values)
    if (fits) values.push(at)
  }
  const last = values.at(-1) as Value
  if (last === input) return { graph: b.graph(b.node('Relu', [input.name])), dims }
  const other = values[b.random.integer(1, values.length - 1)] as Value
  return { graph: b.graph(...new Set([last.name, other.name])), dims }
}

/** `undefined` where a window does not fit, say. */
function dimsOf(b: NetworkBuilder, name: string): Dims | undefined {
  try {
    return inferShapes(b.graph(name)).get(name)
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_SHAPE') return undefined
    throw error
  }
}
