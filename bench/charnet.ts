import { existsSync } from 'node:fs'
import path from 'node:path'
import { charnetFile, root } from '../examples/charnet/paths.js'
import { compress, type Graph, readOnnx } from '../lib/index.js'
import type { Suite } from './format.js'
import { compareNetwork } from './inference.js'

const tuned = path.join(root, 'out', 'charnet', 'charnet.cp.onnx')

/** Whole networks: CharNet dense and with conv2 and conv3 at rank 64, batch 1 and 64. */
export const charnet: Suite = {
  name: 'charnet',
  async *run(context) {
    const dense = await readOnnx(charnetFile)
    for (const [form, graph] of [
      ['dense', dense],
      ['cp', await decomposed(dense)]
    ] as const) {
      for (const batch of [1, 64]) {
        const name = `charnet ${form}, batch ${batch}`
        yield* compareNetwork({ suite: 'charnet', name, form, graph, dims: [1, 24, 24], batch }, context)
      }
    }
  }
}

// Speed does not depend on the weights: where the demo has not run, a few iterations do.
async function decomposed(dense: Graph): Promise<Graph> {
  return existsSync(tuned) ? readOnnx(tuned) : charnetAtRank(dense, 64)
}

/** CharNet with conv2 and conv3 at a rank, after a few iterations only. */
export async function charnetAtRank(dense: Graph, rank: number): Promise<Graph> {
  return (await compress(dense, { whenSlower: 'replace', layers: { conv2: rank, conv3: rank }, maxIterations: 2, seed: 1 })).graph
}
