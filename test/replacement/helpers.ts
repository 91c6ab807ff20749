import type { Attribute, Graph, Node } from '../../lib/graph/graph.js'
import type { Decomposition, Solve } from '../../lib/replacement/decompose.js'
import { elementCount, floatTensor } from '../../lib/tensor.js'
import { random } from '../../lib/random.js'
import type { Maps } from '../helpers/reference-conv.js'

export interface ConvCase {
  readonly title: string
  readonly input: readonly [channels: number, height: number, width: number]
  /** Cout, Cin/groups, kH, kW. */
  readonly dims: readonly number[]
  readonly groups?: number
  readonly strides?: readonly number[]
  readonly pads?: readonly number[]
  readonly dilations?: readonly number[]
  readonly autoPad?: string
  readonly bias?: boolean
}

export function normals(count: number, seed: number): Float32Array {
  const source = random(seed)
  return Float32Array.from({ length: count }, () => source.normal())
}

export function maps(channels: number, height: number, width: number, seed = 1): Maps {
  return { data: Float64Array.from(normals(channels * height * width, seed)), channels, height, width }
}

export function conv(name: string, inputs: readonly string[], output: string, attributes: Record<string, Attribute> = {}): Node {
  return { name, opType: 'Conv', domain: '', inputs, outputs: [output], attributes: new Map(Object.entries(attributes)), docString: '' }
}

/** A graph of one Conv named `conv` with random weights. */
export function convGraph(one: ConvCase): Graph {
  const attributes: Record<string, Attribute> = { group: { kind: 'int', value: one.groups ?? 1 } }
  for (const name of ['strides', 'pads', 'dilations'] as const) {
    const value = one[name]
    if (value !== undefined) attributes[name] = { kind: 'ints', value }
  }
  if (one.autoPad !== undefined) attributes.auto_pad = { kind: 'string', value: one.autoPad }
  const bias = one.bias ?? true
  const initializers = new Map([['w', floatTensor(normals(elementCount(one.dims), 7), one.dims)]])
  if (bias) initializers.set('b', floatTensor(normals(one.dims[0] as number, 8), [one.dims[0] as number]))
  return {
    name: 'test',
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', ...one.input] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: undefined }],
    nodes: [conv('conv', bias ? ['x', 'w', 'b'] : ['x', 'w'], 'y', attributes)],
    initializers,
    valueInfo: [],
    opsets: new Map([['', 17]]),
    metadata: new Map(),
    docString: ''
  }
}

/**
 * An exact decomposition without a solver: one component for every element of all modes but the last, a unit vector in
 * each of those and the tensor's fibre in the last. The rank must be the product of all extents but the last.
 */
export const exactSolve: Solve = async (tensor, dims, rank) => {
  const width = dims.at(-1) as number
  if (rank !== tensor.length / width) throw new Error(`exact rank is ${tensor.length / width}`)
  const factors = dims.map((dim) => new Float64Array(dim * rank))
  for (let r = 0; r < rank; r++) {
    let rest = r
    for (let n = dims.length - 2; n >= 0; n--) {
      const dim = dims[n] as number
      ;(factors[n] as Float64Array)[(rest % dim) * rank + r] = 1
      rest = Math.floor(rest / dim)
    }
    for (let i = 0; i < width; i++) (factors.at(-1) as Float64Array)[i * rank + r] = tensor[r * width + i] as number
  }
  return { ...summary, factors }
}

export const summary: Omit<Decomposition, 'factors'> = {
  relativeError: 0,
  iterations: 1,
  stopReason: 'exact',
  sensitivity: 1,
  sensitivityBefore: 2,
  congruence: 0,
  trace: [{ error: 0.5 }, { error: 0 }]
}
