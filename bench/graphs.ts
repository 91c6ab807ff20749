import type { Graph, Node } from '../lib/graph/graph.js'
import { type AttributeValue, int, makeGraph, makeNode } from '../lib/graph/rewrite.js'
import { elementCount, floatTensor, type Tensor } from '../lib/tensor.js'
import { gaussian } from './harness.js'

export interface ConvolutionShape {
  readonly inputs: number
  readonly outputs: number
  readonly kernel: number
  readonly stride?: number
  readonly pad?: number
  readonly groups?: number
  /** A group, in the CP form; without one the layer stays whole. */
  readonly rank?: number
}

/**
 * Writes networks node by node, dense or with every convolution that has a rank as a chain of four. Speed does not depend on the weights, so
 * they are random and keep the size of what goes through.
 */
export class GraphBuilder {
  readonly input = 'image'
  readonly nodes: Node[] = []
  readonly initializers = new Map<string, Tensor>()
  #next = 0

  constructor(readonly form: 'dense' | 'cp' = 'cp') {}

  node(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}, output?: string): string {
    const name = output ?? `v${this.#next++}`
    this.nodes.push(makeNode({ name: `${opType}.${name}`, opType, inputs, outputs: [name], attributes }))
    return name
  }

  convolution(name: string, x: string, shape: ConvolutionShape, output?: string): string {
    const { inputs, outputs, kernel: k, stride: s = 1, pad: p = 0, groups = 1, rank } = shape
    const stage = (
      role: string,
      from: string,
      weight: readonly number[],
      attributes: Readonly<Record<string, AttributeValue>>,
      to?: string
    ): string => {
      const bias = role === 'expand' || role === '' ? [this.bias(`${name}.bias`, outputs)] : []
      const weights = this.random(role === '' ? `${name}.weight` : `${name}.${role}`, weight)
      return this.node('Conv', [from, weights, ...bias], { kernel_shape: weight.slice(2), ...attributes }, to)
    }
    if (rank === undefined || this.form === 'dense')
      return stage(
        '',
        x,
        [outputs, inputs / groups, k, k],
        { strides: [s, s], pads: [p, p, p, p], dilations: [1, 1], group: int(groups) },
        output
      )
    const channels = rank * groups
    const reduced = stage('reduce', x, [channels, inputs / groups, 1, 1], { group: int(groups) })
    const vertical = stage('vertical', reduced, [channels, 1, k, 1], { group: int(channels), strides: [s, 1], pads: [p, 0, p, 0] })
    const horizontal = stage('horizontal', vertical, [channels, 1, 1, k], { group: int(channels), strides: [1, s], pads: [0, p, 0, p] })
    return stage('expand', horizontal, [outputs, rank, 1, 1], { group: int(groups) }, output)
  }

  dense(name: string, x: string, inputs: number, outputs: number): string {
    const weights = [this.random(`${name}.weight`, [outputs, inputs]), this.bias(`${name}.bias`, outputs)]
    return this.node('Gemm', [x, ...weights], { transB: int(1) })
  }

  norm(name: string, x: string, channels: number): string {
    const [scale, bias, mean, variance] = [1, 0, 0, 1].map((value, i) =>
      this.constant(`${name}.norm.${i}`, floatTensor(new Float32Array(channels).fill(value), [channels]))
    )
    return this.node('BatchNormalization', [x, scale, bias, mean, variance] as string[])
  }

  /** The graph that ends in `output`, N×…; its input is N×`dims`. */
  graph(name: string, output: string, dims: readonly number[], outputDims: readonly number[]): Graph {
    return makeGraph({
      name,
      inputs: [{ name: this.input, dtype: 'float32', dims: ['N', ...dims] }],
      outputs: [{ name: output, dtype: 'float32', dims: ['N', ...outputDims] }],
      nodes: this.nodes,
      initializers: this.initializers
    })
  }

  private bias(name: string, channels: number): string {
    return this.constant(
      name,
      floatTensor(
        gaussian(channels, 7).map((v) => v / 10),
        [channels]
      )
    )
  }

  private random(name: string, dims: readonly number[]): string {
    const fanIn = elementCount(dims.slice(1))
    const scale = Math.sqrt(2 / fanIn)
    return this.constant(
      name,
      floatTensor(
        gaussian(elementCount(dims), this.#next + 1).map((v) => v * scale),
        dims
      )
    )
  }

  private constant(name: string, tensor: Tensor): string {
    this.initializers.set(name, tensor)
    return name
  }
}
