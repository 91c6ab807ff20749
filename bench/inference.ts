import type { Graph } from '../lib/graph/graph.js'
import { cost, floatTensor, Session } from '../lib/index.js'
import type { BenchCase, SuiteContext } from './format.js'
import { compare, gaussian, maxAbsDiff } from './harness.js'
import { startPeers } from './inference-peers.js'

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

/**
 * Runs the same network and input through polyadic and the context's peers (default: onnxruntime-node), compares the outputs and then
 * the times. All of them write their result to the same memory again and again.
 */
export async function* compareNetwork(one: InferenceCase, context: SuiteContext): AsyncGenerator<BenchCase> {
  if (!`${one.name} ${one.form}`.includes(context.only)) return
  const dims = [one.batch, ...one.dims]
  const [inputName, outputName] = [one.graph.inputs[0]?.name as string, one.graph.outputs[0]?.name as string]
  const image = floatTensor(gaussian(dims.reduce((a, b) => a * b, 1)), dims)
  const session = await Session.create(one.graph, { threads: context.threads })
  const peers = await startPeers(context.peers, { graph: one.graph, input: image.data, dims, threads: context.threads })
  try {
    const outputs = await session.run(image)
    const ours = outputs[outputName]?.data as Float32Array
    const scale = ours.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)
    const differences = peers.map(({ candidate, output, tolerance }) => {
      const difference = maxAbsDiff(ours, output)
      if (difference <= tolerance * scale) return difference
      throw new Error(`${one.name}: our outputs and those of ${candidate.name} differ by ${difference}, they go up to ${scale}`)
    })
    yield* await compare(
      {
        suite: one.suite,
        name: one.name,
        form: one.form,
        ours: { name: 'polyadic', run: () => session.runSync(image, { outputs }) },
        peers: peers.map(({ candidate }) => candidate),
        macs: cost(one.graph, { [inputName]: dims }).macs,
        maxAbsDiff: differences,
        scale
      },
      context
    )
  } finally {
    session.close()
    for (const peer of peers) await peer.close()
  }
}
