import type { Graph } from '../../lib/graph/graph.js'
import { type AttributeValue, float, int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import type { Node, ValueInfo } from '../../lib/graph/graph.js'
import { elementCount, floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { generator, type Random } from './plan-builder.js'

export { float, int }

/** Builds small graphs by hand: each method returns the name of the value it makes. */
export class NetworkBuilder {
  readonly random: Random
  readonly inputs: ValueInfo[] = []
  readonly nodes: Node[] = []
  readonly initializers = new Map<string, Tensor>()
  #next = 0

  constructor(
    readonly opset = 17,
    seed = 1
  ) {
    this.random = generator(seed)
  }

  input(dims: readonly (number | string)[], name = `x${this.inputs.length}`): string {
    this.inputs.push({ name, dtype: 'float32', dims })
    return name
  }

  /** Random weights of about 1/√fan-in, so that activations keep their size. */
  weight(...dims: readonly number[]): string {
    const fanIn = Math.max(1, elementCount(dims.slice(1)))
    return this.constant(floatTensor(this.random.normal(elementCount(dims), 1 / Math.sqrt(fanIn)), dims))
  }

  /** Positive values around 1. */
  positive(...dims: readonly number[]): string {
    return this.constant(
      floatTensor(
        this.random.normal(elementCount(dims), 0.2).map((v) => Math.abs(v) + 0.5),
        dims
      )
    )
  }

  /** Values around 0, a tenth wide. */
  small(...dims: readonly number[]): string {
    return this.constant(floatTensor(this.random.normal(elementCount(dims), 0.1), dims))
  }

  ints(...values: readonly number[]): string {
    return this.constant(int64Tensor(values))
  }

  /** An index without dimensions. */
  index(value: number): string {
    return this.constant({ ...int64Tensor([value]), dims: [] })
  }

  floats(...values: readonly number[]): string {
    return this.constant(floatTensor(Float32Array.from(values), [values.length]))
  }

  scalar(value: number): string {
    return this.constant(floatTensor(Float32Array.of(value), []))
  }

  constant(tensor: Tensor, name = `w${this.initializers.size}`): string {
    this.initializers.set(name, tensor)
    return name
  }

  node(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    return this.nodeOf(opType, inputs, attributes, 1)[0] as string
  }

  nodeOf(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>>, count: number): string[] {
    const outputs = Array.from({ length: count }, () => `${opType.toLowerCase()}${this.#next++}`)
    this.nodes.push(makeNode({ opType, inputs, outputs, attributes }))
    return outputs
  }

  /** A convolution with new weights Cout×Cin/g×kH×kW and, unless refused, a bias. */
  conv(
    input: string,
    weight: readonly [number, number, number, number] | readonly number[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    bias = true
  ): string {
    const inputs = [input, this.weight(...weight), ...(bias ? [this.weight(weight[0] as number)] : [])]
    return this.node('Conv', inputs, attributes)
  }

  /** Batch normalisation over `channels` with random statistics. */
  norm(input: string, channels: number): string {
    return this.node('BatchNormalization', [
      input,
      this.weight(channels),
      this.weight(channels),
      this.weight(channels),
      this.positive(channels)
    ])
  }

  graph(...outputs: readonly string[]): Graph {
    return makeGraph({
      inputs: this.inputs,
      nodes: this.nodes,
      initializers: this.initializers,
      opset: this.opset,
      outputs: outputs.map((name) => ({ name, dtype: 'float32', dims: undefined }))
    })
  }
}
