import { isRowMajor } from '../operators/dense.js'
import { elementCount } from '../tensor.js'
import type { Draft, DraftParameter } from './draft.js'
import type { PlanStep } from './plan-spec.js'

/*
 * x·Φ(x) as exporters of older opsets write it, x·½·(1 + erf(x/√2)) with the half anywhere, over blocks or plain tensors: five steps that are
 * one activation.
 */

/** What is known of a plan so far. */
export interface StepsBefore {
  readonly values: Draft['values']
  readonly parameters: readonly DraftParameter[]
  /** The step that computes a value which nothing else reads. */
  readonly solely: (value: number) => PlanStep | undefined
}

export interface ExportedGelu {
  readonly input: number
  /** Values between the input and the last step. */
  readonly absorbed: readonly number[]
}

/** scale·x + shift of a value. */
interface Line {
  readonly value: number
  readonly scale: number
  readonly shift: number
}

/** The same over several steps, with the values on the way. */
interface Path extends Line {
  readonly absorbed: readonly number[]
}

/** The GELU that ends in `step`. */
export function exportedGelu(step: PlanStep, before: StepsBefore): ExportedGelu | undefined {
  const last = lineOf(step, before)
  const product = factorsOf(last === undefined ? step : before.solely(last.value), before)
  if (product === undefined || (last !== undefined && last.shift !== 0)) return undefined
  for (const [side, gate] of [product, product.toReversed()] as const) {
    const found = gelu(side as number, gate as number, last?.scale ?? 1, before)
    if (found !== undefined) return { ...found, absorbed: [...found.absorbed, ...(last === undefined ? [] : [last.value])] }
  }
  return undefined
}

/** scale·(a·x)·(b·erf(c·x) + b) where that is x·Φ(x). */
function gelu(side: number, gate: number, scale: number, before: StepsBefore): ExportedGelu | undefined {
  const outer = behind(gate, before)
  const erf = before.solely(outer.value)
  const argument = erf?.op === 'elementwise' && erf.function === 'erf' ? wholeInput(erf, 0, before) : undefined
  if (argument === undefined) return undefined
  const inner = behind(argument, before)
  const own = behind(side, before)
  const isGelu =
    own.value === inner.value &&
    own.shift === 0 &&
    inner.shift === 0 &&
    isClose(outer.shift, outer.scale) &&
    isClose(inner.scale, Math.SQRT1_2) &&
    isClose(scale * own.scale * outer.scale, 0.5)
  return isGelu ? { input: inner.value, absorbed: [...own.absorbed, ...inner.absorbed, outer.value, ...outer.absorbed] } : undefined
}

// Constants are float32.
const isClose = (value: number, expected: number): boolean => Math.abs(value - expected) <= 1e-6 * Math.abs(expected)

/** A value as a line of the one that it is computed from by single numbers, two steps at most, or of itself. */
function behind(value: number, before: StepsBefore, steps = 2): Path {
  const step = steps === 0 ? undefined : before.solely(value)
  const line = step === undefined ? undefined : lineOf(step, before)
  if (line === undefined) return { value, scale: 1, shift: 0, absorbed: [] }
  const first = behind(line.value, before, steps - 1)
  return {
    value: first.value,
    scale: line.scale * first.scale,
    shift: line.scale * first.shift + line.shift,
    absorbed: [...first.absorbed, value]
  }
}

function lineOf(step: PlanStep, before: StepsBefore): Line | undefined {
  if (step.op === 'affine') {
    const [scale, shift] = [constantOf(step.scale, before), constantOf(step.shift, before)]
    return scale === undefined || shift === undefined ? undefined : { value: step.input, scale, shift }
  }
  if (step.op !== 'elementwise' || step.inputs.length !== 2) return undefined
  const numbers = step.inputs.map((value) => constantOf(before.values[value]?.parameter, before))
  const at = numbers[0] === undefined ? 0 : 1
  const number = numbers[1 - at]
  const value = numbers[at] === undefined ? wholeInput(step, at, before) : undefined
  if (value === undefined || number === undefined) return undefined
  if (step.function === 'multiply') return { value, scale: number, shift: 0 }
  if (step.function === 'divide' && at === 0) return { value, scale: 1 / number, shift: 0 }
  return step.function === 'add' ? { value, scale: 1, shift: number } : undefined
}

/** Both operands of a product. */
function factorsOf(step: PlanStep | undefined, before: StepsBefore): readonly [number, number] | undefined {
  if (step?.op === 'multiply') return step.inputs as readonly [number, number]
  if (step?.op !== 'elementwise' || step.function !== 'multiply') return undefined
  const [a, b] = [0, 1].map((index) => wholeInput(step, index, before))
  return a === undefined || b === undefined ? undefined : [a, b]
}

/** An input that is read element by element, as its elements lie. */
function wholeInput(step: Extract<PlanStep, { op: 'elementwise' }>, index: number, { values }: StepsBefore): number | undefined {
  const value = step.inputs[index] as number
  const [own, out] = [values[value], values[step.output]]
  const { dims, views } = step
  if (dims === undefined) return own?.n === out?.n && own?.h === out?.h && own?.w === out?.w ? value : undefined
  const view = views?.[index]
  const isWhole = view?.offset === 0 && isRowMajor({ dims, strides: view.strides }) && elementCount(dims) === own?.w
  return isWhole ? value : undefined
}

/** The number that all elements of a parameter are which is no weight. */
function constantOf(parameter: number | undefined, { parameters }: StepsBefore): number | undefined {
  const own = parameter === undefined ? undefined : parameters[parameter]
  if (own === undefined || own.layout !== 'derived') return undefined
  const [first] = own.data
  return own.data.every((value) => value === first) ? first : undefined
}
