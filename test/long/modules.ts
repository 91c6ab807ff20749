import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as ort from 'onnxruntime-node'
import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { compress } from '../../lib/replacement/compress.js'
import { compressibleLayers } from '../../lib/replacement/layers.js'
import { Session } from '../../lib/runtime/session.js'
import { elementCount, floatTensor, type FloatTensor } from '../../lib/tensor.js'
import { generator } from '../helpers/plan-builder.js'

/*
 * Small modules as PyTorch exports them, in opsets 9 to 17 and with open dimensions (POLYADIC_TORCH_PYTHON: a Python with torch): ours is
 * onnxruntime's result, what is written again computes the same bits, and with every layer at full rank the same up to rounding.
 */
const script = fileURLToPath(new URL('../models/export_modules.py', import.meta.url))

/** Of the largest output: float32 sums in two orders, and a decomposition that is exact but for rounding. */
const tolerances = { ours: 1e-4, full: 1e-3 }

type Values = ArrayLike<number | bigint>

async function reference(bytes: Uint8Array, x: FloatTensor): Promise<{ dims: readonly number[]; data: Values }> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  // With functions, the exporter does not give the output the name that it was told.
  const [y] = Object.values(await session.run({ x: new ort.Tensor('float32', x.data, x.dims) }))
  await session.release()
  return { dims: y?.dims ?? [], data: y?.data as Values }
}

function difference(actual: Values, expected: Values): number {
  let [scale, worst] = [1e-6, 0]
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(Number(expected[i])))
    worst = Math.max(worst, Math.abs(Number(actual[i]) - Number(expected[i])))
  }
  return worst / scale
}

async function atFullRank(graph: Graph): Promise<Uint8Array | undefined> {
  const names = compressibleLayers(graph).map(({ name }) => name)
  if (names.length === 0) return undefined
  return encodeOnnx((await compress(graph, { layers: Object.fromEntries(names.map((name) => [name, 'full'])) })).graph)
}

t.test('modules as PyTorch exports them', async (t) => {
  const folder = t.testdir()
  const python = process.env.POLYADIC_TORCH_PYTHON ?? '/usr/bin/python3'
  const made = await promisify(execFile)(python, [script, folder]).catch((error: Error) => error)
  if (made instanceof Error && /No module named .torch|ENOENT/.test(made.message)) return t.comment('SKIPPED: needs a Python with torch')
  if (made instanceof Error) throw made
  const cases = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { name: string; dims: number[] }[]
  t.ok(cases.length > 250, `${cases.length} models`)
  for (const { name, dims } of cases) {
    const bytes = new Uint8Array(await readFile(join(folder, `${name}.onnx`)))
    const x = floatTensor(generator(5).normal(elementCount(dims)), dims)
    const expected = await reference(bytes, x).catch(() => undefined)
    // Upsample of opset 9 that makes smaller, which onnxruntime has not.
    if (expected === undefined) {
      t.match(name, /^interp_down_9$/, `${name}: onnxruntime refuses it`)
      continue
    }
    const graph = decodeOnnx(bytes)
    await using session = await Session.create(graph)
    const [y] = Object.values(await session.run({ x }))
    const own = y?.dims.join() === expected.dims.join() ? difference(y?.data as Values, expected.data) : Number.NaN
    t.ok(own <= tolerances.ours, `${name}: differs by ${own.toExponential(1)}`)
    t.same((await reference(encodeOnnx(graph), x)).data, expected.data, `${name}: the same bits when written again`)
    const full = await atFullRank(graph)
    if (full === undefined) continue
    const after = difference((await reference(full, x)).data, expected.data)
    t.ok(after <= tolerances.full, `${name}: at full rank differs by ${after.toExponential(1)}`)
  }
})
