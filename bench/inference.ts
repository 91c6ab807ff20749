import type { Graph } from '../lib/graph/graph.js'
import { cost, floatTensor, Session } from '../lib/index.js'
import type { BenchCase, SuiteContext } from './format.js'
import { compare, gaussian, maxAbsDiff } from './harness.js'
import { type InferencePeer, startPeers, tolerances } from './inference-peers.js'

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
 * the times; in bfloat16 as well where the context says so, then with ours in float32 among the peers. All of them write their result to
 * the same memory again and again.
 */
export async function* compareNetwork(one: InferenceCase, context: SuiteContext): AsyncGenerator<BenchCase> {
  if (!`${one.name} ${one.form}`.includes(context.only)) return
  const dims = [one.batch, ...one.dims]
  const [inputName, outputName] = [one.graph.inputs[0]?.name as string, one.graph.outputs[0]?.name as string]
  const image = floatTensor(gaussian(dims.reduce((a, b) => a * b, 1)), dims)
  const threads = context.threads
  const { macs } = cost(one.graph, { [inputName]: dims })
  const session = await Session.create(one.graph, { threads })
  const half = context.bf16 === undefined ? undefined : await Session.create(one.graph, { threads, precision: 'bf16' })
  const peers = await startPeers(context.peers, { graph: one.graph, input: image.data, dims, threads })
  const start = async (of: Session, name: string): Promise<Pick<InferencePeer, 'candidate' | 'output'>> => {
    const outputs = await of.run(image)
    // On the calling thread, as onnxruntime does behind its promise.
    const run = () => of.runSync(image, { outputs })
    return { candidate: { name, run }, output: outputs[outputName]?.data as Float32Array }
  }
  try {
    const single = await start(session, 'polyadic f32')
    // What it is compared with stays as it is now.
    const reference = { ...single, output: single.output.slice(), tolerance: tolerances.f32 }
    yield* compareOutputs({ ...one, ...single, precision: 'float32', macs }, peers, context)
    if (half === undefined) return
    yield* compareOutputs({ ...one, ...(await start(half, 'polyadic bf16')), precision: 'bfloat16', macs }, [reference, ...peers], context)
  } finally {
    session.close()
    half?.close()
    for (const peer of peers) await peer.close()
  }
}

interface Ours extends Pick<InferenceCase, 'suite' | 'name' | 'form'>, Pick<InferencePeer, 'candidate' | 'output'> {
  readonly precision: 'float32' | 'bfloat16'
  readonly macs: number
}

async function* compareOutputs(
  ours: Ours,
  peers: readonly Omit<InferencePeer, 'close'>[],
  context: SuiteContext
): AsyncGenerator<BenchCase> {
  const { suite, name, form, precision, macs } = ours
  const scale = ours.output.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)
  const differences = peers.map(({ candidate, output, tolerance }) => {
    const difference = maxAbsDiff(ours.output, output)
    if (difference <= (precision === 'float32' ? tolerance : tolerances.other) * scale) return difference
    throw new Error(`${name}: our outputs and those of ${candidate.name} differ by ${difference}, they go up to ${scale}`)
  })
  const timed = { ours: ours.candidate, peers: peers.map(({ candidate }) => candidate) }
  yield* await compare({ suite, name, form, precision, macs, ...timed, maxAbsDiff: differences, scale }, context)
}
