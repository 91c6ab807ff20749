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
    const { inputName, outputName } = this.#names()
    const results = await this.#session.run({ [inputName]: new ort.Tensor('float32', input, dims) })
    return results[outputName]?.data as Float32Array
  }

  /** A run over and over of one input into the memory of its first output, so that no call pays for fresh memory. */
  async repeated(input: Float32Array, dims: readonly number[]): Promise<{ readonly output: Float32Array; readonly run: () => unknown }> {
    const { inputName, outputName } = this.#names()
    const feeds = { [inputName]: new ort.Tensor('float32', input, dims) }
    const first = (await this.#session.run(feeds))[outputName] as ort.Tensor
    const data = Float32Array.from(first.data as Float32Array)
    const fetches = { [outputName]: new ort.Tensor('float32', data, first.dims) }
    return { output: data, run: () => this.#session.run(feeds, fetches) }
  }

  #names(): { readonly inputName: string; readonly outputName: string } {
    const [inputName] = this.#session.inputNames
    const [outputName] = this.#session.outputNames
    if (inputName === undefined || outputName === undefined) throw new Error('the network has no input or no output')
    return { inputName, outputName }
  }

  async close(): Promise<void> {
    await this.#session.release()
  }
}
