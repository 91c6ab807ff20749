import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import type { Test } from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { readOnnx } from '../../lib/onnx/read.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { type CompressOptions, compress } from '../../lib/replacement/compress.js'
import { type CompressibleLayer, compressibleLayers } from '../../lib/replacement/layers.js'
import { measureInterleaved } from '../../lib/report/measure.js'
import { Session } from '../../lib/runtime/session.js'
import { elementCount, floatTensor, type FloatTensor } from '../../lib/tensor.js'
import { generator } from '../helpers/plan-builder.js'

export interface NetworkCheck {
  readonly path: string
  /** Of the network's only input. */
  readonly dims: readonly number[]
  /** Instead of noise, something like lines of text: noise shows a detector of text nothing. */
  readonly strokes?: boolean
  /** Layers of at most this many weights are also decomposed at R = Cout/2. */
  readonly halfLimit?: number
  /** Of the half rank. Default: a few sweeps, since weights are random, or all alike, and what is left then says nothing. */
  readonly solver?: Partial<CompressOptions>
}

/** Of the largest output in magnitude. */
const tolerance = 1e-3
/** Outputs smaller than this are zero: a saturated sigmoid may be 1e-40 here and 0 there. */
const smallest = 1e-6

type Outputs = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>>

/**
 * What must hold for every network that somebody brings, by onnxruntime: written as it was read it computes the same bits; with every layer
 * at full rank the same up to rounding; at half rank it is valid and runs. Our own Session agrees on all three.
 */
export async function checkNetwork(t: Test, { path, dims, strokes = false, halfLimit = 4e6, solver = {} }: NetworkCheck): Promise<void> {
  const folder = t.testdir()
  const file = (name: string): string => join(folder, `${name}.onnx`)
  const graph = await readOnnx(path)
  const input = floatTensor(strokes ? textLike(dims) : generator(1).normal(elementCount(dims)), dims)
  const reference = await onnxruntime(path, graph, input)
  await writeOnnx(graph, file('exported'))
  const exported = await onnxruntime(file('exported'), graph, input)
  t.strictSame(exported, reference, 'exported as it was imported: the same bits')
  await agree(t, 'our session', await ours(graph, input), reference)

  const layers = compressibleLayers(graph)
  t.ok(layers.length > 0)
  const full = await compress(graph, { layers: Object.fromEntries(layers.map(({ name }) => [name, 'full'])) })
  await writeOnnx(full.graph, file('full'))
  await agree(t, `${layers.length} layers at full rank`, await onnxruntime(file('full'), graph, input), reference)
  await agree(t, 'the same in our session', await ours(full.graph, input), reference)

  const ranks = halfRanks(layers, halfLimit)
  const options = { method: 'als', maxIterations: 4, ...solver } as const
  const half = await compress(graph, { whenSlower: 'replace', ...options, layers: ranks, inputShapes: { [graph.inputs[0]?.name as string]: dims } })
  await writeOnnx(half.graph, file('half'))
  await agree(t, 'half rank, our session', await ours(half.graph, input), await onnxruntime(file('half'), graph, input))
  await checkByOnnx(t, ['exported', 'full', 'half'].map(file))
  t.comment(await report(graph, half.graph, input, `${Object.keys(ranks).length} of ${layers.length} layers at R = Cout/2`))
}

/** Lines of black and white blocks of 4×4 pixels on a white page, N×C×H×W. */
function textLike(dims: readonly number[]): Float32Array {
  const [height = 1, width = 1] = dims.slice(-2)
  const random = generator(2)
  const isBlack = Array.from({ length: Math.ceil(height / 4) * Math.ceil(width / 4) }, () => random.next() < 0.5)
  return Float32Array.from({ length: elementCount(dims) }, (_, i) => {
    const [y, x] = [Math.floor(i / width) % height, i % width]
    const inLine = y % 40 >= 8 && y % 40 < 32
    return inLine && isBlack[Math.floor(y / 4) * Math.ceil(width / 4) + Math.floor(x / 4)] === true ? -2 : 2
  })
}

/** R = Cout/2 (of a group), where that is below full rank. */
function halfRanks(layers: readonly CompressibleLayer[], limit: number): Record<string, number> {
  const ranked = layers.map(({ name, kernel, groups, fullRank, parameters }) => {
    const rank = Math.max(1, Math.floor((kernel[0] as number) / groups / 2))
    return { name, rank, isMeant: rank < fullRank && parameters <= limit }
  })
  return Object.fromEntries(ranked.filter(({ isMeant }) => isMeant).map(({ name, rank }) => [name, rank]))
}

async function onnxruntime(path: string, graph: Graph, input: FloatTensor): Promise<Outputs> {
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const results = await session.run({ [graph.inputs[0]?.name as string]: new ort.Tensor('float32', input.data, input.dims) })
  await session.release()
  return Object.fromEntries(
    graph.outputs.map(({ name }) => {
      const { dims, data } = results[name] as ort.Tensor
      return [name, { dims: [...dims], data: Float32Array.from(data as Float32Array) }]
    })
  )
}

async function ours(graph: Graph, input: FloatTensor): Promise<Outputs> {
  await using session = await Session.create(graph)
  const results = await session.run({ [graph.inputs[0]?.name as string]: input })
  return Object.fromEntries(graph.outputs.map(({ name }) => [name, results[name] as FloatTensor]))
}

async function agree(t: Test, what: string, actual: Outputs, expected: Outputs): Promise<void> {
  for (const [name, { dims, data }] of Object.entries(expected)) {
    const own = actual[name]
    t.strictSame(own?.dims, dims, `${what}: shape of ${name}`)
    const scale = data.reduce((most, value) => Math.max(most, Math.abs(value)), smallest)
    const error = data.reduce((most, value, i) => Math.max(most, Math.abs(value - (own?.data[i] ?? Number.NaN))), 0)
    t.ok(error <= tolerance * scale, `${what}: ${name} differs by ${(error / scale).toExponential(1)} of its scale ${scale.toPrecision(3)}`)
  }
}

/** ONNX's own checker, where a Python that has it is named: POLYADIC_ONNX_PYTHON. */
async function checkByOnnx(t: Test, files: readonly string[]): Promise<void> {
  const python = process.env.POLYADIC_ONNX_PYTHON
  if (python === undefined) return
  const script = 'import onnx, sys\nfor path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)'
  await promisify(execFile)(python, ['-c', script, ...files])
  t.pass(`the ONNX checker accepts ${files.length} files`)
}

async function report(before: Graph, after: Graph, input: FloatTensor, what: string): Promise<string> {
  const sessions = [await Session.create(before), await Session.create(after)]
  const feeds = { [before.inputs[0]?.name as string]: input }
  const measured = await measureInterleaved(
    sessions.map((session, i) => ({ name: String(i), run: () => session.run(feeds) })),
    { runs: 5, warmup: 1 }
  )
  for (const session of sessions) session.close()
  const count = (graph: Graph): string => (compressibleLayers(graph).reduce((sum, { parameters }) => sum + parameters, 0) / 1e6).toFixed(2)
  const ms = measured.map(({ medianMs }) => medianMs.toFixed(1))
  return `${what}: ${count(before)} M → ${count(after)} M weights, ${ms.join(' → ')} ms on one thread (busy machines mislead)`
}
