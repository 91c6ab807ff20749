import { spawn } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import t from 'tap'
import type { Test } from 'tap'
import type { ValueInfo } from '../../lib/graph/graph.js'
import { makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'

const mebibyte = 2 ** 20

/** y = x·W0·W1·… with `count` matrices of 4 MiB. They share one array, so that a large file is made of little memory. */
async function writeLarge(path: string, count: number): Promise<void> {
  const weights = floatTensor(
    new Float32Array(1024 * 1024).map((_, i) => Math.sin(i) / 512),
    [1024, 1024]
  )
  const names = Array.from({ length: count }, (_, i) => `layers.${i}.weight`)
  const value = (i: number): string => (i === 0 ? 'x' : i === count ? 'y' : `h${i}`)
  const info = (name: string): ValueInfo => ({ name, dtype: 'float32', dims: ['N', 1024] })
  const nodes = names.map((name, i) => makeNode({ opType: 'MatMul', inputs: [value(i), name], outputs: [value(i + 1)] }))
  const initializers = new Map(names.map((name) => [name, weights]))
  await writeOnnx(makeGraph({ inputs: [info('x')], outputs: [info('y')], nodes, initializers }), path)
}

/** Peak memory (bytes, of the whole process) of a fresh Node that reads `source` and, if it is told to, writes `target`. */
async function peak(source: string, target?: string, options = '{}'): Promise<{ before: number; loaded: number; written: number }> {
  const script = `
    const { readOnnx, writeOnnx } = await import(${JSON.stringify(new URL('../../dist/lib/index.js', import.meta.url).href)})
    const peak = () => process.resourceUsage().maxRSS * 1024
    const before = peak()
    const graph = await readOnnx(${JSON.stringify(source)})
    const loaded = peak()
    if (${target !== undefined}) await writeOnnx(graph, ${JSON.stringify(target ?? '')}, ${options})
    console.log(JSON.stringify({ before, loaded, written: peak(), count: graph.initializers.size }))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH }
  })
  let output = ''
  child.stdout.on('data', (piece) => (output += String(piece)))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`the child ended with ${String(code)}`)
  return JSON.parse(output) as { before: number; loaded: number; written: number }
}

function ratio(t: Test, what: string, bytes: number, size: number, most: number): void {
  const value = bytes / size
  t.ok(
    value < most,
    `${what}: a peak of ${(bytes / 2 ** 30).toFixed(2)} GiB, ${value.toFixed(2)}× the model's ${(size / 2 ** 30).toFixed(2)} GiB`
  )
}

t.test('1.5 GB: memory while it is read and written', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'large.onnx')
  await writeLarge(path, 360)
  const { size } = await stat(path)
  t.ok(size > 1.5e9)
  const { loaded, written } = await peak(path, join(folder, 'again.onnx'))
  ratio(t, 'reading', loaded, size, 1.2)
  ratio(t, 'reading and writing', written, size, 1.3)
  t.equal((await stat(join(folder, 'again.onnx'))).size, size, 'it is the same size again')
  const beside = await peak(path, join(folder, 'beside.onnx'), "{ externalData: 'always' }")
  ratio(t, 'written with its data beside it', beside.written, size, 1.3)
  const again = await peak(join(folder, 'beside.onnx'))
  ratio(t, 'data beside it, reading', again.loaded, size, 1.2)
})

t.test('more than 2 GiB goes beside the model by itself, and comes back', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'large.onnx')
  await writeLarge(path, 560)
  t.strictSame((await readdir(folder)).sort(), ['large.onnx', 'large.onnx.data'])
  t.ok((await stat(path)).size < mebibyte)
  const { size } = await stat(`${path}.data`)
  t.ok(size > 2 ** 31)
  const { loaded, written } = await peak(path, join(folder, 'written.onnx'))
  ratio(t, 'reading', loaded, size, 1.2)
  ratio(t, 'reading and writing', written, size, 1.3)
  t.strictSame((await readdir(folder)).sort(), ['large.onnx', 'large.onnx.data', 'written.onnx', 'written.onnx.data'])
  const session = await ort.InferenceSession.create(join(folder, 'written.onnx'), {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'disabled'
  })
  const { y } = await session.run({ x: new ort.Tensor('float32', new Float32Array(1024).fill(1), [1, 1024]) })
  await session.release()
  t.ok((y as ort.Tensor).dims.join() === '1,1024' && (y?.data as Float32Array | undefined)?.every(Number.isFinite), 'onnxruntime runs it')
})
