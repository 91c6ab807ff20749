// Trainings, decompositions and runs side by side, some aborted: every one of them comes to an end, and the same seed gives the same weights.
import assert from 'node:assert/strict'
import { cpd, fineTune, floatTensor, initialise, makeGraph, makeNode } from '../../../dist/lib/index.js'
import { count, prepared, same, values } from './common.mjs'

const conv = makeNode({ opType: 'Conv', inputs: ['x', 'w', 'b'], outputs: ['h'], attributes: { pads: [1, 1, 1, 1] } })
const graph = initialise(
  makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 1, 8, 8] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 4] }],
    initializers: new Map([
      ['w', floatTensor(new Float32Array(8 * 9), [8, 1, 3, 3])],
      ['b', floatTensor(new Float32Array(8), [8])],
      ['f', floatTensor(new Float32Array(512 * 4), [512, 4])],
      ['g', floatTensor(new Float32Array(4), [4])]
    ]),
    nodes: [
      conv,
      makeNode({ opType: 'Relu', inputs: ['h'], outputs: ['r'] }),
      makeNode({ opType: 'Flatten', inputs: ['r'], outputs: ['v'] }),
      makeNode({ opType: 'Gemm', inputs: ['v', 'f', 'g'], outputs: ['y'] })
    ]
  }),
  { seed: 3 }
)
const train = { images: values(256 * 64), labels: Int32Array.from({ length: 256 }, (_, i) => i % 4), count: 256 }
const settled = { trained: 0, decomposed: 0, run: 0, aborted: 0 }
const { session, x, expected } = await prepared()
const tensor = floatTensor(values(8 * 6 * 25), [8, 6, 5, 5])
let first

for (let round = 0; round < count(20); round++) {
  const controller = new AbortController()
  const aborted = fineTune(graph, { train, epochs: 1000, batchSize: 32, threads: 2, signal: controller.signal })
  aborted.catch(() => {})
  setTimeout(() => controller.abort(new Error('enough')), round)
  await Promise.all([
    fineTune(graph, { train, epochs: 2, batchSize: 32, threads: 2, seed: 5 }).then(({ graph: tuned }) => {
      const weights = tuned.initializers.get('w').data
      first ??= weights
      assert(same(weights, first))
      settled.trained++
    }),
    cpd(tensor, { rank: 3, maxIterations: 20, threads: 2, onProgress: () => {} }).then(() => settled.decomposed++),
    ...Array.from({ length: 8 }, async () => {
      assert(same((await session.run({ x })).y.data, expected))
      settled.run++
    }),
    aborted.catch((error) => {
      assert.equal(error.message, 'enough')
      settled.aborted++
    })
  ])
}
assert.equal(settled.trained, settled.aborted)
console.log(JSON.stringify(settled))
