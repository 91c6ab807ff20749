import { show } from '../errors.js'
import { cpBlocks } from './cp-chain.js'
import { countUses, type Draft, type DraftParameter } from './draft.js'
import { exportedGelu, type StepsBefore } from './gelu.js'
import type { PlanActivation, PlanStep } from './plan-spec.js'

export interface FusionOptions {
  /** Keeps what training needs apart: only a bias, a sum and relu move into what is before them, which changes no parameter. */
  readonly training: boolean
  /** Runs CP chains as one operator. */
  readonly cpBlocks: boolean
}

type Convolution = Extract<PlanStep, { op: 'convolution' }>
type Binary = Extract<PlanStep, { op: 'add' | 'multiply' }>
type Producer = Extract<PlanStep, { op: 'convolution' | 'cp_block' | 'affine' | 'batch_norm' }>
/** What a sum and an activation can join. */
type Bare = Extract<PlanStep, { op: 'convolution' | 'batch_norm' }>

/** A step with all that it now does, and the values that no longer exist. */
interface Joined {
  readonly step: PlanStep
  readonly absorbed: readonly number[]
}

/** Why a step stays apart, as a sentence about it; empty where there is nothing that it could be joined with. */
type Apart = string

/** Moves what follows a convolution into it, where nothing else reads what lies between, and joins chains to CP blocks. */
export function fuse(draft: Draft, options: FusionOptions): Draft {
  const fused = new Fusion(draft, options).run()
  return options.cpBlocks && !options.training ? cpBlocks(fused) : fused
}

/** One pass in execution order: each step either joins the step that made its input or is appended. */
class Fusion {
  readonly #draft: Draft
  readonly #training: boolean
  readonly #parameters: DraftParameter[]
  readonly #uses: number[]
  readonly #before: StepsBefore
  /** By output; a fused step is moved to the end, where all that it reads is there. */
  readonly #steps = new Map<number, PlanStep>()
  /** Which steps are before which: a residual must be computed before its convolution. */
  readonly #order = new Map<number, number>()

  constructor(draft: Draft, options: FusionOptions) {
    this.#draft = draft
    this.#training = options.training
    this.#parameters = [...draft.parameters]
    this.#uses = countUses(draft)
    this.#before = { values: draft.values, parameters: this.#parameters, solely: (value) => this.#solely(value) }
    draft.inputs.forEach(({ value }) => this.#order.set(value, -1))
  }

  run(): Draft {
    this.#draft.steps.forEach((step, i) => {
      const joined = this.#join(step)
      const next = typeof joined === 'string' ? { ...step, ...(joined !== '' && { apart: joined }) } : this.#withNodes(joined, step)
      if (typeof joined !== 'string') for (const value of joined.absorbed) this.#steps.delete(value)
      this.#steps.set(next.output, next)
      this.#order.set(next.output, i)
    })
    return { ...this.#draft, parameters: this.#parameters, steps: [...this.#steps.values()] }
  }

  #withNodes({ step, absorbed }: Joined, last: PlanStep): PlanStep {
    const parts = [...absorbed.map((value) => this.#steps.get(value)), last]
    const { apart: _, ...joined } = step
    return { ...joined, nodes: parts.flatMap((part) => part?.nodes ?? []) } as PlanStep
  }

  /** The step joined with its producer, or why not. */
  #join(step: PlanStep): Joined | Apart {
    const gelu = exportedGelu(step, this.#before)
    if (gelu !== undefined) return this.#joinTwice(gelu.input, { kind: 'gelu' }, step.output, gelu.absorbed)
    if (step.op === 'affine') return this.#joinAffine(step)
    if (step.op === 'activation') return this.#joinActivation(step)
    if (step.op === 'add') return this.#joinAdd(step)
    if (this.#training) return ''
    if (step.op === 'multiply') return this.#joinGate(step)
    return step.op === 'maxout' ? this.#joinMaxout(step) : ''
  }

  /** The step that computes `value`, if only one step reads that. */
  #soleProducer(value: number): Producer | Apart {
    const step = this.#steps.get(value)
    if (step === undefined) return ''
    if (step.op !== 'convolution' && step.op !== 'cp_block' && step.op !== 'affine' && step.op !== 'batch_norm')
      return `it follows a step "${step.op}"`
    return this.#uses[value] === 1 ? step : this.#isShared(step, value)
  }

  #isShared(step: PlanStep, value: number): Apart {
    const isOutput = this.#draft.outputs.includes(value)
    return `the output of ${nameOf(step)} is ${isOutput ? "one of the network's" : `read ${this.#uses[value]} times`}`
  }

  #bare(value: number): Bare | Apart {
    const step = this.#soleProducer(value)
    if (typeof step === 'string') return step
    if (step.op !== 'convolution' && step.op !== 'batch_norm') return `it follows a step "${step.op}"`
    if (step.activation !== undefined) return `${nameOf(step)} has an activation`
    return step.residual === undefined ? step : `${nameOf(step)} has taken a sum`
  }

  /** Not behind a maxout: a negative scale would turn the maximum into a minimum. */
  #joinAffine(step: Extract<PlanStep, { op: 'affine' }>): Joined | Apart {
    const bare = this.#bare(step.input)
    const conv = typeof bare !== 'string' && bare.op === 'convolution' ? bare : undefined
    if (conv?.maxout !== undefined) return `${nameOf(conv)} ends in a maximum, which a negative scale would turn round`
    if (conv !== undefined && conv.bias < 0 && this.#isOnes(step.scale))
      return { step: { ...conv, output: step.output, bias: step.shift }, absorbed: [conv.output] }
    if (this.#training) return ''
    if (conv !== undefined) return { step: this.#folded(conv, step), absorbed: [conv.output] }
    const scaled = this.#joinScale(step)
    if (scaled !== undefined) return scaled
    const before = this.#soleProducer(step.input)
    if (typeof before === 'string') return before
    if (before.op !== 'affine') return typeof bare === 'string' ? bare : ''
    const [scale, shift] = [this.#data(step.scale), this.#data(step.shift)]
    const merged = {
      scale: this.#derive(this.#data(before.scale).map((value, c) => value * (scale[c] as number))),
      shift: this.#derive(this.#data(before.shift).map((value, c) => value * (scale[c] as number) + (shift[c] as number)))
    }
    return { step: { ...step, ...merged, input: before.input }, absorbed: [before.output] }
  }

  /** scale·(w∗x + b) + shift = (scale·w)∗x + (scale·b + shift). New parameters: others may read the old ones. */
  #folded(conv: Convolution, affine: Extract<PlanStep, { op: 'affine' }>): Convolution {
    const [scale, shift] = [this.#data(affine.scale), this.#data(affine.shift)]
    const weight = this.#data(conv.weight)
    const perChannel = weight.length / scale.length
    const bias = conv.bias < 0 ? undefined : this.#data(conv.bias)
    return {
      ...conv,
      output: affine.output,
      weight: this.#derive(weight.map((value, i) => value * (scale[Math.floor(i / perChannel)] as number))),
      bias: this.#derive(shift.map((value, c) => value + (scale[c] as number) * (bias?.[c] ?? 0)))
    }
  }

  #joinMaxout(step: Extract<PlanStep, { op: 'maxout' }>): Joined | Apart {
    const conv = this.#soleProducer(step.input)
    if (typeof conv === 'string') return conv
    if (conv.op !== 'convolution') return `it follows a step "${conv.op}"`
    if (conv.maxout !== undefined) return `${nameOf(conv)} ends in a maximum`
    if (conv.residual !== undefined) return `${nameOf(conv)} has taken a sum`
    if (!isMonotone(conv.activation)) return `the activation of ${nameOf(conv)} does not keep the order of values`
    const { pieces, order } = step
    return { step: { ...conv, output: step.output, maxout: { pieces, order } }, absorbed: [conv.output] }
  }

  #joinActivation(step: Extract<PlanStep, { op: 'activation' }>): Joined | Apart {
    const conv = this.#soleProducer(step.input)
    if (typeof conv === 'string') return conv
    if (conv.op === 'affine') return 'it follows a step "affine"'
    if (conv.activation !== undefined) return `${nameOf(conv)} has an activation`
    if (this.#training && step.activation.kind !== 'relu') return ''
    return { step: { ...conv, output: step.output, activation: step.activation }, absorbed: [conv.output] }
  }

  /** x·sigmoid(x), x·hard_sigmoid(x) and x·clip(x + 3, 0, 6), as exporters write swish and hard swish. */
  #joinGate(step: Binary): Joined | Apart {
    for (const [value, gate] of [step.inputs, step.inputs.toReversed()] as const) {
      const producer = this.#solely(gate as number)
      if (producer?.op !== 'activation') continue
      const shift = this.#solely(producer.input)
      const isShifted = shift?.op === 'affine' && shift.input === value && this.#isAll(shift.scale, 1) && this.#isAll(shift.shift, 3)
      const activation = isShifted ? shiftedGate(producer.activation) : producer.input === value ? gated(producer.activation) : undefined
      if (activation === undefined) continue
      const gates = isShifted ? [producer.input, producer.output] : [producer.output]
      return this.#joinTwice(value as number, activation, step.output, gates)
    }
    return ''
  }

  /** An activation in the place of steps that read its input twice. */
  #joinTwice(input: number, activation: PlanActivation, output: number, between: readonly number[]): Joined {
    this.#uses[input] = (this.#uses[input] as number) - 1
    const alone = { op: 'activation', input, output, activation } as const
    const joined = this.#joinActivation(alone)
    return typeof joined === 'string'
      ? { step: alone, absorbed: between }
      : { step: joined.step, absorbed: [...joined.absorbed, ...between] }
  }

  /** The step that computes `value`, if only one reads that. */
  #solely(value: number): PlanStep | undefined {
    return this.#uses[value] === 1 ? this.#steps.get(value) : undefined
  }

  /** scale·hard_swish(x), the sixth that exporters leave for last. */
  #joinScale(step: Extract<PlanStep, { op: 'affine' }>): Joined | undefined {
    const producer = this.#solely(step.input)
    if (producer?.op !== 'activation' && producer?.op !== 'convolution' && producer?.op !== 'cp_block') return undefined
    const scale = this.#data(step.scale)[0] as number
    if (producer.activation?.kind !== 'hard_swish' || !this.#isAll(step.scale, scale) || !this.#isAll(step.shift, 0)) return undefined
    const activation = { ...producer.activation, alpha: (producer.activation.alpha ?? 1) * scale }
    return { step: { ...producer, output: step.output, activation }, absorbed: [producer.output] }
  }

  /** Of two convolutions the later one takes the sum over, so that none has to wait. */
  #joinAdd(step: Binary): Joined | Apart {
    const [a, b] = step.inputs
    if (a === b) return ''
    const order = (value: number): number => this.#order.get(value) ?? -1
    const [first, second] = order(a) > order(b) ? [a, b] : [b, a]
    const own = this.#bare(first)
    if (typeof own !== 'string') return { step: { ...own, output: step.output, residual: second }, absorbed: [first] }
    const other = this.#bare(second)
    if (typeof other !== 'string') return { step: { ...other, output: step.output, residual: first }, absorbed: [second] }
    return [...new Set([own, other])].filter((reason) => reason !== '').join('; ')
  }

  #isAll(parameter: number, expected: number): boolean {
    return this.#data(parameter).every((value) => value === expected)
  }

  #isOnes(parameter: number): boolean {
    return this.#parameters[parameter]?.layout === 'derived' && this.#data(parameter).every((value) => value === 1)
  }

  #data(parameter: number): Float32Array {
    return (this.#parameters[parameter] as DraftParameter).data
  }

  #derive(data: Float32Array): number {
    return this.#parameters.push({ data, trainable: false, initializers: [], layout: 'derived' }) - 1
  }
}

/** What a step is called: by its first node. */
function nameOf({ nodes, op }: PlanStep): string {
  return show(nodes?.[0] ?? op)
}

/** x·f(x) as one function. */
function gated({ kind, alpha = 0, beta = 0 }: PlanActivation): PlanActivation | undefined {
  if (kind === 'sigmoid') return { kind: 'swish', alpha: 1 }
  const isHard = kind === 'hard_sigmoid' && Math.abs(alpha - 1 / 6) < 1e-6 && beta === 0.5
  return isHard ? { kind: 'hard_swish', alpha: 1 } : undefined
}

/** x·clip(x + 3, 0, 6): six times hard swish. */
function shiftedGate({ kind, alpha, beta }: PlanActivation): PlanActivation | undefined {
  return kind === 'clip' && alpha === 0 && beta === 6 ? { kind: 'hard_swish', alpha: 6 } : undefined
}

/** Whether max(f(a), f(b)) = f(max(a, b)). */
function isMonotone(activation: PlanActivation | undefined): boolean {
  const kind = activation?.kind ?? 'none'
  if (['leaky_relu', 'elu', 'hard_sigmoid', 'thresholded_relu', 'affine'].includes(kind)) return (activation?.alpha ?? 0) >= 0
  return !['hard_swish', 'selu', 'swish', 'gelu', 'gelu_tanh', 'mish', 'scaled_tanh'].includes(kind)
}
