import { type AttributeValue, int } from '../lib/graph/rewrite.js'

/** What blocks of networks are written with; each method returns the name of the value it makes. */
export interface BlockBuilder {
  node(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, AttributeValue>>): string
  conv(input: string, weight: readonly number[], attributes?: Readonly<Record<string, AttributeValue>>): string
  weight(...dims: readonly number[]): string
  /** Values around 1. */
  positive(...dims: readonly number[]): string
  scalar(value: number): string
  ints(...values: readonly number[]): string
  /** An index without dimensions. */
  index(value: number): string
}

/*
 * ConvNeXt, ViT and recurrent layers in the nodes that exporters write for them.
 */

/** 1 + erf(x/√2) */
export function gate(b: BlockBuilder, x: string): string {
  return b.node('Add', [b.node('Erf', [b.node('Div', [x, b.scalar(Math.SQRT2)])]), b.scalar(1)])
}

/** x/2·(1 + erf(x/√2)) */
export function gelu(b: BlockBuilder, x: string): string {
  return b.node('Mul', [b.node('Mul', [x, gate(b, x)]), b.scalar(0.5)])
}

export function linear(b: BlockBuilder, x: string, inner: number, columns: number): string {
  return b.node('Add', [b.node('MatMul', [x, b.weight(inner, columns)]), b.weight(columns)])
}

export const layerNorm = (b: BlockBuilder, x: string, size: number): string =>
  b.node('LayerNormalization', [x, b.positive(size), b.weight(size)])

const toRows = (b: BlockBuilder, x: string): string => b.node('Transpose', [x], { perm: [0, 2, 3, 1] })
const toMaps = (b: BlockBuilder, x: string): string => b.node('Transpose', [x], { perm: [0, 3, 1, 2] })

function mlp(b: BlockBuilder, x: string, size: number, wide: number): string {
  return linear(b, gelu(b, linear(b, layerNorm(b, x, size), size, wide)), wide, size)
}

/** Of N×channels×H×W; `wide` between the two matrices. */
export function convNextBlock(b: BlockBuilder, x: string, channels: number, kernel: number, wide: number): string {
  const pad = (kernel - 1) / 2
  const deep = b.conv(x, [channels, 1, kernel, kernel], { pads: [pad, pad, pad, pad], group: int(channels) })
  const changed = mlp(b, toRows(b, deep), channels, wide)
  const scaled = b.node('Mul', [b.positive(channels), changed])
  return b.node('Add', [x, toMaps(b, scaled)])
}

/** Layer normalisation by pixel of N×C×H×W. */
export const pixelNorm = (b: BlockBuilder, x: string, channels: number): string => toMaps(b, layerNorm(b, toRows(b, x), channels))

export interface TokenShape {
  /** Images, which exporters write into the shapes. */
  readonly batch: number
  /** Of an image, with the one that stands for all of it. */
  readonly tokens: number
  readonly size: number
  readonly heads: number
  readonly wide: number
}

/** N×tokens×size of N×size×H×W. */
export function tokensOf(b: BlockBuilder, patches: string, { batch, tokens, size }: TokenShape): string {
  const rows = b.node('Transpose', [b.node('Reshape', [patches, b.ints(0, size, -1)])], { perm: [0, 2, 1] })
  const first = b.node('Expand', [b.weight(1, 1, size), b.ints(batch, 1, size)])
  return b.node('Add', [b.node('Concat', [first, rows], { axis: int(1) }), b.weight(1, tokens, size)])
}

export function transformerBlock(b: BlockBuilder, x: string, { tokens, size, heads, wide }: TokenShape): string {
  const normal = layerNorm(b, x, size)
  const project = (perm: readonly number[], isKey = false): string => {
    const own = isKey ? b.node('MatMul', [normal, b.weight(size, size)]) : linear(b, normal, size, size)
    return b.node('Transpose', [b.node('Reshape', [own, b.ints(0, tokens, heads, size / heads)])], { perm })
  }
  const product = b.node('MatMul', [project([0, 2, 1, 3]), project([0, 2, 3, 1], true)])
  const scores = b.node('Div', [product, b.scalar(Math.sqrt(size / heads))])
  const mixed = b.node('MatMul', [b.node('Softmax', [scores], { axis: int(-1) }), project([0, 2, 1, 3])])
  const joined = b.node('Reshape', [b.node('Transpose', [mixed], { perm: [0, 2, 1, 3] }), b.ints(0, tokens, size)])
  const attended = b.node('Add', [x, linear(b, joined, size, size)])
  return b.node('Add', [attended, mlp(b, attended, size, wide)])
}

/** T×N×size, a sequence of the columns of N×size×1×T. */
export function columnsOf(b: BlockBuilder, map: string, size: number): string {
  return b.node('Transpose', [b.node('Reshape', [map, b.ints(0, size, -1)])], { perm: [2, 0, 1] })
}

/** W, R and the biases of a recurrent layer whose gates are `width` values in all. */
export const recurrentWeights = (b: BlockBuilder, directions: number, width: number, size: number, hidden: number): string[] => [
  b.weight(directions, width, size),
  b.weight(directions, width, hidden),
  b.weight(directions, 2 * width)
]

/** An LSTM of both directions: T×N×2·hidden of T×N×size. */
export function bothWays(b: BlockBuilder, x: string, size: number, hidden: number): string {
  const y = b.node('LSTM', [x, ...recurrentWeights(b, 2, 4 * hidden, size, hidden)], {
    hidden_size: int(hidden),
    direction: 'bidirectional'
  })
  return b.node('Reshape', [b.node('Transpose', [y], { perm: [0, 2, 1, 3] }), b.ints(0, 0, 2 * hidden)])
}

/** N×size, the mean over the time of T×N×size. */
export const meanOverTime = (b: BlockBuilder, x: string): string => b.node('ReduceMean', [x], { axes: [0], keepdims: int(0) })

/** The first token of each image. */
export const firstToken = (b: BlockBuilder, x: string, size: number): string =>
  b.node('Gather', [layerNorm(b, x, size), b.index(0)], { axis: int(1) })
