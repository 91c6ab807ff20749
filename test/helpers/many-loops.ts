import { native, type NativePlan } from '../../lib/native/binding.js'
import { generator, PlanBuilder } from './plan-builder.js'

/** A plan of short parallel loops, one after another: threads have to meet often. */
export function manyLoops(threads: number): { plan: NativePlan; input: Float32Array; output: Float32Array } {
  const b = new PlanBuilder(generator(3))
  let value = b.input(1, 16, 19, 23)
  for (let layer = 0; layer < 6; ++layer) value = b.convolution(value, 32, { kernel: [3, 3], pads: [1, 1, 1, 1] })
  const plan = native().createPlan(b.spec(value, threads))
  return { plan, input: b.inputData()[0] as Float32Array, output: new Float32Array(32 * 19 * 23) }
}
