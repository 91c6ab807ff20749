import type { Graph } from '../lib/graph/graph.js'
import { cost, encodeOnnx, floatTensor, Session } from '../lib/index.js'
import type { BenchCase, SuiteContext } from './format.js'
import { compare, gaussian, maxAbsDiff } from './harness.js'
import { createPeer } from './onnxruntime.js'

/** A network of one input and one output that ours and the peers run. */
export interface InferenceCase {
  readonly suite: string
  readonly name: string
  readonly form: 'dense' | 'cp'
  readonly graph: Graph
  /** Of one image. */
  readonly dims: readonly number[]
  readonly batch: number
}

/** Largest difference that counts as the same result, relative to the largest output. */
const tolerance = 1e-4

/** Runs the same file and input through polyadic and onnxruntime-node, compares the outputs and then the times. */
export async function* compareNetwork(one: InferenceCase, context: SuiteContext): AsyncGenerator<BenchCase> {
  const dims = [one.batch, ...one.dims]
  const [inputName, outputName] = [one.graph.inputs[0]?.name as string, one.graph.outputs[0]?.name as string]
  const image = floatTensor(gaussian(dims.reduce((a, b) => a * b, 1)), dims)
  const session = await Session.create(one.graph, { threads: context.threads })
  const peer = await createPeer(encodeOnnx(one.graph), context.threads)
  try {
    const ours = (await session.run(image))[outputName]?.data as Float32Array
    const difference = maxAbsDiff(ours, await peer.run(image.data, dims))
    const scale = ours.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)
    if (!(difference <= tolerance * scale)) throw new Error(`${one.name}: the outputs differ by ${difference}, they go up to ${scale}`)
    yield* await compare(
      {
        suite: one.suite,
        name: one.name,
        form: one.form,
        ours: { name: 'polyadic', run: () => session.runSync(image) },
        peers: [{ name: peer.name, run: () => peer.run(image.data, dims) }],
        macs: cost(one.graph, { [inputName]: dims }).macs,
        maxAbsDiff: [difference]
      },
      context
    )
  } finally {
    session.close()
    await peer.close()
  }
}
