import * as ort from 'onnxruntime-node'
import t from 'tap'
import { encodeOnnx } from '../../../lib/onnx/write.js'
import { sameDims } from '../../../lib/operators/operator.js'
import { Session } from '../../../lib/runtime/session.js'
import { elementCount, floatTensor, type FloatTensor } from '../../../lib/tensor.js'
import type { NetworkCase } from '../../helpers/network-case.js'
import { networkCases } from '../../helpers/network-cases.js'
import { generator } from '../../helpers/plan-builder.js'
import { runUnfused } from '../../helpers/run-unfused.js'

// float32 sums in two orders; the tolerance is relative to the largest output.
const tolerance = 1e-4

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [scale, worst] = [1e-6, 0]
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i] as number))
    const error = Math.abs((actual[i] as number) - (expected[i] as number))
    worst = Math.max(worst, error) // NaN stays
  }
  return worst / scale
}

async function check({ name, graph, runs }: NetworkCase): Promise<void> {
  const random = generator(7)
  const reference = await ort.InferenceSession.create(encodeOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  await using session = await Session.create(graph)
  let worst = 0
  for (const shapes of runs) {
    const feeds = Object.fromEntries(
      graph.inputs.map((input, i): [string, FloatTensor] => {
        const dims = shapes[i] as readonly number[]
        return [input.name, floatTensor(random.normal(elementCount(dims)), dims)]
      })
    )
    const expected = await reference.run(
      Object.fromEntries(Object.entries(feeds).map(([key, { data, dims }]) => [key, new ort.Tensor('float32', data, dims)]))
    )
    const actual = await session.run(feeds)
    const plain = runUnfused(graph, feeds)
    for (const [output, tensor] of Object.entries(actual)) {
      const wanted = expected[output] as ort.Tensor
      if (!sameDims(tensor.dims, wanted.dims)) throw new Error(`dims ${tensor.dims.join('×')}, onnxruntime has ${wanted.dims.join('×')}`)
      const errors = [tensor.data as Float32Array, plain[output] as Float32Array].map((data) =>
        relativeError(data, wanted.data as Float32Array)
      )
      const error = Math.max(...errors)
      worst = Math.max(worst, error)
    }
  }
  await reference.release()
  t.ok(worst <= tolerance, `${name}: ${worst.toExponential(1)}`)
}

const only = process.env.POLYADIC_CASE
for (const networkCase of networkCases) {
  if (only !== undefined && !networkCase.name.includes(only)) continue
  try {
    await check(networkCase)
  } catch (error) {
    t.fail(`${networkCase.name}: ${String(error)}`)
  }
}
