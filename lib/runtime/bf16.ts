import { countUses, type Draft, readValues } from './draft.js'
import type { PlanConvolution, PlanSpec, PlanStep, PlanValue } from './plan-spec.js'

/**
 * A draft whose convolutions and CP blocks run by bfloat16 kernels. A value is kept in bfloat16 where the step that makes it can write that and
 * all that read it can take it; elsewhere it stays float32, and is rounded for the convolutions that read it.
 */
export function inBf16(draft: Draft): Draft {
  const kept = keptValues(draft)
  const values: PlanValue[] = draft.values.map((value, i) => (kept.has(i) ? { ...value, bf16: true } : value))
  const rounded = new Map<number, number>()
  const steps: PlanStep[] = []
  // The value in bfloat16, by a conversion where there is none yet.
  const asBf16 = ({ input, nodes = [] }: Extract<PlanStep, { op: 'convolution' | 'cp_block' }>): number => {
    if (kept.has(input)) return input
    const known = rounded.get(input)
    if (known !== undefined) return known
    const output = values.push({ ...(draft.values[input] as PlanValue), bf16: true }) - 1
    rounded.set(input, output)
    steps.push({ op: 'convert', input, output, nodes })
    return output
  }
  for (const step of draft.steps) {
    if (step.op === 'convolution') steps.push({ ...step, input: asBf16(step), bf16: true })
    else if (step.op === 'cp_block') steps.push({ ...step, input: readsFloat32(step, draft) ? step.input : asBf16(step), bf16: true })
    else steps.push(step)
  }
  return { ...draft, values, steps }
}

/** Whether anything is computed by bfloat16 kernels. */
export function usesBf16({ steps }: Pick<PlanSpec, 'steps'>): boolean {
  return steps.some((step) => 'bf16' in step && step.bf16 === true)
}

function keptValues(draft: Draft): Set<number> {
  const uses = countUses(draft)
  const written = new Set([...draft.inputs.map(({ value }) => value), ...draft.steps.filter(takesBf16).map((step) => step.output)])
  const kept = new Set([...written].filter((value) => (uses[value] as number) > 0 && draft.values[value]?.dense === undefined))
  for (const value of draft.outputs) kept.delete(value)
  for (const step of draft.steps) {
    if (!takesBf16(step)) for (const value of readValues(step)) kept.delete(value)
    else if (step.op === 'cp_block' && readsFloat32(step, draft)) kept.delete(step.input)
  }
  // What only moves elements does not convert them: its values are all of one kind.
  const moving = draft.steps.filter(({ op }) => op === 'flatten' || op === 'concat')
  for (let before = -1; before !== kept.size; ) {
    before = kept.size
    for (const step of moving) {
      const values = [...readValues(step), step.output]
      if (!values.every((value) => kept.has(value))) for (const value of values) kept.delete(value)
    }
  }
  return kept
}

/** Whether a step can read and write bfloat16: native code's takes_bf16(). */
function takesBf16({ op }: PlanStep): boolean {
  return ['convolution', 'cp_block', 'max_pool', 'average_pool', 'global_average_pool', 'flatten', 'concat'].includes(op)
}

/** A block for a layer of one input channel a group begins with a few taps of single elements, which no pair can be made of. */
function readsFloat32({ stages }: Extract<PlanStep, { op: 'cp_block' }>, { parameters }: Draft): boolean {
  const { kernel, strides, pads, groups, weight } = stages[0] as PlanConvolution
  const [rows, columns] = kernel
  const isPointwise = [...kernel, ...strides].every((extent) => extent === 1) && pads.every((pad) => pad === 0)
  const isDepthwise = groups > 1 && parameters[weight]?.data.length === groups * rows * columns
  return !isPointwise && !isDepthwise
}
