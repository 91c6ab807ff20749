import * as ort from 'onnxruntime-node'
import t from 'tap'
import type { Graph, Node } from '../../lib/graph/graph.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { compressWith } from '../../lib/replacement/compress.js'
import { kernelTensor } from '../../lib/replacement/kernel-tensor.js'
import { readLayer } from '../../lib/replacement/layer.js'
import { Session } from '../../lib/runtime/session.js'
import { elementCount, type FloatTensor, floatTensor } from '../../lib/tensor.js'
import { convCases } from './conv-cases.js'
import { convGraph, exactSolve, normals } from './helpers.js'

async function polyadic(graph: Graph, x: FloatTensor): Promise<FloatTensor> {
  await using session = await Session.create(graph)
  return (await session.run({ x })).y as FloatTensor
}

async function onnxruntime(graph: Graph, x: FloatTensor): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(encodeOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const { y } = await session.run({ x: new ort.Tensor('float32', x.data, x.dims) })
  await session.release()
  return y as ort.Tensor
}

t.test('the dense layer in onnxruntime, its exact chain there and here: one result', async (t) => {
  for (const one of convCases) {
    const graph = convGraph(one)
    const { dims } = kernelTensor(readLayer(graph, graph.nodes[0] as Node))
    const { graph: chain } = await compressWith(graph, { layers: { conv: elementCount(dims.slice(0, -1)) } }, () => exactSolve)
    const shape = [2, ...one.input]
    const x = floatTensor(normals(elementCount(shape), 5), shape)
    const expected = await onnxruntime(graph, x)
    for (const [where, actual] of [
      ['onnxruntime', await onnxruntime(chain, x)],
      ['polyadic', await polyadic(chain, x)]
    ] as const) {
      t.strictSame(actual.dims, expected.dims)
      const values = expected.data as Float32Array
      const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - (actual.data[i] as number))), 0)
      // Up to a hundred float32 products in two orders.
      t.ok(error < 2e-5 * Math.max(...values.map(Math.abs)), `${one.title}, ${where}: ${error}`)
    }
  }
})
