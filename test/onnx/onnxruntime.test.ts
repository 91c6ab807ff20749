import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import t from 'tap'
import { float, int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import type { Graph } from '../../lib/graph/graph.js'
import { decodeOnnx, readOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx, writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { encodeModel, floatType } from '../helpers/onnx-builder.js'

/** Values in [-1, 1] that look random and are always the same. */
const values = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + 1) * Math.cos(i * 3.7))

const weights = { w: [4, 3, 3, 3], b: [4], fc: [5, 64], fb: [5] } as const
const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)

/** Conv 3→4, 3×3, pads 1 → Relu → Flatten → Gemm 64→5 on 3×4×4 images, encoded by protobufjs. */
const original = encodeModel({
  ir_version: 8,
  opset_import: [{ version: 17 }],
  graph: {
    name: 'cnn',
    node: [
      {
        op_type: 'Conv',
        input: ['x', 'w', 'b'],
        output: ['c'],
        attribute: [
          { name: 'kernel_shape', type: 7, ints: [3, 3] },
          { name: 'pads', type: 7, ints: [1, 1, 1, 1] }
        ]
      },
      { op_type: 'Relu', input: ['c'], output: ['r'] },
      { op_type: 'Flatten', input: ['r'], output: ['f'], attribute: [{ name: 'axis', type: 2, i: 1 }] },
      {
        op_type: 'Gemm',
        input: ['f', 'fc', 'fb'],
        output: ['y'],
        attribute: [
          { name: 'transB', type: 2, i: 1 },
          { name: 'alpha', type: 1, f: 0.5 }
        ]
      }
    ],
    initializer: Object.entries(weights).map(([name, dims]) => ({ name, data_type: 1, dims, float_data: [...values(size(dims))] })),
    input: [{ name: 'x', type: floatType('N', 3, 4, 4) }],
    output: [{ name: 'y', type: floatType('N', 5) }]
  }
})

/** The same network made by our own helpers. */
function makeNetwork(): Graph {
  return makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 3, 4, 4] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 5] }],
    nodes: [
      makeNode({ opType: 'Conv', inputs: ['x', 'w', 'b'], outputs: ['c'], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } }),
      makeNode({ opType: 'Relu', inputs: ['c'], outputs: ['r'] }),
      makeNode({ opType: 'Flatten', inputs: ['r'], outputs: ['f'], attributes: { axis: int(1) } }),
      makeNode({ opType: 'Gemm', inputs: ['f', 'fc', 'fb'], outputs: ['y'], attributes: { transB: int(1), alpha: float(0.5) } })
    ],
    initializers: new Map(Object.entries(weights).map(([name, dims]) => [name, floatTensor(values(size(dims)), dims)]))
  })
}

async function run(model: Uint8Array | string): Promise<number[]> {
  const options = { intraOpNumThreads: 1 }
  const session = await (typeof model === 'string'
    ? ort.InferenceSession.create(model, options)
    : ort.InferenceSession.create(model, options))
  const { y } = await session.run({ x: new ort.Tensor('float32', values(2 * 48), [2, 3, 4, 4]) })
  await session.release()
  return Array.from(y?.data as Float32Array)
}

t.test('onnxruntime computes the same before and after a round trip', async (t) => {
  const expected = await run(original)
  t.equal(expected.length, 10)
  t.ok(expected.every(Number.isFinite))
  const path = join(t.testdir(), 'm.onnx')
  await writeOnnx(await readOnnx(original), path)
  t.same(await run(path), expected)
  const { carried: _, ...bare } = decodeOnnx(original)
  t.same(await run(encodeOnnx(bare)), expected, 'without what the file carried')
  t.same(await run(encodeOnnx(makeNetwork())), expected, 'made from scratch')
})
