import type { Graph } from '../../lib/graph/graph.js'
import type { AttributeValue } from '../../lib/graph/rewrite.js'
import { elementCount, type FloatTensor, floatTensor } from '../../lib/tensor.js'
import { float, int, NetworkBuilder } from './network-builder.js'

/*
 * What operators do with NaN, infinities and −0 (docs/onnx.md). A case without `expected` has to do as onnxruntime does; onnxruntime gives other
 * results for the same numbers at other places where it finds extrema, and there NaN propagates.
 */

type Dims = readonly number[]
type Numbers = ArrayLike<number>

export interface SpecialCase {
  readonly name: string
  readonly graph: Graph
  readonly feeds: Readonly<Record<string, FloatTensor>>
  readonly expected?: readonly (readonly number[])[]
  /** Whether some of it is computed in bfloat16 where that is asked for; all its numbers are exact in it. */
  readonly bf16: boolean
}

const special = [NaN, Infinity, -Infinity, -0, NaN]

/** Ordinary numbers with others between them at no regular distance. All are exact in bfloat16. `share`: one in how many is special. */
function numbers(count: number, seed: number, share = 4): number[] {
  let state = (Math.imul(seed, 2654435761) + 12345) >>> 0
  const next = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const result = Array.from({ length: count }, () => (next(share) === 0 ? (special[next(5)] as number) : next(41) / 4 - 5))
  if (seed % 4 !== 0) result[next(count)] = special[seed % 5] as number
  return result
}

type Build = (b: NetworkBuilder, names: readonly string[]) => string | readonly string[]

interface Options {
  readonly inputs: readonly (readonly [Numbers, Dims])[]
  readonly expected?: readonly (readonly number[])[]
  readonly opset?: number
  readonly bf16?: boolean
  /** The last output is one of indices. */
  readonly indices?: boolean
}

function specialCase(name: string, { inputs, expected, opset = 18, bf16 = false, indices = false }: Options, build: Build): SpecialCase {
  const b = new NetworkBuilder(opset)
  const names = inputs.map(([, dims]) => b.input(dims))
  const graph = b.graph(...[build(b, names)].flat())
  const last = graph.outputs.length - 1
  return {
    name,
    graph: { ...graph, outputs: graph.outputs.map((info, i) => (indices && i === last ? { ...info, dtype: 'int64' as const } : info)) },
    feeds: Object.fromEntries(inputs.map(([data, dims], i) => [names[i] as string, floatTensor(Float32Array.from(data), dims)])),
    bf16,
    ...(expected !== undefined && { expected })
  }
}

const larger = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b))
const smaller = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.min(a, b))
const maximum = (values: readonly number[]): number => values.reduce(larger)
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** A convolution whose sums are what `bias` says at every pixel. */
function constantConv(b: NetworkBuilder, x: string, weight: Dims, bias: readonly number[], attributes: Attributes = {}): string {
  const zeros = b.constant(floatTensor(new Float32Array(elementCount(weight)), weight))
  return b.node('Conv', [x, zeros, b.constant(floatTensor(Float32Array.from(bias), [bias.length]))], attributes)
}

/** A 1×1 convolution that gives `x`, of one channel, `channels` times. */
function copies(b: NetworkBuilder, x: string, channels: number): string {
  return b.node('Conv', [x, b.constant(floatTensor(new Float32Array(channels).fill(1), [channels, 1, 1, 1]))])
}

type Attributes = Readonly<Record<string, AttributeValue>>

interface Activation {
  readonly opType: string
  readonly attributes?: Attributes
  readonly bounds?: readonly [number, number]
  readonly opset?: number
}

const activations: readonly Activation[] = [
  { opType: 'Relu' },
  { opType: 'LeakyRelu' },
  { opType: 'Clip', bounds: [0, 6] },
  { opType: 'Clip', bounds: [-1, 1.5] },
  { opType: 'Clip', bounds: [3, 1] },
  { opType: 'Clip', bounds: [-Infinity, Infinity] },
  { opType: 'Clip', bounds: [0, Infinity] },
  { opType: 'Clip', bounds: [NaN, 1] },
  { opType: 'Clip', bounds: [0, NaN] },
  { opType: 'Sigmoid' },
  { opType: 'Tanh' },
  { opType: 'HardSigmoid' },
  { opType: 'HardSwish' },
  { opType: 'Elu' },
  { opType: 'Selu' },
  { opType: 'Celu' },
  { opType: 'Softplus' },
  { opType: 'Softsign' },
  { opType: 'Mish' },
  { opType: 'ThresholdedRelu' },
  { opType: 'Shrink' },
  { opType: 'Sign' },
  { opType: 'Gelu', opset: 20 }
]

const nameOf = ({ opType, bounds }: Activation): string => `${opType}${bounds === undefined ? '' : ` ${bounds.join('..')}`}`

function activate(b: NetworkBuilder, x: string, { opType, attributes, bounds }: Activation): string {
  return b.node(opType, [x, ...(bounds ?? []).map((bound) => b.scalar(bound))], attributes)
}

/** Alone, behind a convolution that it is fused with (by pixels and by channels), behind depthwise ones and behind a sum. */
function activationCases(size: number): SpecialCase[] {
  const x = numbers(size, size)
  const finite = Float32Array.from({ length: 3 * 7 }, (_, i) => i / 2)
  return activations.flatMap((activation): SpecialCase[] => {
    const { opset = 18, bounds } = activation
    const rest = { opset, bf16: true }
    const cases = [
      specialCase(`${nameOf(activation)} of ${size}`, { inputs: [[x, [size]]], opset }, (b, [x = '']) => activate(b, x, activation)),
      specialCase(`${nameOf(activation)} behind Conv, ${size} pixels`, { inputs: [[x, [1, 1, 1, size]]], ...rest }, (b, [x = '']) =>
        activate(b, copies(b, x, 5), activation)
      ),
      specialCase(`${nameOf(activation)} behind Conv, ${size} channels`, { inputs: [[finite, [1, 1, 3, 7]]], ...rest }, (b, [input = '']) =>
        activate(b, constantConv(b, input, [size, 1, 1, 1], x), activation)
      ),
      specialCase(
        `${nameOf(activation)} behind depthwise Conv, ${size} channels`,
        { inputs: [[new Float32Array(size * 21).fill(1), [1, size, 3, 7]]], ...rest },
        (b, [input = '']) => activate(b, constantConv(b, input, [size, 1, 1, 3], x, { group: int(size) }), activation)
      ),
      specialCase(
        `${nameOf(activation)} behind Conv and a sum, ${size} pixels`,
        {
          inputs: [
            [new Float32Array(size), [1, 1, 1, size]],
            [x, [1, 1, 1, size]]
          ],
          ...rest
        },
        (b, [input = '', other = '']) => activate(b, b.node('Add', [copies(b, input, 3), copies(b, other, 3)]), activation)
      )
    ]
    if (bounds === undefined) return cases
    const computed = specialCase(
      `${nameOf(activation)} of ${size}, computed`,
      { inputs: [[x, [size]], ...bounds.map((bound) => [[bound], []] as const)], opset },
      (b, [x = '', low = '', high = '']) => b.node('Clip', [x, low, high])
    )
    return [...cases, computed]
  })
}

/** Sums by Winograd: 3×3 over many channels. */
function winogradCases(): SpecialCase[] {
  const bias = numbers(48, 5)
  const image = Float32Array.from({ length: 32 * 18 * 18 }, (_, i) => (i % 5) - 2)
  return ['Relu', 'HardSigmoid'].map((opType) =>
    specialCase(`${opType} behind a 3x3 Conv of 32 channels`, { inputs: [[image, [1, 32, 18, 18]]], bf16: true }, (b, [x = '']) =>
      b.node(opType, [constantConv(b, x, [48, 32, 3, 3], bias, { pads: [1, 1, 1, 1] })])
    )
  )
}

/** Max and Min of whole values, as onnxruntime does them. */
function pairCases(size: number): SpecialCase[] {
  const [a, c, d] = [size, size + 1, size + 2].map((seed) => numbers(size, seed)) as [number[], number[], number[]]
  return ['Max', 'Min'].flatMap((opType) => [
    specialCase(
      `${opType} of three, ${size}`,
      {
        inputs: [
          [a, [size]],
          [c, [size]],
          [d, [size]]
        ]
      },
      (b, names) => b.node(opType, names)
    ),
    ...[NaN, -0, Infinity].map((value) =>
      specialCase(
        `${opType} with ${value}, ${size}`,
        {
          inputs: [
            [a, [size]],
            [[value], [1]]
          ]
        },
        (b, names) => b.node(opType, names)
      )
    ),
    specialCase(
      `${opType} behind Convs, ${size} pixels`,
      {
        inputs: [
          [a, [1, 1, 1, size]],
          [c, [1, 1, 1, size]]
        ],
        bf16: true
      },
      (b, [x = '', y = '']) => b.node(opType, [copies(b, x, 5), copies(b, y, 5)])
    )
  ])
}

type Order = 'strided' | 'adjacent'

/** Max over slices of the channels, or ReduceMax over an axis that splits them. */
function maxout(b: NetworkBuilder, x: string, size: number, pieces: number, order: Order, reduced: boolean): string {
  if (!reduced) {
    const slices = range(pieces).map((piece) =>
      order === 'strided'
        ? b.node('Slice', [x, b.ints(piece * size), b.ints((piece + 1) * size), b.ints(1)])
        : b.node('Slice', [x, b.ints(piece), b.ints(pieces * size), b.ints(1), b.ints(pieces)])
    )
    return b.node('Max', slices)
  }
  const dims = order === 'strided' ? [0, pieces, size, 2, 3] : [0, size, pieces, 2, 3]
  return b.node('ReduceMax', [b.node('Reshape', [x, b.ints(...dims)]), b.ints(order === 'strided' ? 1 : 2)], { keepdims: int(0) })
}

/** The maxout of channels that are `values`, at six pixels. */
function maxoutOf(values: readonly number[], size: number, pieces: number, order: Order): number[] {
  return range(size).flatMap((channel) => {
    const own = range(pieces).map((piece) => values[order === 'strided' ? piece * size + channel : channel * pieces + piece] as number)
    return new Array<number>(6).fill(maximum(own))
  })
}

/** Behind what it cannot be fused with. */
function maxoutCases(size: number, pieces: number): SpecialCase[] {
  const values = numbers(size * pieces, size + pieces, 6)
  const input = [values.flatMap((value) => new Array<number>(6).fill(value)), [1, size * pieces, 2, 3]] as const
  return (['strided', 'adjacent'] as const).flatMap((order) => {
    const expected = [maxoutOf(values, size, pieces, order)]
    return [false, true].map((reduced) =>
      specialCase(
        `maxout of a pool, ${pieces} pieces of ${size} channels, ${order}${reduced ? ', reduced' : ''}`,
        { inputs: [input], expected, bf16: true },
        (b, [x = '']) => maxout(b, b.node('AveragePool', [x], { kernel_shape: [1, 1] }), size, pieces, order, reduced)
      )
    )
  })
}

interface Pool {
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  readonly pads?: readonly [number, number, number, number]
  readonly dilations?: readonly [number, number]
}

const pools: readonly Pool[] = [
  { kernel: [2, 2], strides: [2, 2] },
  { kernel: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] },
  { kernel: [2, 3], strides: [1, 1], pads: [0, 1, 1, 1] },
  { kernel: [1, 2], strides: [1, 1], dilations: [1, 3] }
]
const [poolHeight, poolWidth] = [5, 7]

/** Values and places, in row-major order of the input: those of the first NaN, else of the first maximum. */
function poolOf(x: readonly number[], channels: number, { kernel, strides, pads = [0, 0, 0, 0], dilations = [1, 1] }: Pool): number[][] {
  const extent = (axis: 0 | 1, size: number): number =>
    Math.floor((size + pads[axis] + pads[axis === 0 ? 2 : 3] - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis]) + 1
  const [values, places]: [number[], number[]] = [[], []]
  for (const channel of range(channels)) {
    for (const oy of range(extent(0, poolHeight))) {
      for (const ox of range(extent(1, poolWidth))) {
        const inside = range(kernel[0] * kernel[1])
          .map((i) => [
            oy * strides[0] - pads[0] + Math.floor(i / kernel[1]) * dilations[0],
            ox * strides[1] - pads[1] + (i % kernel[1]) * dilations[1]
          ])
          .filter(([y = 0, x = 0]) => y >= 0 && x >= 0 && y < poolHeight && x < poolWidth)
          .map(([y = 0, x = 0]) => (channel * poolHeight + y) * poolWidth + x)
        const best = maximum(inside.map((at) => x[at] as number))
        values.push(best)
        places.push(inside.find((at) => x[at] === best || (Number.isNaN(best) && Number.isNaN(x[at]))) as number)
      }
    }
  }
  return [values, places]
}

/** In blocks, behind a convolution, with places, over volumes, over whole maps. */
function poolCases(channels: number): SpecialCase[] {
  const area = poolHeight * poolWidth
  const x = numbers(channels * area, channels, 12)
  const dims = [1, channels, poolHeight, poolWidth]
  const input = [x, dims] as const
  const windows = pools.flatMap((pool) => {
    const { kernel, strides, pads = [0, 0, 0, 0], dilations = [1, 1] } = pool
    const attributes = { kernel_shape: kernel, strides, pads, dilations }
    const [values = [], places = []] = poolOf(x, channels, pool)
    const text = `MaxPool ${kernel.join('x')} of ${channels} channels`
    // Fewer channels than a block's are no depthwise convolution: 0·NaN is NaN, also where another group's weights would be.
    const behindConv =
      channels <= 16
        ? []
        : [
            specialCase(`${text}, behind Conv`, { inputs: [input], expected: [values], bf16: true }, (b, [x = '']) => {
              const ones = b.constant(floatTensor(new Float32Array(channels).fill(1), [channels, 1, 1, 1]))
              return b.node('MaxPool', [b.node('Conv', [x, ones], { group: int(channels) })], attributes)
            })
          ]
    const flat = { kernel_shape: [1, ...kernel], strides: [1, ...strides], pads: [0, pads[0], pads[1], 0, pads[2], pads[3]] }
    return [
      specialCase(text, { inputs: [input], expected: [values], bf16: true }, (b, [x = '']) => b.node('MaxPool', [x], attributes)),
      specialCase(`${text}, with places`, { inputs: [input], expected: [values, places], indices: true }, (b, [x = '']) =>
        b.nodeOf('MaxPool', [x], attributes, 2)
      ),
      specialCase(`${text}, of volumes`, { inputs: [[x, [1, channels, 1, poolHeight, poolWidth]]], expected: [values] }, (b, [x = '']) =>
        b.node('MaxPool', [x], { ...flat, dilations: [1, ...dilations] })
      ),
      ...behindConv
    ]
  })
  const whole = [range(channels).map((channel) => maximum(x.slice(channel * area, (channel + 1) * area)))]
  return [
    ...windows,
    specialCase(`GlobalMaxPool of ${channels} channels`, { inputs: [input], expected: whole, bf16: true }, (b, [x = '']) =>
      b.node('GlobalMaxPool', [x])
    ),
    specialCase(
      `GlobalMaxPool of ${channels} channels, volumes`,
      { inputs: [[x, [1, channels, 5, 1, 7]]], expected: whole },
      (b, [x = '']) => b.node('GlobalMaxPool', [x])
    ),
    specialCase(`ReduceMax over maps of ${channels} channels`, { inputs: [input], expected: whole }, (b, [x = '']) =>
      b.node('ReduceMax', [b.node('AveragePool', [x], { kernel_shape: [1, 1] }), b.ints(2, 3)])
    )
  ]
}

/** Where the first (or last) extremum of each column is; a NaN is one. */
function placesOf(x: readonly number[], columns: number, combine: typeof larger, last: boolean): number[] {
  return range(columns).map((column) => {
    const own = x.filter((_, i) => i % columns === column)
    const best = own.reduce(combine)
    const is = (value: number): boolean => value === best || (Number.isNaN(best) && Number.isNaN(value))
    return last ? own.findLastIndex(is) : own.findIndex(is)
  })
}

function reductionCases(size: number): SpecialCase[] {
  const cases: SpecialCase[] = []
  for (const columns of [1, 3]) {
    const x = numbers(size * columns, size, 9)
    const input = [x, columns === 1 ? [size] : [size, columns]] as const
    const text = `${size}x${columns}`
    for (const [way, combine] of [
      ['Max', larger],
      ['Min', smaller]
    ] as const) {
      const expected = [range(columns).map((column) => x.filter((_, i) => i % columns === column).reduce(combine))]
      cases.push(
        specialCase(`Reduce${way} of ${text}`, { inputs: [input], expected }, (b, [x = '']) => b.node(`Reduce${way}`, [x, b.ints(0)])),
        specialCase(`Reduce${way} of all of ${text}`, { inputs: [input], expected: [[x.reduce(combine)]] }, (b, [x = '']) =>
          b.node(`Reduce${way}`, [x])
        )
      )
      for (const last of [false, true]) {
        const attributes = { axis: int(0), select_last_index: int(Number(last)) }
        const places = [placesOf(x, columns, combine, last)]
        cases.push(
          specialCase(
            `Arg${way} of ${text}${last ? ', the last' : ''}`,
            { inputs: [input], expected: places, indices: true },
            (b, [x = '']) => b.node(`Arg${way}`, [x], attributes)
          )
        )
      }
      const updates = numbers(size * columns, size + 3, 5)
      cases.push(
        specialCase(
          `ScatterElements, ${way}, of ${text}`,
          { inputs: [input, [updates, input[1]]], expected: [x.map((value, i) => combine(value, updates[i] as number))] },
          (b, [x = '', u = '']) => {
            const places = BigInt64Array.from(updates, (_, i) => BigInt(Math.floor(i / columns)))
            return b.node('ScatterElements', [x, b.constant({ dtype: 'int64', dims: input[1], data: places }), u], {
              axis: int(0),
              reduction: way.toLowerCase()
            })
          }
        )
      )
    }
    const best = placesOf(x, columns, larger, false)
    const hardmax = x.map((_, i) => Number(Math.floor(i / columns) === best[i % columns]))
    cases.push(
      specialCase(`Hardmax of ${text}`, { inputs: [input], expected: [hardmax] }, (b, [x = '']) =>
        b.node('Hardmax', [x], { axis: int(0) })
      ),
      specialCase(`Softmax of ${text}`, { inputs: [input] }, (b, [x = '']) => b.node('Softmax', [x], { axis: int(0) }))
    )
  }
  return cases
}

/** NaN is larger than anything; of equal ones the first comes first. */
function topKCases(size: number): SpecialCase[] {
  const x = numbers(size, size, 6)
  const rank = (value: number): number => (Number.isNaN(value) ? 2 : value === Infinity ? 1 : value === -Infinity ? -1 : 0)
  const compare = (a: number, b: number): number => rank(a) - rank(b) || (rank(a) === 0 ? a - b : 0)
  const counts = new Set([1, Math.ceil(size / 3), size])
  return [true, false].flatMap((largest) =>
    [...counts].map((k) => {
      const order = range(size).sort((i, j) => (largest ? -1 : 1) * compare(x[i] as number, x[j] as number) || i - j)
      const places = order.slice(0, k)
      const expected = [places.map((i) => x[i] as number), places]
      return specialCase(
        `TopK, ${k} ${largest ? 'largest' : 'smallest'} of ${size}`,
        { inputs: [[x, [size]]], expected, indices: true },
        (b, [x = '']) => b.nodeOf('TopK', [x, b.ints(k)], { largest: int(Number(largest)) }, 2)
      )
    })
  )
}

/** A layer of one time step, whose sums are its inputs. */
function recurrentCases(size: number): SpecialCase[] {
  const x = numbers(size, size)
  const weights = (b: NetworkBuilder, value: number): string => b.constant(floatTensor(Float32Array.of(value), [1, 1, 1]))
  const hard = (v: number): number => smaller(larger(Math.fround(0.25 * smaller(larger(v, -3), 3) + 0.5), 0), 1)
  const attributes: Attributes = {
    hidden_size: int(1),
    clip: float(3),
    activations: { kind: 'strings', value: ['HardSigmoid'] },
    activation_alpha: { kind: 'floats', value: [0.25] },
    activation_beta: { kind: 'floats', value: [0.5] }
  }
  return [
    specialCase(`RNN of HardSigmoid with clip, ${size}`, { inputs: [[x, [1, size, 1]]], expected: [x.map(hard)] }, (b, [x = '']) =>
      b.nodeOf('RNN', [x, weights(b, 1), weights(b, 0)], attributes, 1)
    )
  ]
}

const sizes = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67]

export const specialCases: readonly SpecialCase[] = [
  ...sizes.flatMap((size) => [
    ...activationCases(size),
    ...pairCases(size),
    ...reductionCases(size),
    ...topKCases(size),
    ...recurrentCases(size)
  ]),
  ...winogradCases(),
  ...[1, 2, 3, 5, 8, 9, 16, 17, 33, 67].flatMap((size) => [2, 3, 4, 5].flatMap((pieces) => maxoutCases(size, pieces))),
  ...[1, 3, 4, 5, 8, 9, 16, 17, 33, 67].flatMap((channels) => poolCases(channels))
]
