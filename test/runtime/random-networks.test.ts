import * as ort from 'onnxruntime-node'
import t from 'tap'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { Session } from '../../lib/runtime/session.js'
import { elementCount, floatTensor } from '../../lib/tensor.js'
import { generator } from '../helpers/plan-builder.js'
import { randomNetwork } from '../helpers/random-network.js'

// More of them: RANDOM_NETWORKS=20000 RANDOM_SEED=7 npx tap -t 3600 test/runtime/random-networks.test.ts
const count = Number(process.env.RANDOM_NETWORKS ?? 250)
const first = Number(process.env.RANDOM_SEED ?? 1)

// float32 sums in two orders, through up to ten nodes; of the largest output, or of 1 where all are small.
const tolerance = 1e-4

/** What differs from onnxruntime; 'refused' where that does not take the network (pads that a pool's window does not reach, say). */
async function compare(seed: number): Promise<string | undefined> {
  const { graph, dims } = randomNetwork(seed)
  const data = generator(seed).normal(elementCount(dims))
  const other = await ort.InferenceSession.create(encodeOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 4 }).catch(() => undefined)
  const expected = await other?.run({ x0: new ort.Tensor('float32', data, dims) }).catch(() => undefined)
  await other?.release()
  if (expected === undefined) return 'refused'
  await using session = await Session.create(graph)
  const results = await session.run({ x0: floatTensor(data, dims) })
  for (const { name } of graph.outputs) {
    const [own, wanted] = [results[name], expected[name]]
    if (own?.dims.join() !== wanted?.dims.join()) return `${name}: shape ${own?.dims}, onnxruntime has ${wanted?.dims}`
    const values = wanted?.data as Float32Array
    const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
    const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(own?.data[i]))), 0)
    if (!(error <= tolerance * scale)) return `${name} differs by ${error} of ${scale}`
  }
  return undefined
}

t.test(`${count} random networks compute what onnxruntime does`, async (t) => {
  let refused = 0
  for (let seed = first; seed < first + count; seed++) {
    const difference = await compare(seed).catch((error: unknown) => String(error))
    if (difference === 'refused') refused++
    else if (difference !== undefined) {
      const operators = randomNetwork(seed).graph.nodes.map(({ opType }) => opType)
      t.fail(`seed ${seed} (${operators.join(', ')}): ${difference}`)
    }
  }
  t.ok(refused < count / 10, `${count - refused} compared, ${refused} refused by onnxruntime`)
})
