// One thread, several networks, several runtimes, measured in turn in one run. Results of all runtimes are compared before anything is timed.

import { createPeer } from '../../bench/onnxruntime.js'
import { gaussian, maxAbsDiff } from '../../bench/harness.js'
import { findPyTorch, PyTorchPeer } from '../../bench/pytorch/peer.js'
import { compress, cost, encodeOnnx, floatTensor, type Graph, Session } from '../../lib/index.js'
import { median } from '../../lib/report/measure.js'
import type { CellContext } from '../framework/experiment.js'
import { findOpenVino, OpenVinoPeer } from '../../bench/openvino/peer.js'

export const runtimes = ['polyadic', 'onnxruntime', 'PyTorch', 'OpenVINO float32', 'OpenVINO default'] as const
export type Runtime = (typeof runtimes)[number]

/** Everything that computes in float32 by its settings; OpenVINO's default may be bfloat16. */
export const float32Runtimes: readonly Runtime[] = ['polyadic', 'onnxruntime', 'PyTorch', 'OpenVINO float32']

export interface Contestant {
  readonly name: string
  readonly graph: Graph
  readonly runtimes: readonly Runtime[]
}

export interface Timing {
  readonly name: string
  readonly runtime: Runtime
  readonly version: string
  /** Milliseconds of a run of the whole batch: the median, and the quartiles of the samples. */
  readonly ms: number
  readonly quartiles: readonly [number, number]
  /** Largest difference from polyadic's output, relative to the largest output. */
  readonly difference: number
}

interface Engine {
  readonly version: string
  readonly output: Float32Array
  /** Milliseconds of one of `count` runs, by the runtime's own clock. */
  readonly time: (count: number) => Promise<number>
  readonly close: () => unknown
}

const settings = { full: { rounds: 15, sampleMs: 50 }, quick: { rounds: 3, sampleMs: 2 } } as const
/** Sums in another order, and bfloat16's eight bits. */
const tolerance = (runtime: Runtime): number => (runtime === 'OpenVINO default' ? 0.1 : 1e-4)

/** Runtimes that are not installed are left out. */
export async function measureLatency(
  contestants: readonly Contestant[],
  dims: readonly number[],
  { scale, progress }: CellContext
): Promise<Timing[]> {
  const entries: { name: string; runtime: Runtime; engine: Engine; difference: number; repeats: number; samples: number[] }[] = []
  try {
    for (const { name, graph, runtimes: wanted } of contestants) {
      let expected: Float32Array | undefined
      for (const runtime of wanted) {
        progress.update('opening', entries.length, contestants.length, `${name} in ${runtime}`)
        const engine = await open(runtime, graph, dims)
        if (engine === undefined) continue
        expected ??= engine.output
        const difference = maxAbsDiff(expected, engine.output) / expected.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)
        entries.push({ name, runtime, engine, difference, repeats: 1, samples: [] })
        if (!(difference <= tolerance(runtime))) throw new Error(`${name}: ${runtime} differs by ${difference} of the largest output`)
      }
    }
    const { rounds, sampleMs } = settings[scale]
    for (const entry of entries) entry.repeats = await calibrate(entry.engine, sampleMs)
    for (let round = 0; round < rounds; round++) {
      progress.update('measuring', round, rounds)
      // Each round begins with another one.
      for (let turn = 0; turn < entries.length; turn++) {
        const entry = entries[(round + turn) % entries.length]
        entry?.samples.push(await entry.engine.time(entry.repeats))
      }
    }
  } finally {
    for (const { engine } of entries) await engine.close()
  }
  return entries.map(({ name, runtime, engine, difference, samples }) => {
    const sorted = [...samples].sort((a, b) => a - b)
    const quarter = sorted.length >> 2
    const quartiles = [sorted[quarter], sorted[sorted.length - 1 - quarter]] as [number, number]
    return { name, runtime, version: engine.version, ms: median(samples), quartiles, difference }
  })
}

/**
 * The dense network in every runtime, and it with layers decomposed, by name, in ours and onnxruntime's. Speed does not depend on the weights: a few
 * iterations make the chains.
 */
export async function measureCompressed(
  dense: Graph,
  compressed: readonly (readonly [name: string, layers: Readonly<Record<string, number>>])[],
  dims: readonly number[],
  context: CellContext
): Promise<Timing[]> {
  const contestants: Contestant[] = [{ name: 'dense', graph: dense, runtimes }]
  for (const [name, layers] of compressed) {
    const { graph } = await compress(dense, { whenSlower: 'replace', layers, seed: 1, maxIterations: 2 })
    contestants.push({ name, graph, runtimes: ['polyadic', 'onnxruntime'] })
  }
  return measureLatency(contestants, dims, context)
}

async function calibrate(engine: Engine, sampleMs: number): Promise<number> {
  await engine.time(2)
  const once = Math.min(await engine.time(1), await engine.time(1))
  return Math.min(2000, Math.max(1, Math.ceil(sampleMs / once)))
}

async function open(runtime: Runtime, graph: Graph, dims: readonly number[]): Promise<Engine | undefined> {
  const [inputName, outputName] = [graph.inputs[0]?.name as string, graph.outputs[0]?.name as string]
  const input = floatTensor(gaussian(dims.reduce((a, b) => a * b, 1)), dims)
  switch (runtime) {
    case 'polyadic': {
      const session = await Session.create(graph, { threads: 1 })
      const run = (): Float32Array => session.runSync({ [inputName]: input })[outputName]?.data as Float32Array
      return { version: '', output: Float32Array.from(run()), time: repeated(run), close: () => session.close() }
    }
    case 'onnxruntime': {
      const peer = await createPeer(encodeOnnx(graph), 1)
      const run = (): Promise<Float32Array> => peer.run(input.data, dims)
      return { version: '', output: await run(), time: repeated(run), close: () => peer.close() }
    }
    case 'PyTorch': {
      const python = findPyTorch()
      if (python === undefined) return undefined
      const peer = await PyTorchPeer.start(python, graph, { threads: 1 })
      const { output } = await peer.infer(1, { values: input.data, dims })
      return { version: peer.version, output, time: async (count) => (await peer.infer(count)).ms, close: () => peer.close() }
    }
    default: {
      const python = findOpenVino()
      if (python === undefined) return undefined
      const precision = runtime === 'OpenVINO float32' ? 'f32' : undefined
      const peer = await OpenVinoPeer.start(python, encodeOnnx(graph), { precision, dims, threads: 1 })
      const output = await peer.load(input.data)
      return { version: peer.version, output, time: (count) => peer.time(count), close: () => peer.close() }
    }
  }
}

function repeated(run: () => unknown): Engine['time'] {
  return async (count) => {
    const started = performance.now()
    for (let i = 0; i < count; i++) await run()
    return (performance.now() - started) / count
  }
}

/** Multiply-adds of a run. */
export function macsOf(graph: Graph, dims: readonly number[]): number {
  return cost(graph, { [graph.inputs[0]?.name as string]: dims }).macs
}
