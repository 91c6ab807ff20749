import { createPeer, type Peer } from '../../bench/onnxruntime.js'
import { maxAbsDiff } from '../../bench/harness.js'
import { encodeOnnx, type FloatTensor, floatTensor, type Graph, Session } from '../../lib/index.js'
import { measureInterleaved } from '../../lib/report/measure.js'
import { patch } from './architecture.js'
import type { CharacterSet } from './dataset.js'

// Long enough that a network runs from its own caches and not from what the candidate before it has left there.
const sampleMs = 60

/** Milliseconds an image of one network, here and in onnxruntime-node, by batch size. */
export interface Latency {
  readonly batch1: number
  readonly batch64: number
  readonly ortBatch1: number
  readonly ortBatch64: number
}

export interface LatencyOptions {
  /** Samples of each network. */
  readonly runs: number
  readonly onProgress: (done: number, total: number) => void
}

/** A network ready to run in both runtimes, on one thread. */
export interface Pair {
  readonly session: Session
  readonly peer: Peer
}

export async function openPair(graph: Graph): Promise<Pair> {
  return { session: await Session.create(graph, { threads: 1 }), peer: await createPeer(encodeOnnx(graph), 1) }
}

export async function closePair({ session, peer }: Pair): Promise<void> {
  session.close()
  await peer.close()
}

/** All networks in both runtimes, on the calling thread as onnxruntime-node does it, interleaved in one run for each batch size. */
export async function measureLatency(pairs: readonly Pair[], images: CharacterSet, options: LatencyOptions): Promise<Latency[]> {
  const byBatch = []
  for (const [index, batch] of [1, 64].entries()) {
    const input = firstImages(images, batch)
    const candidates = pairs.flatMap(({ session, peer }, i) => [
      { name: `${i}`, run: () => session.runSync({ image: input }) },
      { name: `${i} onnxruntime-node`, run: () => peer.run(input.data, input.dims) }
    ])
    const onProgress = (done: number, total: number): void => options.onProgress(index * total + done, 2 * total)
    byBatch.push(
      (await measureInterleaved(candidates, { runs: options.runs, sampleMs, onProgress })).map(({ medianMs }) => medianMs / batch)
    )
  }
  const [one = [], many = []] = byBatch
  const at = (values: readonly number[], i: number): number => values[i] ?? Number.NaN
  return pairs.map((_, i) => ({
    batch1: at(one, 2 * i),
    ortBatch1: at(one, 2 * i + 1),
    batch64: at(many, 2 * i),
    ortBatch64: at(many, 2 * i + 1)
  }))
}

/** The largest difference between our outputs and onnxruntime-node's over the first `count` images. */
export async function outputDifference({ session, peer }: Pair, images: CharacterSet, count: number): Promise<number> {
  const input = firstImages(images, count)
  const { probabilities } = await session.run({ image: input })
  if (!probabilities) throw new Error('the network has no output `probabilities`')
  return maxAbsDiff(probabilities.data as Float32Array, await peer.run(input.data, input.dims))
}

/** The first images of a set as the network's input, N×1×24×24. */
export function firstImages(images: CharacterSet, count: number): FloatTensor {
  return floatTensor(images.images.slice(0, count * patch * patch), [count, 1, patch, patch])
}
