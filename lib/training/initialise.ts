import { checkOptions, type Names } from '../arguments.js'
import { checkInteger } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph, Node } from '../graph/graph.js'
import { type Tensor, asIntegers, elementCount, floatTensor } from '../tensor.js'
import { random } from '../random.js'
import { fullWeights } from '../replacement/half-weights.js'

export interface InitialiseOptions {
  /** Default 0. */
  readonly seed?: number
}

/** E[max²] of k independent standard normals: how much of the signal's power a maxout over k pieces keeps. */
const maxoutPower = [1, 1, 1, 1.2757, 1.5513, 1.8, 2.0217, 2.2203, 2.3995] as const

/**
 * New weights to train a network from scratch: normal with variance gain / fan-in for every Conv, Gemm and MatMul (He et al.),
 * zero biases; the two matrices of an LSTM, GRU or RNN with gain 1. The gain keeps the power of the signal through what follows: 2 for relu and its kin, 1 / E[max²] for a
 * maxout of k pieces, 1 otherwise. Other initializers stay; weights in 16 bits behind a Cast (`halfWeights`) become float32. The stream of
 * a weight depends on the seed and its place only.
 */
export function initialise(graph: Graph, options: InitialiseOptions = {}): Graph {
  checkForm(graph)
  checkOptions(options, { seed: true } satisfies Names<InitialiseOptions>)
  const seed = checkInteger('seed', options.seed ?? 0, 0, 0xffffffff)
  const full = fullWeights(graph)
  const initializers = new Map(full.initializers)
  full.nodes.forEach((node, index) => {
    const isRecurrent = ['LSTM', 'GRU', 'RNN'].includes(node.opType)
    if ((!isRecurrent && !['Conv', 'Gemm', 'MatMul'].includes(node.opType)) || node.domain !== '') return
    const weights = node.inputs.slice(1, isRecurrent ? 3 : 2)
    const biasName = node.inputs[1 + weights.length] ?? ''
    const gain = isRecurrent ? 1 : gainAfter(full, node)
    weights.forEach((name, i) => {
      const weight = full.initializers.get(name)
      if (weight?.dtype === 'float32')
        initializers.set(name, normal(weight.dims, gain / fanIn(node, weight), seed, index + i * full.nodes.length))
    })
    const bias = full.initializers.get(biasName)
    if (bias?.dtype === 'float32') initializers.set(biasName, floatTensor(new Float32Array(bias.data.length), bias.dims))
  })
  return { ...full, initializers }
}

function normal(dims: readonly number[], variance: number, seed: number, stream: number): Tensor {
  const source = random(seed, stream)
  const deviation = Math.sqrt(variance)
  return floatTensor(
    Float32Array.from({ length: elementCount(dims) }, () => deviation * source.normal()),
    dims
  )
}

// Inputs that one output sums over. A Gemm's weights are N×K with transB, K×N without, as a MatMul's; a recurrent layer's have their inputs last.
function fanIn(node: Node, weight: Tensor): number {
  if (node.opType === 'Conv') return elementCount(weight.dims.slice(1))
  if (weight.dims.length === 3 && node.opType !== 'MatMul') return weight.dims[2] as number
  const transposed = node.attributes.get('transB')
  return weight.dims[transposed?.kind === 'int' && transposed.value !== 0 ? 1 : 0] as number
}

function gainAfter(graph: Graph, node: Node): number {
  const consumers = (value: string): Node[] => graph.nodes.filter((other) => other.inputs.includes(value))
  const next = consumers(node.outputs[0] as string)
  // A bias, pooling or flatten between a layer and its activation changes nothing here.
  const [first] = next
  if (first === undefined) return 1
  if (['Relu', 'LeakyRelu', 'PRelu', 'Clip', 'Elu', 'Selu'].includes(first.opType)) return 2
  if (['Add', 'MaxPool', 'Flatten', 'BatchNormalization'].includes(first.opType)) return gainAfter(graph, first)
  if (first.opType === 'Reshape') return 1 / maxoutGain(reducedPieces(graph, first, consumers(first.outputs[0] as string)))
  if (first.opType === 'Split' || first.opType === 'Slice') return 1 / maxoutGain(maximumPieces(next, consumers))
  return 1
}

function maxoutGain(pieces: number): number {
  return maxoutPower[Math.min(pieces, maxoutPower.length - 1)] as number
}

// Maxout as Reshape to N × C/k × k × … and ReduceMax over k.
function reducedPieces(graph: Graph, reshape: Node, next: readonly Node[]): number {
  const reduce = next.find((node) => node.opType === 'ReduceMax')
  const shape = graph.initializers.get(reshape.inputs[1] ?? '')
  const attribute = reduce?.attributes.get('axes')
  const tensor = graph.initializers.get(reduce?.inputs[1] ?? '')
  const axes = attribute?.kind === 'ints' ? attribute.value : tensor === undefined ? [] : asIntegers(tensor, 'axes')
  if (shape === undefined || axes.length !== 1) return 1
  const dims = asIntegers(shape, 'shape')
  return Math.max(1, dims.at(axes[0] as number) ?? 1)
}

// Maxout as slices of the channels and their elementwise Max.
function maximumPieces(slices: readonly Node[], consumers: (value: string) => Node[]): number {
  const parts = slices.flatMap((node) => node.outputs)
  const maximum = parts.flatMap(consumers).find((node) => node.opType === 'Max')
  return maximum === undefined ? 1 : Math.max(1, parts.filter((part) => maximum.inputs.includes(part)).length)
}
