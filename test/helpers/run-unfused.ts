import type { Graph } from '../../lib/graph/graph.js'
import { native } from '../../lib/native/binding.js'
import { compile } from '../../lib/runtime/compile.js'
import { elementCount, type FloatTensor, type Tensor } from '../../lib/tensor.js'

/** The network without any fusion, whatever `Session` would join: what every fused path is compared with. By output name, in order. */
export function runUnfused(graph: Graph, feeds: Readonly<Record<string, Tensor>>): Record<string, Float32Array> {
  const inputShapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]))
  const { spec, inputs, outputs } = compile(graph, { inputShapes, fusion: false })
  const results = outputs.map(({ dims }) => new Float32Array(elementCount(dims)))
  const plan = native().createPlan(spec)
  plan.runSync(
    inputs.map(({ name }) => (feeds[name] as FloatTensor).data),
    results
  )
  plan.close()
  return Object.fromEntries(outputs.map(({ name }, i) => [name, results[i] as Float32Array]))
}
