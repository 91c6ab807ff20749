// A locally connected layer, y(t, p) = Σ_s,i,j K(p, t, s, i, j)·x(s, p + (i, j)): a convolution whose kernel depends on the place p; and the same
// with K as a sum of rank-one terms over all six of its modes. Both in two forms: one that trains, of operators whose gradients polyadic has, and one
// to be handed on.

import type { GraphBuilder } from '../../bench/graphs.js'
import { type Factor, floatTensor, int, makeNode, type Tensor } from '../../lib/index.js'
import { localDomain, localName } from './operator.js'

/** Inputs are N×inputs×(side + kernel − 1)², outputs N×outputs×side². */
export interface LocalShape {
  readonly inputs: number
  readonly outputs: number
  readonly kernel: number
  readonly side: number
}

/** Of initializers that say where things are: no weights, never trained. */
export const fixed = /^fixed\./

/** Of K, in the order of `kernelDims`. */
export interface LocalFactors {
  readonly y: Factor
  readonly x: Factor
  readonly outputs: Factor
  readonly inputs: Factor
  readonly i: Factor
  readonly j: Factor
}

const modes = ['y', 'x', 'outputs', 'inputs', 'i', 'j'] as const

/** K's modes: place (two), output, input, row and column of the window. */
export function kernelDims({ inputs, outputs, kernel, side }: LocalShape): number[] {
  return [side, side, outputs, inputs, kernel, kernel]
}

export function namedFactors(factors: readonly Factor[]): LocalFactors {
  return Object.fromEntries(modes.map((mode, n) => [mode, factors[n]])) as unknown as LocalFactors
}

/** Weights of the layer: of the whole one, or of R rank-one terms. */
export function localParameters(shape: LocalShape, rank?: number): number {
  const dims = kernelDims(shape)
  return rank === undefined ? dims.reduce((a, b) => a * b, 1) : rank * dims.reduce((a, b) => a + b, 0)
}

/**
 * The form that trains: one convolution with ones and zeros puts every place's window behind another, channels (p, s, i, j); then a convolution with a
 * group a place. Gives N×(p, t)×1×1.
 */
export function trainableLocal(b: GraphBuilder, name: string, x: string, shape: LocalShape): string {
  const { inputs, outputs, kernel, side } = shape
  const [places, window, from] = [side * side, inputs * kernel * kernel, side + kernel - 1]
  const gather = new Float32Array(places * window * inputs * from * from)
  for (let p = 0; p < places; p++)
    for (let s = 0; s < inputs; s++)
      for (let i = 0; i < kernel; i++)
        for (let j = 0; j < kernel; j++) {
          const channel = p * window + (s * kernel + i) * kernel + j
          gather[((channel * inputs + s) * from + Math.floor(p / side) + i) * from + (p % side) + j] = 1
        }
  b.initializers.set(`fixed.${name}`, floatTensor(gather, [places * window, inputs, from, from]))
  b.initializers.set(`${name}.weight`, floatTensor(new Float32Array(places * outputs * window), [places * outputs, window, 1, 1]))
  const windows = b.node('Conv', [x, `fixed.${name}`], { kernel_shape: [from, from] })
  return b.node('Conv', [windows, `${name}.weight`], { kernel_shape: [1, 1], group: int(places) })
}

/** K of the form that trains: its weights are K in the order of `kernelDims`. */
export function kernelOf(weight: Tensor, shape: LocalShape): Tensor {
  return { ...weight, dims: kernelDims(shape) }
}

/** One node of an operator of our own, which the file explains by a function; K as side×side×(i, j, s)×t. Gives N×t×side×side. */
export function wholeLocal(b: GraphBuilder, name: string, x: string, kernel: Float32Array, shape: LocalShape): string {
  const { inputs, outputs, kernel: d, side } = shape
  const moved = new Float32Array(kernel.length)
  for (let p = 0; p < side * side; p++)
    for (let t = 0; t < outputs; t++)
      for (let s = 0; s < inputs; s++)
        for (let k = 0; k < d * d; k++)
          moved[((p * d * d + k) * inputs + s) * outputs + t] = kernel[((p * outputs + t) * inputs + s) * d * d + k] as number
  b.initializers.set(`${name}.weight`, floatTensor(moved, [side, side, d * d * inputs, outputs]))
  b.nodes.push(makeNode({ opType: localName, domain: localDomain, inputs: [x, `${name}.weight`], outputs: [name] }))
  return name
}

/**
 * Rank-one terms: 1×1 over inputs, a column, a row, then a factor for each row and each column of places, then 1×1 to outputs. Where it trains,
 * the two factors over places are convolutions of maps that say which row and which column a place is in; else they are plain products.
 */
export function factoredLocal(
  b: GraphBuilder,
  name: string,
  x: string,
  factors: LocalFactors,
  { inputs, outputs, kernel, side }: LocalShape,
  trains: boolean
): string {
  const rank = factors.y.dims[1] as number
  const weight = (role: string, factor: Factor, dims: readonly number[]): string => {
    // R first: the factor transposed.
    b.initializers.set(`${name}.${role}`, floatTensor(transposed(factor), dims))
    return `${name}.${role}`
  }
  const reduced = b.node('Conv', [x, weight('inputs', factors.inputs, [rank, inputs, 1, 1])], { kernel_shape: [1, 1] })
  const column = b.node('Conv', [reduced, weight('i', factors.i, [rank, 1, kernel, 1])], { kernel_shape: [kernel, 1], group: int(rank) })
  let z = b.node('Conv', [column, weight('j', factors.j, [rank, 1, 1, kernel])], { kernel_shape: [1, kernel], group: int(rank) })
  if (trains) {
    const [rows, columns] = placeMaps(b, name, z, rank, side)
    for (const [role, map] of [
      ['y', rows],
      ['x', columns]
    ] as const)
      z = b.node('Mul', [z, b.node('Conv', [map, weight(role, factors[role], [rank, side, 1, 1])], { kernel_shape: [1, 1] })])
  } else {
    z = b.node('Mul', [z, weight('y', factors.y, [1, rank, side, 1])])
    z = b.node('Mul', [z, weight('x', factors.x, [1, rank, 1, side])])
  }
  b.initializers.set(`${name}.outputs`, floatTensor(Float32Array.from(factors.outputs.data), [outputs, rank, 1, 1]))
  return b.node('Conv', [z, `${name}.outputs`], { kernel_shape: [1, 1] })
}

/** The factors back out of the weights of `factoredLocal`. */
export function factorsIn(initializers: ReadonlyMap<string, Tensor>, name: string, shape: LocalShape): LocalFactors {
  const dims = kernelDims(shape)
  const factor = (mode: (typeof modes)[number], size: number): Factor => {
    const { data } = initializers.get(`${name}.${mode}`) as { data: Float32Array }
    const rank = data.length / size
    return matrix(mode === 'outputs' ? data.slice() : transposed({ data, dims: [rank, size] }), size)
  }
  return namedFactors(modes.map((mode, n) => factor(mode, dims[n] as number)))
}

/**
 * N×side×side×side each: channel k is 1 in row (in column) k, else 0. Zero padding alone tells places apart: a tap m places up sees a map of ones
 * from row m on, and row k is what tap k sees and tap k + 1 does not.
 */
function placeMaps(b: GraphBuilder, name: string, like: string, channels: number, side: number): readonly [string, string] {
  b.initializers.set(`fixed.${name}.zero`, floatTensor(new Float32Array(channels), [1, channels, 1, 1]))
  b.initializers.set(`fixed.${name}.one`, floatTensor(Float32Array.of(1), [1]))
  const ones = b.node('Conv', [like, `fixed.${name}.zero`, `fixed.${name}.one`], { kernel_shape: [1, 1] })
  const taps = new Float32Array(side * side)
  for (let k = 0; k < side; k++) {
    taps[k * side + side - 1 - k] = 1
    if (k + 1 < side) taps[k * side + side - 2 - k] = -1
  }
  b.initializers.set(`fixed.${name}.rows`, floatTensor(taps, [side, 1, side, 1]))
  b.initializers.set(`fixed.${name}.columns`, floatTensor(taps.slice(), [side, 1, 1, side]))
  return [
    b.node('Conv', [ones, `fixed.${name}.rows`], { kernel_shape: [side, 1], pads: [side - 1, 0, 0, 0] }),
    b.node('Conv', [ones, `fixed.${name}.columns`], { kernel_shape: [1, side], pads: [0, side - 1, 0, 0] })
  ]
}

/** rows×R. */
export function matrix(data: Float32Array, rows: number): Factor {
  return { data, dims: [rows, data.length / rows] }
}

function transposed({ data, dims: [rows = 1, columns = 1] }: Pick<Factor, 'data' | 'dims'>): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, n) => data[(n % rows) * columns + Math.floor(n / rows)] as number)
}
