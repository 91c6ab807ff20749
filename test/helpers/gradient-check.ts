import t from 'tap'
import { type NativeLoss, native } from '../../lib/native/binding.js'
import { readValues } from '../../lib/runtime/draft.js'
import type { PlanSpec, PlanStep, PlanValue } from '../../lib/runtime/plan-spec.js'
import { keptReferences } from './kept-references.js'
import type { Random } from './plan-builder.js'
import { sameBits } from './same-bits.js'
import { givenValues, type Map4, runSteps } from './reference-network.js'

// Native float32 gradients against central differences of the float64 reference: its step of 1e-5 leaves an error of some
// 1e-9, so what is compared is native rounding alone. Relative to the largest gradient of the parameter.
const tolerance = 2e-4
const step = 1e-5
const kept = keptReferences()

export const lossesOf = (target: Int32Array, smoothing = 0): NativeLoss[] => [{ kind: 'cross_entropy', output: 0, target, smoothing }]

/** Mean cross-entropy with smoothed targets over logits N×K, in float64. */
function lossOf(logits: Float64Array, targets: Int32Array, smoothing: number): number {
  const classes = logits.length / targets.length
  let loss = 0
  targets.forEach((target, n) => {
    const row = logits.subarray(n * classes, (n + 1) * classes)
    const largest = Math.max(...row)
    const total = largest + Math.log(row.reduce((sum, v) => sum + Math.exp(v - largest), 0))
    const mean = row.reduce((sum, v) => sum + v, 0) / classes
    loss += total - (1 - smoothing) * (row[target] as number) - smoothing * mean
  })
  return loss / targets.length
}

function uses({ values }: PlanSpec, step: PlanStep, parameter: number): boolean {
  if (readValues(step).some((value) => values[value]?.parameter === parameter)) return true
  if (step.op === 'batch_norm') return step.scale === parameter || step.bias === parameter
  if (step.op === 'conv_transpose') return step.weight === parameter || step.bias === parameter
  if (step.op === 'convolution') return step.weight === parameter || step.bias === parameter
  return step.op === 'affine' && (step.scale === parameter || step.shift === parameter)
}

/** Compares the gradients of a plan, whose output 0 are N×K logits, with numerical ones of a dozen of each parameter's elements, or of all. */
export async function compareGradients(
  name: string,
  spec: PlanSpec,
  inputs: readonly Float32Array[],
  random: Random,
  elements: 'dozen' | 'all' = 'dozen'
): Promise<void> {
  const logits = spec.outputs[0] as number
  const targets = Int32Array.from({ length: (spec.values[logits] as PlanValue).n }, (_, n) => n % 3)
  const smoothing = 0.1
  const trainer = native().createTrainer(spec)
  await trainer.gradients(inputs, lossesOf(targets, smoothing)).promise
  const { loss, gradients } = await trainer.gradients(inputs, lossesOf(targets, smoothing)).promise
  trainer.close()
  if (isSliceable(spec)) await compareSlices(name, { ...spec, slice: 1 }, inputs, lossesOf(targets, smoothing), loss, gradients)
  const picked = spec.parameters.map(({ data }) =>
    elements === 'all' ? [...data.keys()] : Array.from({ length: Math.min(data.length, 12) }, () => random.integer(0, data.length - 1))
  )
  const reference = kept(name, () => differences(spec, inputs, logits, targets, smoothing, picked))
  t.ok(Math.abs(loss - reference.loss) < 1e-5 * Math.max(1, Math.abs(loss)), `${name}: loss`)
  picked.forEach((indices, p) => {
    if (spec.parameters[p]?.trainable !== true) return
    const gradient = gradients[p] as Float32Array
    const scale = Math.max(1e-4, ...gradient.map(Math.abs))
    const errors = indices.map((i, k) => Math.abs((reference.gradients[p]?.[k] as number) - (gradient[i] as number)) / scale)
    const worst = Math.max(...errors)
    t.ok(worst <= tolerance, `${name}: parameter ${p}, ${worst.toExponential(1)}`)
  })
}

/** Whether no image of the batch has to do with another one. */
const isSliceable = ({ values, steps, inputs }: PlanSpec): boolean =>
  values.every(({ dense, n }) => dense !== true && n === values[inputs[0] as number]?.n) &&
  !steps.some((step) => step.op === 'batch_norm' && step.batchStatistics)

/** The same loss and gradients, to the bit, image by image. */
async function compareSlices(
  name: string,
  spec: PlanSpec,
  inputs: readonly Float32Array[],
  losses: readonly NativeLoss[],
  loss: number,
  gradients: readonly Float32Array[]
): Promise<void> {
  const trainer = native().createTrainer(spec)
  await trainer.gradients(inputs, losses).promise
  const sliced = await trainer.gradients(inputs, losses).promise
  trainer.close()
  t.equal(sliced.loss, loss, `${name}: the loss, image by image`)
  const different = gradients.flatMap((gradient, p) => (sameBits(gradient, sliced.gradients[p] as Float32Array) ? [] : [p]))
  t.strictSame(different, [], `${name}: gradients, image by image`)
}

/** The loss in float64, and its central differences by the picked elements of each parameter. */
function differences(
  spec: PlanSpec,
  inputs: readonly Float32Array[],
  logits: number,
  targets: Int32Array,
  smoothing: number,
  picked: readonly (readonly number[])[]
): { loss: number; gradients: number[][] } {
  const parameters = spec.parameters.map((p) => Float64Array.from(p.data))
  const values = runSteps(spec, spec.steps, givenValues(spec, inputs), parameters)
  // Only what a parameter changes is computed again.
  const evaluate = (from = 0): number => {
    const changed = runSteps(spec, spec.steps.slice(from), values, parameters)
    return lossOf((changed.get(logits) as Map4).data, targets, smoothing)
  }
  const gradients = parameters.map((data, p) => {
    if (spec.parameters[p]?.trainable !== true) return []
    const from = spec.steps.findIndex((step) => uses(spec, step, p))
    return (picked[p] as readonly number[]).map((i) => {
      const value = data[i] as number
      data[i] = value + step
      const up = evaluate(from)
      data[i] = value - step
      const down = evaluate(from)
      data[i] = value
      return (up - down) / (2 * step)
    })
  })
  return { loss: evaluate(), gradients }
}
