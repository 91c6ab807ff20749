import { spawnSync } from 'node:child_process'
import path from 'node:path'
import type { Graph } from '../../lib/graph/graph.js'
import { root } from '../../examples/charnet/paths.js'
import { LineProcess } from '../line-process.js'
import { asIntegers, elementCount } from '../../lib/tensor.js'

/** How PyTorch's optimiser is set; weight decay is for weights only, as ours. */
export interface PeerOptimiser {
  readonly kind: 'sgd' | 'adamw'
  readonly learningRate: number
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly weightDecay?: number
  readonly betas?: readonly [number, number]
  readonly epsilon?: number
}

export interface PeerOptions {
  readonly threads: number
  /** NHWC in memory instead of NCHW. */
  readonly channelsLast?: boolean
  readonly batchNorm?: 'batch' | 'running'
}

/** Examples: `inputs` N×C×H×W, `targets` N class indices. */
export interface PeerData {
  readonly inputs: Float32Array
  readonly targets: Int32Array
  /** C×H×W. */
  readonly dims: readonly number[]
}

interface Answer {
  readonly version?: string
  readonly remark?: string
  readonly parameters?: readonly string[]
  readonly ms?: number
  readonly losses?: readonly number[]
  readonly loss?: number
  readonly peakBytes?: number
}

/** The Python that has PyTorch (POLYADIC_PYTHON, else the system's); `undefined` when there is none. */
export function findPyTorch(): string | undefined {
  const candidates = [process.env.POLYADIC_PYTHON ?? '/usr/bin/python3', 'python3']
  return candidates.find((python) => spawnSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' }).status === 0)
}

/** A network that PyTorch trains or runs in a child process. */
export class PyTorchPeer {
  readonly #process: LineProcess
  /** PyTorch's version, what it is called in a report, and the parameters in its order. */
  version = ''
  name = ''
  parameters: readonly string[] = []

  private constructor(process: LineProcess) {
    this.#process = process
  }

  /** Starts it. Throws when the network has an operator that peer.py does not know. */
  static async start(python: string, graph: Graph, options: PeerOptions): Promise<PyTorchPeer> {
    const script = path.join(root, 'bench', 'pytorch', 'peer.py')
    const child = await LineProcess.start('PyTorch', python, [script], {
      OMP_NUM_THREADS: String(options.threads),
      OPENBLAS_NUM_THREADS: String(options.threads)
    })
    const peer = new PyTorchPeer(child)
    const { network, weights } = describe(graph)
    const answer = await peer.#ask({ do: 'load', graph: network, weights: await child.write('weights', weights), ...options })
    peer.version = answer.version ?? ''
    peer.name = `PyTorch ${peer.version.replace(/\+.*/, '')}${answer.remark ?? ''}`
    peer.parameters = answer.parameters ?? []
    return peer
  }

  /** Takes `count` steps, on the same batch or, with `batchSize`, on one batch of `data` after another; its times and losses. */
  async step(
    count: number,
    options: {
      data?: PeerData
      batchSize?: number
      optimiser?: PeerOptimiser
      labelSmoothing?: number
      clipNorm?: number
    } = {}
  ): Promise<{ readonly ms: number; readonly losses: readonly number[] }> {
    const { data, batchSize, ...rest } = options
    const files = data === undefined ? {} : await this.#write(data)
    const answer = await this.#ask({ do: 'step', count, ...files, ...(batchSize !== undefined && { batches: batchSize }), ...rest })
    return { ms: answer.ms as number, losses: answer.losses as number[] }
  }

  async gradients(data: PeerData, labelSmoothing = 0): Promise<{ readonly loss: number; readonly gradients: Float32Array }> {
    const answer = await this.#ask({ do: 'gradients', ...(await this.#write(data)), labelSmoothing, out: this.#process.file('out') })
    return { loss: answer.loss as number, gradients: await this.#process.readFloats('out') }
  }

  async weights(): Promise<Float32Array> {
    await this.#ask({ do: 'weights', out: this.#process.file('out') })
    return this.#process.readFloats('out')
  }

  /** Runs the network `count` times without gradients, on an input that stays until another is given: milliseconds of one run, and the output. */
  async infer(
    count: number,
    input?: { readonly values: Float32Array; readonly dims: readonly number[] }
  ): Promise<{ readonly ms: number; readonly output: Float32Array }> {
    const files = input && { inputs: await this.#process.write('inputs', input.values), dims: input.dims, out: this.#process.file('out') }
    const { ms } = await this.#ask({ do: 'infer', count, ...files })
    return { ms: ms as number, output: input === undefined ? new Float32Array() : await this.#process.readFloats('out') }
  }

  /** Largest memory of its process so far; with `reset`, which only Linux can, the next answer is the largest from now on. */
  async peakBytes(reset = false): Promise<number> {
    return (await this.#ask({ do: 'memory', reset })).peakBytes as number
  }

  close(): Promise<void> {
    return this.#process.close()
  }

  async #write({ inputs, targets, dims }: PeerData): Promise<{ inputs: string; targets: string; dims: readonly number[] }> {
    return { inputs: await this.#process.write('inputs', inputs), targets: await this.#process.write('targets', targets), dims }
  }

  #ask(request: object): Promise<Answer> {
    return this.#process.ask<Answer>(request)
  }
}

/** What peer.py reads, and all float32 initializers in one array. */
function describe(graph: Graph): { network: unknown; weights: Float32Array } {
  const given = new Set(
    graph.nodes.flatMap(({ opType, inputs }) =>
      opType === 'BatchNormalization' ? inputs.slice(3) : opType === 'Resize' ? inputs.slice(1) : []
    )
  )
  const floats = [...graph.initializers].filter(([, tensor]) => tensor.dtype === 'float32')
  const weights = new Float32Array(floats.reduce((sum, [, tensor]) => sum + elementCount(tensor.dims), 0))
  let at = 0
  for (const [, tensor] of floats) {
    weights.set(tensor.data as Float32Array, at)
    at += tensor.data.length
  }
  const network = {
    input: graph.inputs[0]?.name,
    output: graph.outputs[0]?.name,
    nodes: graph.nodes.map(({ opType, inputs, outputs, attributes }) => ({
      opType,
      inputs,
      outputs,
      attributes: Object.fromEntries([...attributes].map(([name, { value }]) => [name, value]))
    })),
    initializers: floats.map(([name, tensor]) => ({ name, dims: tensor.dims, trainable: tensor.dims.length > 0 && !given.has(name) })),
    integers: Object.fromEntries(
      [...graph.initializers].filter(([, { dtype }]) => dtype === 'int64').map(([name, tensor]) => [name, asIntegers(tensor, name)])
    )
  }
  return { network, weights }
}
