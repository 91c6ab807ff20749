import { decodeBfloat16, encodeBfloat16 } from '../../lib/float16.js'
import { inBf16 } from '../../lib/runtime/bf16.js'
import type { PlanConvolution, PlanSpec, PlanValue } from '../../lib/runtime/plan-spec.js'

/** To the nearest bfloat16, denormals to zero. */
export function rounded(values: Float32Array): Float32Array {
  return values.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : decodeBfloat16(encodeBfloat16(value))))
}

/** A plan of float32 as the compiler would make it in bfloat16. */
export function bf16Spec(spec: PlanSpec): PlanSpec {
  const parameters = spec.parameters.map((p) => ({ ...p, initializers: [], layout: 'derived' as const }))
  const { values, steps } = inBf16({ ...spec, parameters, inputs: spec.inputs.map((value, i) => ({ name: `${i}`, value })) })
  return { ...spec, values, steps }
}

/** The parameters as bfloat16 kernels see them: the weights of dense convolutions and matrix products rounded, all others as they are. */
export function roundedParameters(spec: PlanSpec): Float32Array[] {
  const dense = new Set<number>()
  const { values, steps } = bf16Spec(spec)
  for (const step of steps) {
    if (step.op === 'convolution') addDense(step, (values[step.input] as PlanValue).c)
    if (step.op === 'cp_block') {
      // A first stage that reads float32 is computed in it.
      const [first, last] = [step.stages[0], step.stages.at(-1)] as [PlanConvolution, PlanConvolution]
      const input = values[step.input] as PlanValue
      if (input.bf16) addDense(first, input.c)
      dense.add(last.weight)
    }
  }
  function addDense({ groups, kernel, weight }: PlanConvolution, channels: number): void {
    const count = (spec.parameters[weight] as { data: Float32Array }).data.length
    const isDepthwise = groups > 1 && groups === channels && count === groups * kernel[0] * kernel[1]
    if (!isDepthwise) dense.add(weight)
  }
  return spec.parameters.map(({ data }, i) => (dense.has(i) ? rounded(data) : data))
}

/** The plan's inputs as bfloat16 kernels see them. */
export function roundedInputs(spec: PlanSpec, inputs: readonly Float32Array[]): Float32Array[] {
  const { values, steps } = bf16Spec(spec)
  const isRounded = (value: number): boolean =>
    values[value]?.bf16 === true || steps.some((step) => step.op === 'convert' && step.input === value)
  return inputs.map((data, i) => (isRounded(spec.inputs[i] as number) ? rounded(data) : data))
}
