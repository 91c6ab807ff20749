import { encodeOnnx, type Graph } from '../lib/index.js'
import type { Candidate } from '../lib/report/measure.js'
import { createPeer } from './onnxruntime.js'
import { findOpenVino, OpenVinoPeer } from './openvino/peer.js'
import { findPyTorch, PyTorchPeer } from './pytorch/peer.js'

/** Another runtime with a network loaded and its input given. */
export interface InferencePeer {
  readonly candidate: Candidate
  readonly output: Float32Array
  /** Largest difference to ours that counts as the same result, relative to the largest output. */
  readonly tolerance: number
  close(): Promise<void>
}

interface Start {
  readonly graph: Graph
  readonly input: Float32Array
  readonly dims: readonly number[]
  readonly threads: number
}

/** float32 in another order; bfloat16 keeps eight bits, and errors of a deep network add up. */
export const tolerances = { f32: 1e-4, other: 0.05 } as const

const starters: Readonly<Record<string, (start: Start) => Promise<InferencePeer | undefined>>> = {
  onnxruntime: async ({ graph, input, dims, threads }) => {
    const peer = await createPeer(encodeOnnx(graph), threads)
    const { output, run } = await peer.repeated(input, dims)
    return {
      candidate: { name: peer.name, run },
      output,
      tolerance: tolerances.f32,
      close: () => peer.close()
    }
  },
  pytorch: async ({ graph, input, dims, threads }) => {
    const python = found('pytorch', findPyTorch)
    if (python === undefined) return undefined
    const peer = await PyTorchPeer.start(python, graph, { threads })
    const { output } = await peer.infer(1, { values: input, dims })
    const time = async (runs: number): Promise<number> => (await peer.infer(runs)).ms
    return { candidate: { name: peer.name, run: () => time(1), time }, output, tolerance: tolerances.f32, close: () => peer.close() }
  },
  openvino: (start) => openVino(start, 'f32'),
  'openvino-default': (start) => openVino(start, undefined)
}

async function openVino({ graph, input, dims, threads }: Start, precision: 'f32' | undefined): Promise<InferencePeer | undefined> {
  const python = found('openvino', findOpenVino)
  if (python === undefined) return undefined
  const peer = await OpenVinoPeer.start(python, encodeOnnx(graph), { precision, dims, threads })
  const output = await peer.load(input)
  const time = (runs: number): Promise<number> => peer.time(runs)
  return {
    candidate: {
      name: `OpenVINO ${peer.version} ${peer.precision}${precision === undefined ? ' (its default)' : ''}`,
      run: () => time(1),
      time
    },
    output,
    tolerance: peer.precision === 'f32' ? tolerances.f32 : tolerances.other,
    close: () => peer.close()
  }
}

const pythons = new Map<string, string | undefined>()

/** Looks once, and says once what is not there. */
function found(name: string, find: () => string | undefined): string | undefined {
  if (!pythons.has(name)) {
    pythons.set(name, find())
    if (pythons.get(name) === undefined)
      console.error(`bench: no Python here has ${name}; it is left out (CONTRIBUTING.md says how to get it)`)
  }
  return pythons.get(name)
}

export const peerNames: readonly string[] = Object.keys(starters)

/** Those of `names` that this machine has, started one after another. */
export async function startPeers(names: readonly string[], start: Start): Promise<InferencePeer[]> {
  const peers: InferencePeer[] = []
  for (const name of names) {
    const peer = await starters[name]?.(start)
    if (peer !== undefined) peers.push(peer)
  }
  return peers
}
