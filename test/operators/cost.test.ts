import t from 'tap'
import { int } from '../../lib/graph/rewrite.js'
import { cost } from '../../lib/operators/cost.js'
import type { ValueInfo } from '../../lib/graph/graph.js'
import { halfWeights } from '../../lib/replacement/half-weights.js'
import { fromFloat32 } from '../../lib/tensor.js'
import { charNet } from '../helpers/charnet.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

void t.test("CharNet costs what the paper's architecture does", (t) => {
  const { macs, parameters, nodes } = cost(charNet())
  const layers = nodes.filter((node) => node.opType === 'Conv')
  t.same(
    layers.map((node) => node.macs),
    [1_990_656, 31_850_496, 2_097_152, 18_432]
  )
  t.same(
    layers.map((node) => node.outputDims),
    [
      [1, 96, 16, 16],
      [1, 128, 8, 8],
      [1, 512, 1, 1],
      [1, 144, 1, 1]
    ]
  )
  t.equal(macs, 35_956_736)
  t.equal(parameters, 2_621_024 + 96 + 128 + 512 + 144)
  t.equal(cost(charNet(), { patches: [64, 1, 24, 24] }).macs, 64 * macs)
  t.end()
})

void t.test('weights of every floating-point type count, those behind a Cast as well', (t) => {
  const float32 = charNet()
  const { macs, parameters } = cost(float32)
  for (const type of ['float64', 'float16', 'bfloat16'] as const) {
    const initializers = new Map(
      [...float32.initializers].map(([name, tensor]) => [
        name,
        tensor.dtype === 'float32' ? fromFloat32(tensor.data as Float32Array, tensor.dims, type) : tensor
      ])
    )
    const typed = ({ dtype, ...value }: ValueInfo) => ({ ...value, dtype: dtype === 'float32' ? type : dtype })
    const graph = { ...float32, initializers, inputs: float32.inputs.map(typed), outputs: float32.outputs.map(typed) }
    t.match(cost({ ...graph, valueInfo: [] }), { macs, parameters }, type)
  }
  t.match(cost(halfWeights(float32, 'float16')), { macs, parameters })
  t.end()
})

void t.test('groups, products and what is shared', (t) => {
  const b = new NetworkBuilder()
  const w = b.weight(8, 2, 3, 3)
  const x = b.input([2, 8, 6, 6])
  const y = b.node('Conv', [b.node('Conv', [x, w], { group: int(4), pads: [1, 1, 1, 1] }), w], { group: int(4) })
  const z = b.node('Gemm', [b.node('Flatten', [y]), b.weight(128, 5), b.weight(5)])
  const { macs, parameters, nodes } = cost(b.graph(z))
  t.same(
    nodes.map((node) => node.macs),
    [2 * 8 * 36 * 18, 2 * 8 * 16 * 18, 0, 2 * 5 * 128]
  )
  t.same(
    nodes.map((node) => node.parameters),
    [144, 144, 0, 645]
  )
  t.equal(parameters, 144 + 645)
  t.equal(
    macs,
    nodes.reduce((sum, node) => sum + node.macs, 0)
  )
  t.end()
})
