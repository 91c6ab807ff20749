import type { PlanStep, PlanValue } from './plan-spec.js'

/** A parameter with where it comes from. */
export interface DraftParameter {
  readonly data: Float32Array
  readonly trainable: boolean
  /** The initializer that it is; empty for derived ones. */
  readonly initializers: readonly string[]
  /** So far it has only been read as a tensor among others: whether it is trained is decided when the plan is written (learning.ts). */
  readonly candidate?: true
  /** How its elements lie compared with the initializer: in its order, with rows and columns swapped, or computed from several. */
  readonly layout: 'same' | 'transposed' | 'derived'
}

/** A plan input; a graph input that the network reads in several shapes is several of them. */
export interface DraftInput {
  readonly name: string
  readonly value: number
}

/** A plan that still is being worked on: fusion may leave values and parameters without use. */
export interface Draft {
  readonly values: readonly PlanValue[]
  readonly parameters: readonly DraftParameter[]
  readonly steps: readonly PlanStep[]
  readonly inputs: readonly DraftInput[]
  readonly outputs: readonly number[]
}

/** Values that a step reads. */
export function readValues(step: PlanStep): number[] {
  const values = 'inputs' in step ? [...step.inputs] : [step.input]
  if ('residual' in step && step.residual !== undefined) values.push(step.residual)
  return values
}

/** Parameters that a step reads. */
export function readParameters(step: PlanStep): number[] {
  const stages = step.op === 'convolution' || step.op === 'conv_transpose' ? [step] : step.op === 'cp_block' ? step.stages : []
  const parameters = stages.flatMap(({ weight, bias }) => (bias < 0 ? [weight] : [weight, bias]))
  if (step.op === 'batch_norm') return [step.scale, step.bias, step.mean, step.variance]
  return step.op === 'affine' ? [step.scale, step.shift] : parameters
}

/** How often each value is read, as a plan output included. */
export function countUses(draft: Pick<Draft, 'values' | 'steps' | 'outputs'>): number[] {
  const uses = draft.values.map(() => 0)
  for (const value of [...draft.steps.flatMap(readValues), ...draft.outputs]) uses[value] = (uses[value] ?? 0) + 1
  return uses
}

/** Drops steps without effect on the outputs, then values and parameters that nothing uses; plan inputs stay only where they are read. */
export function compact(draft: Draft): Draft {
  const steps = liveSteps(draft)
  const used = new Set([...steps.flatMap((step) => [...readValues(step), step.output]), ...draft.outputs])
  const values = renumber(draft.values.length, (value) => used.has(value))
  const ofConstants = draft.values.flatMap(({ parameter }, i) => (used.has(i) && parameter !== undefined ? [parameter] : []))
  const parametersUsed = new Set([...steps.flatMap(readParameters), ...ofConstants])
  const parameters = renumber(draft.parameters.length, (parameter) => parametersUsed.has(parameter))
  return {
    values: draft.values
      .filter((_, i) => used.has(i))
      .map((value) => (value.parameter === undefined ? value : { ...value, parameter: parameters(value.parameter) })),
    parameters: draft.parameters.filter((_, i) => parametersUsed.has(i)),
    steps: steps.map((step) => renumbered(step, values, parameters)),
    inputs: draft.inputs.filter(({ value }) => used.has(value)).map(({ name, value }) => ({ name, value: values(value) })),
    outputs: draft.outputs.map(values)
  }
}

function liveSteps(draft: Draft): PlanStep[] {
  const needed = new Set(draft.outputs)
  const live = draft.steps.toReversed().filter((step) => {
    if (!needed.has(step.output)) return false
    for (const value of readValues(step)) needed.add(value)
    return true
  })
  return live.reverse()
}

function renumber(count: number, isKept: (index: number) => boolean): (index: number) => number {
  let next = 0
  const numbers = Array.from({ length: count }, (_, i) => (isKept(i) ? next++ : -1))
  return (index) => numbers[index] ?? -1
}

function renumbered(step: PlanStep, value: (index: number) => number, parameter: (index: number) => number): PlanStep {
  const convolution = <C extends { readonly weight: number; readonly bias: number }>(c: C): C => ({
    ...c,
    weight: parameter(c.weight),
    bias: parameter(c.bias)
  })
  const output = value(step.output)
  const residual = 'residual' in step && step.residual !== undefined ? { residual: value(step.residual) } : {}
  if (step.op === 'convolution') return { ...convolution(step), input: value(step.input), output, ...residual }
  if (step.op === 'conv_transpose') return { ...convolution(step), input: value(step.input), output }
  if (step.op === 'cp_block') return { ...step, stages: step.stages.map(convolution), input: value(step.input), output, ...residual }
  if (step.op === 'affine') return { ...step, scale: parameter(step.scale), shift: parameter(step.shift), input: value(step.input), output }
  if (step.op === 'batch_norm') {
    const [scale, bias, mean, variance] = [step.scale, step.bias, step.mean, step.variance].map(parameter) as [
      number,
      number,
      number,
      number
    ]
    return { ...step, scale, bias, mean, variance, input: value(step.input), output, ...residual }
  }
  if (step.op === 'add' || step.op === 'multiply') {
    const [a, b] = step.inputs as readonly [number, number]
    return { ...step, op: step.op as 'add', inputs: [value(a), value(b)], output }
  }
  if ('inputs' in step) return { ...(step as Exclude<typeof step, { op: 'add' | 'multiply' }>), inputs: step.inputs.map(value), output }
  return { ...step, input: value(step.input), output }
}
