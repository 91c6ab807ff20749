import { type Draft, type DraftParameter, readParameters, readValues } from './draft.js'
import type { PlanStep } from './plan-spec.js'

/**
 * Decides which initializers that steps read as tensors are trained: those that meet a value that something trained has a part in, and the
 * matrices that computed values are multiplied by, in recurrent layers too. What meets the network's inputs alone before that prepares them
 * (means, scales, tables of positions) and stays, as do states that something begins with.
 */
export function settleCandidates(draft: Draft): Draft {
  const origins = candidatesBehind(draft)
  const trained = new Set(draft.parameters.flatMap(({ trainable }, i) => (trainable ? [i] : [])))
  for (let before = -1; before !== trained.size; ) {
    before = trained.size
    for (const index of newlyTrained(draft, origins, trained)) trained.add(index)
  }
  return {
    ...draft,
    parameters: draft.parameters.map(({ candidate, ...parameter }, i) => {
      if (candidate === undefined) return parameter
      return trained.has(i) ? { ...parameter, trainable: true } : { ...parameter, initializers: [], layout: 'derived' }
    })
  }
}

/** Of each value that is computed from constants alone: the candidates among them. */
function candidatesBehind({ values, steps, parameters }: Draft): ReadonlyMap<number, readonly number[]> {
  const origins = new Map<number, readonly number[]>()
  values.forEach(({ parameter }, value) => {
    if (parameter !== undefined) origins.set(value, parameters[parameter]?.candidate === true ? [parameter] : [])
  })
  for (const step of steps) {
    const read = readValues(step)
    const isConstant = readParameters(step).length === 0 && read.every((value) => origins.has(value))
    if (isConstant) origins.set(step.output, [...new Set(read.flatMap((value) => origins.get(value) ?? []))])
  }
  return origins
}

/** One pass: candidates that meet what `trained` leads to. */
function newlyTrained(draft: Draft, origins: ReadonlyMap<number, readonly number[]>, trained: ReadonlySet<number>): number[] {
  const { values, steps } = draft
  const isTrained = (parameter: number): boolean => trained.has(parameter)
  const learnt = new Set(values.flatMap(({ parameter }, value) => (parameter !== undefined && isTrained(parameter) ? [value] : [])))
  const found: number[] = []
  for (const step of steps) {
    const read = readValues(step)
    const learns = readParameters(step).some(isTrained) || read.some((value) => learnt.has(value))
    const isComputed = read.some((value) => !origins.has(value))
    const multiplies = step.op === 'matmul' || step.op === 'recurrent'
    const met =
      isComputed && (learns || multiplies)
        ? read.flatMap((value) =>
            (origins.get(value) ?? []).filter((index) => !begins(step, value, draft.parameters[index] as DraftParameter, draft))
          )
        : []
    found.push(...met)
    if (learns || met.length > 0) learnt.add(step.output)
  }
  return found
}

/**
 * Whether a step starts from an initializer rather than learns it, as exporters write it for the batch that they were given: states of a recurrent
 * layer that are not expanded to the batch, zeros that a scatter writes into.
 */
function begins(step: PlanStep, value: number, { data }: DraftParameter, { values }: Draft): boolean {
  if (step.op === 'scatter') return value === step.inputs[0] && data.every((element) => element === 0)
  if (step.op !== 'recurrent') return false
  const [, , h = -1, c = -1] = step.tables[0]
  return [h, c].some((place) => step.inputs[place] === value) && data.length >= (values[value]?.w ?? 0)
}
