import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Graph } from '../../lib/graph/graph.js'
import { root } from '../../examples/charnet/paths.js'
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
  readonly error?: string
  readonly version?: string
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

/** A network that PyTorch trains in a child process. */
export class PyTorchPeer {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface
  readonly #folder: string
  /** PyTorch's version, and the parameters in its order. */
  version = ''
  parameters: readonly string[] = []

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child
    this.#folder = folder
    this.#reader = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  /** Starts it. Throws when the network has an operator that peer.py does not know. */
  static async start(python: string, graph: Graph, options: PeerOptions): Promise<PyTorchPeer> {
    const script = path.join(root, 'bench', 'pytorch', 'peer.py')
    const env = { ...process.env, OMP_NUM_THREADS: String(options.threads) }
    const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'], env })
    const peer = new PyTorchPeer(child, await mkdtemp(path.join(tmpdir(), 'polyadic-pytorch-')))
    const { network, weights } = describe(graph)
    await writeFile(peer.#file('weights'), bytes(weights))
    const answer = await peer.#ask({ do: 'load', graph: network, weights: peer.#file('weights'), ...options })
    peer.version = answer.version ?? ''
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
    const answer = await this.#ask({ do: 'gradients', ...(await this.#write(data)), labelSmoothing, out: this.#file('out') })
    return { loss: answer.loss as number, gradients: await this.#read() }
  }

  async weights(): Promise<Float32Array> {
    await this.#ask({ do: 'weights', out: this.#file('out') })
    return this.#read()
  }

  async peakBytes(): Promise<number> {
    return (await this.#ask({ do: 'memory' })).peakBytes as number
  }

  async close(): Promise<void> {
    this.#reader.close()
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    await rm(this.#folder, { recursive: true, force: true })
  }

  #file(name: string): string {
    return path.join(this.#folder, name)
  }

  async #write({ inputs, targets, dims }: PeerData): Promise<{ inputs: string; targets: string; dims: readonly number[] }> {
    await writeFile(this.#file('inputs'), bytes(inputs))
    await writeFile(this.#file('targets'), bytes(targets))
    return { inputs: this.#file('inputs'), targets: this.#file('targets'), dims }
  }

  async #read(): Promise<Float32Array> {
    const data = await readFile(this.#file('out'))
    return new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
  }

  async #ask(request: object): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('PyTorch ended')
    const answer = JSON.parse(value) as Answer
    if (answer.error !== undefined) throw new Error(`PyTorch: ${answer.error}`)
    return answer
  }
}

/** What peer.py reads, and all float32 initializers in one array. */
function describe(graph: Graph): { network: unknown; weights: Float32Array } {
  const statistics = new Set(graph.nodes.flatMap((node) => (node.opType === 'BatchNormalization' ? node.inputs.slice(3) : [])))
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
    initializers: floats.map(([name, tensor]) => ({ name, dims: tensor.dims, trainable: !statistics.has(name) })),
    integers: Object.fromEntries(
      [...graph.initializers].filter(([, { dtype }]) => dtype === 'int64').map(([name, tensor]) => [name, asIntegers(tensor, name)])
    )
  }
  return { network, weights }
}

function bytes(data: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
