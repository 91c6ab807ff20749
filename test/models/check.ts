import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import type { Test } from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { readOnnx } from '../../lib/onnx/read.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { compress } from '../../lib/replacement/compress.js'
import type { CompressOptions } from '../../lib/replacement/options.js'
import { type CompressibleLayer, compressibleLayers } from '../../lib/replacement/layers.js'
import { measureInterleaved } from '../../lib/report/measure.js'
import { Session } from '../../lib/runtime/session.js'
import { arrayType, elementCount, floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { generator } from '../helpers/plan-builder.js'

export interface NetworkCheck {
  readonly path: string
  /** Of the network's first input. */
  readonly dims?: readonly number[]
  /** Shapes or contents of inputs. Dims that the network leaves open are 1 where nothing is said. */
  readonly inputs?: Readonly<Record<string, readonly number[] | Tensor>>
  /** Instead of noise, something like lines of text: noise shows a detector of text nothing. */
  readonly strokes?: boolean
  /** How many layers can be replaced at least: none are found in the branches of an If. */
  readonly leastLayers?: number
  /** Layers of at most this many weights are also decomposed at R = Cout/2. */
  readonly halfLimit?: number
  /** Of the half rank. Default: a few sweeps, since weights are random, or all alike, and what is left then says nothing. */
  readonly solver?: Partial<CompressOptions>
}

type Feeds = Readonly<Record<string, Tensor>>

/** Of the largest output in magnitude. */
const tolerance = 1e-3
/** Outputs smaller than this are zero: a saturated sigmoid may be 1e-40 here and 0 there. */
const smallest = 1e-6

type Outputs = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>>

/**
 * What must hold for every network that somebody brings, by onnxruntime: written as it was read it computes the same bits; with every layer
 * at full rank the same up to rounding; at half rank it is valid and runs. Our own Session agrees on all three.
 */
export async function checkNetwork(t: Test, check: NetworkCheck): Promise<void> {
  const folder = t.testdir()
  const file = (name: string): string => join(folder, `${name}.onnx`)
  const graph = await readOnnx(check.path)
  const feeds = feedsOf(graph, check)
  const reference = await onnxruntime(check.path, graph, feeds)
  await writeOnnx(graph, file('exported'))
  const exported = await onnxruntime(file('exported'), graph, feeds)
  t.strictSame(exported, reference, 'exported as it was imported: the same bits')
  await agree(t, 'our session', await ours(graph, feeds), reference)

  const layers = compressibleLayers(graph)
  const least = check.leastLayers ?? 1
  t.ok(layers.length >= least, `${layers.length} layers can be replaced`)
  if (layers.length === 0) return checkByOnnx(t, [file('exported')])
  const full = await compress(graph, { layers: Object.fromEntries(layers.map(({ name }) => [name, 'full'])) })
  await writeOnnx(full.graph, file('full'))
  await agree(t, `${layers.length} layers at full rank`, await onnxruntime(file('full'), graph, feeds), reference)
  await agree(t, 'the same in our session', await ours(full.graph, feeds), reference)

  const ranks = halfRanks(layers, check.halfLimit ?? 4e6)
  const inputShapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]))
  const half = await compress(graph, {
    whenSlower: 'replace',
    method: 'als',
    maxIterations: 4,
    ...check.solver,
    layers: ranks,
    inputShapes
  })
  await writeOnnx(half.graph, file('half'))
  await agree(t, 'half rank, our session', await ours(half.graph, feeds), await onnxruntime(file('half'), graph, feeds))
  await checkByOnnx(t, ['exported', 'full', 'half'].map(file))
  t.comment(await report(graph, half.graph, feeds, `${Object.keys(ranks).length} of ${layers.length} layers at R = Cout/2`))
}

/** Noise, or what is given. */
function feedsOf(graph: Graph, { dims: first, inputs = {}, strokes = false }: NetworkCheck): Feeds {
  const random = generator(1)
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, dims: own }, i) => {
      const given = inputs[name] ?? (i === 0 ? first : undefined)
      if (given !== undefined && 'data' in given) return [name, given]
      const dims = given ?? (own ?? []).map((dim) => (typeof dim === 'number' && dim > 0 ? dim : 1))
      if (dtype === 'float32') return [name, floatTensor(strokes ? textLike(dims) : random.normal(elementCount(dims)), dims)]
      const levels = Array.from({ length: elementCount(dims) }, () => random.integer(0, 255))
      return [
        name,
        dtype === 'int64' ? int64Tensor(levels, dims) : { dtype, dims, data: new (arrayType(dtype) as Int32ArrayConstructor)(levels) }
      ]
    })
  )
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

async function onnxruntime(path: string, graph: Graph, feeds: Feeds): Promise<Outputs> {
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const tensors = Object.entries(feeds).map(([name, { dtype, data, dims }]) => [
    name,
    new ort.Tensor(dtype as 'float32', data as Float32Array, dims)
  ])
  const results = (await session.run(Object.fromEntries(tensors) as Record<string, ort.Tensor>)) as Record<string, ort.Tensor>
  await session.release()
  return Object.fromEntries(
    graph.outputs.map(({ name }) => {
      const { dims, data } = results[name] as ort.Tensor
      return [name, { dims: [...dims], data: Float32Array.from(data as Float32Array, Number) }]
    })
  )
}

async function ours(graph: Graph, feeds: Feeds): Promise<Outputs> {
  await using session = await Session.create(graph)
  const results = await session.run(feeds)
  return Object.fromEntries(
    graph.outputs.map(({ name }) => {
      const { dims, data } = results[name] as Tensor
      return [name, { dims, data: data instanceof Float32Array ? data : Float32Array.from(data as Int32Array, Number) }]
    })
  )
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

async function report(before: Graph, after: Graph, feeds: Feeds, what: string): Promise<string> {
  const sessions = [await Session.create(before), await Session.create(after)]
  const measured = await measureInterleaved(
    sessions.map((session, i) => ({ name: String(i), run: () => session.run(feeds) })),
    { runs: 5, warmup: 1 }
  )
  for (const session of sessions) session.close()
  const count = (graph: Graph): string => (compressibleLayers(graph).reduce((sum, { parameters }) => sum + parameters, 0) / 1e6).toFixed(2)
  const ms = measured.map(({ medianMs }) => medianMs.toFixed(1))
  return `${what}: ${count(before)} M → ${count(after)} M weights, ${ms.join(' → ')} ms on one thread (busy machines mislead)`
}
