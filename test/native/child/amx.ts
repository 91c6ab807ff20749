// Tells what bfloat16 kernels a process has, and runs a plan on them.
import { native } from '../../../lib/native/binding.js'
import { bf16Spec } from '../../helpers/bf16.js'
import { PlanBuilder, generator } from '../../helpers/plan-builder.js'

const { bf16, bf16Reason } = native().cpu()
const b = new PlanBuilder(generator(1))
const spec = bf16Spec(b.spec(b.convolution(b.input(2, 40, 9, 9), 35, { kernel: [3, 3] }), 2))
try {
  const plan = native().createPlan(spec)
  await plan.run(b.inputData(), [new Float32Array(2 * 35 * 49)]).promise
  const kernel = plan
    .describe()
    .steps.map((step) => step.kernel)
    .find((name) => name.includes('direct'))
  plan.close()
  console.log(JSON.stringify({ bf16, bf16Reason, kernel }))
} catch (error) {
  const { message, code } = error as Error & { code?: string }
  console.log(JSON.stringify({ bf16, bf16Reason, error: message, code }))
}
