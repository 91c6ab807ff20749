import { existsSync } from 'node:fs'
import path from 'node:path'
import { charnetFile, root } from '../examples/charnet/paths.js'
import { compress, cost, encodeOnnx, floatTensor, type Graph, readOnnx, Session } from '../lib/index.js'
import type { BenchCase, Suite, SuiteContext } from './format.js'
import { compare, gaussian, maxAbsDiff } from './harness.js'
import { createPeer } from './onnxruntime.js'

const tuned = path.join(root, 'out', 'charnet', 'charnet.cp.onnx')
const tolerance = 1e-4

/** Whole networks: CharNet dense and with conv2 and conv3 at rank 64, batch 1 and 64. */
export const charnet: Suite = {
  name: 'charnet',
  async *run(context) {
    const dense = await readOnnx(charnetFile)
    for (const [form, graph] of [
      ['dense', dense],
      ['cp', await decomposed(dense)]
    ] as const) {
      for (const batch of [1, 64]) yield* measure(form, graph, batch, context)
    }
  }
}

// Speed does not depend on the weights: where the demo has not run, a few iterations do.
async function decomposed(dense: Graph): Promise<Graph> {
  if (existsSync(tuned)) return readOnnx(tuned)
  return (await compress(dense, { layers: { conv2: 64, conv3: 64 }, maxIterations: 2, seed: 1 })).graph
}

async function* measure(form: 'dense' | 'cp', graph: Graph, batch: number, context: SuiteContext): AsyncGenerator<BenchCase> {
  const dims = [batch, 1, 24, 24]
  const image = floatTensor(gaussian(batch * 24 * 24), dims)
  const session = await Session.create(graph, { threads: context.threads })
  const peer = await createPeer(encodeOnnx(graph), context.threads)
  try {
    const { probabilities } = await session.run({ image })
    const difference = maxAbsDiff(probabilities?.data as Float32Array, await peer.run(image.data, dims))
    const name = `charnet ${form}, batch ${batch}`
    if (!(difference <= tolerance)) throw new Error(`${name}: the outputs differ by ${difference}`)
    yield* await compare(
      {
        suite: 'charnet',
        name,
        form,
        ours: { name: 'polyadic', run: () => session.runSync({ image }) },
        peers: [{ name: peer.name, run: () => peer.run(image.data, dims) }],
        macs: cost(graph, { image: dims }).macs,
        maxAbsDiff: [difference]
      },
      context
    )
  } finally {
    session.close()
    await peer.close()
  }
}
