import * as ort from 'onnxruntime-node'

/** onnxruntime-node as a peer: every optimisation on, sequential, as many threads as ours. */
export async function createPeer(model: string | Uint8Array, threads: number): Promise<Peer> {
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3
  }
  const session =
    typeof model === 'string' ? await ort.InferenceSession.create(model, options) : await ort.InferenceSession.create(model, options)
  return new Peer(session)
}

/** A network of one float32 input and one float32 output in onnxruntime-node. */
export class Peer {
  readonly name = 'onnxruntime-node'
  readonly #session: ort.InferenceSession

  constructor(session: ort.InferenceSession) {
    this.#session = session
  }

  async run(input: Float32Array, dims: readonly number[]): Promise<Float32Array> {
    const [inputName] = this.#session.inputNames
    const [outputName] = this.#session.outputNames
    if (inputName === undefined || outputName === undefined) throw new Error('the network has no input or no output')
    const results = await this.#session.run({ [inputName]: new ort.Tensor('float32', input, dims) })
    return results[outputName]?.data as Float32Array
  }

  async close(): Promise<void> {
    await this.#session.release()
  }
}
