// A process of its own that trains one network of the suite and prints by how many bytes its peak memory grew meanwhile:
//   node dist/bench/training-memory.js NETWORK FORM THREADS

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Graph } from '../lib/graph/graph.js'
import { findPyTorch, type PeerData, PyTorchPeer } from './pytorch/peer.js'
import { type TrainingNetwork, trainingNetworks } from './training-networks.js'
import { steps } from './training-steps.js'

const taken = 3

/** By how many bytes a process grows, at most, from a network that has been read to some steps of training: ours, and PyTorch's. On Linux. */
export async function trainingMemory(
  { name, form, graph }: TrainingNetwork,
  data: PeerData,
  threads: number
): Promise<{ readonly ours: number; readonly peer: number }> {
  // Reading a network may take more than training it: the peak counts from then on.
  const ours = execFileSync(process.execPath, [fileURLToPath(import.meta.url), name, form, String(threads)], { encoding: 'utf8' })
  return { ours: Number(ours), peer: await peerMemory(graph, data, threads) }
}

async function peerMemory(graph: Graph, data: PeerData, threads: number): Promise<number> {
  const peer = await PyTorchPeer.start(findPyTorch() as string, graph, { threads })
  try {
    const before = await peer.peakBytes(true)
    await peer.step(taken, { data, optimiser: { kind: 'sgd', learningRate: 1e-3, momentum: 0.9, nesterov: true } })
    return (await peer.peakBytes()) - before
  } finally {
    await peer.close()
  }
}

/** The largest resident memory of this process since it was last reset. */
function peakBytes(): number {
  return 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
}

async function main([name, form, threads]: readonly string[]): Promise<void> {
  const network = trainingNetworks.find((item) => item.name === name && item.form === form)?.make() as TrainingNetwork
  writeFileSync('/proc/self/clear_refs', '5')
  const before = peakBytes()
  const { step, close } = steps(network, Number(threads))
  for (let i = 0; i < taken; i++) await step()
  console.log(peakBytes() - before)
  close()
}

if (process.argv[1]?.endsWith('training-memory.js')) await main(process.argv.slice(2))
