import { cpBlocks } from './cp-chain.js'
import { countUses, type Draft, type DraftParameter } from './draft.js'
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
  /** By output; a fused step is moved to the end, where all that it reads is there. */
  readonly #steps = new Map<number, PlanStep>()
  /** Which steps are before which: a residual must be computed before its convolution. */
  readonly #order = new Map<number, number>()

  constructor(draft: Draft, options: FusionOptions) {
    this.#draft = draft
    this.#training = options.training
    this.#parameters = [...draft.parameters]
    this.#uses = countUses(draft)
    draft.inputs.forEach(({ value }) => this.#order.set(value, -1))
  }

  run(): Draft {
    this.#draft.steps.forEach((step, i) => {
      const [joined, absorbed] = this.#join(step) ?? [step]
      if (absorbed !== undefined) this.#steps.delete(absorbed)
      this.#steps.set(joined.output, joined)
      this.#order.set(joined.output, i)
    })
    return { ...this.#draft, parameters: this.#parameters, steps: [...this.#steps.values()] }
  }

  /** The step joined with its producer, and the value that no longer exists. */
  #join(step: PlanStep): readonly [PlanStep, number] | undefined {
    if (step.op === 'affine') return this.#joinAffine(step)
    if (step.op === 'activation') return this.#joinActivation(step)
    if (step.op === 'add') return this.#joinAdd(step)
    if (this.#training) return undefined
    if (step.op === 'multiply') return this.#joinGate(step)
    return step.op === 'maxout' ? this.#joinMaxout(step) : undefined
  }

  /** The step that computes `value`, if only one step reads that. */
  #soleProducer(value: number): Producer | undefined {
    const step = this.#uses[value] === 1 ? this.#steps.get(value) : undefined
    return step?.op === 'convolution' || step?.op === 'cp_block' || step?.op === 'affine' || step?.op === 'batch_norm' ? step : undefined
  }

  #bare(value: number): Bare | undefined {
    const step = this.#soleProducer(value)
    const takes = step?.op === 'convolution' || step?.op === 'batch_norm'
    return takes && step.activation === undefined && step.residual === undefined ? step : undefined
  }

  #bareConvolution(value: number): Convolution | undefined {
    const step = this.#bare(value)
    return step?.op === 'convolution' ? step : undefined
  }

  /** Not behind a maxout: a negative scale would turn the maximum into a minimum. */
  #joinAffine(step: Extract<PlanStep, { op: 'affine' }>): readonly [PlanStep, number] | undefined {
    const conv = this.#bareConvolution(step.input)
    if (conv?.maxout !== undefined) return undefined
    if (conv !== undefined && conv.bias < 0 && this.#isOnes(step.scale))
      return [{ ...conv, output: step.output, bias: step.shift }, conv.output]
    if (this.#training) return undefined
    if (conv !== undefined) return [this.#folded(conv, step), conv.output]
    const scaled = this.#joinScale(step)
    if (scaled !== undefined) return scaled
    const before = this.#soleProducer(step.input)
    if (before?.op !== 'affine') return undefined
    const [scale, shift] = [this.#data(step.scale), this.#data(step.shift)]
    const merged = {
      scale: this.#derive(this.#data(before.scale).map((value, c) => value * (scale[c] as number))),
      shift: this.#derive(this.#data(before.shift).map((value, c) => value * (scale[c] as number) + (shift[c] as number)))
    }
    return [{ ...step, ...merged, input: before.input }, before.output]
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

  #joinMaxout(step: Extract<PlanStep, { op: 'maxout' }>): readonly [PlanStep, number] | undefined {
    const conv = this.#soleProducer(step.input)
    if (conv?.op !== 'convolution' || conv.maxout !== undefined || conv.residual !== undefined || !isMonotone(conv.activation))
      return undefined
    const { pieces, order } = step
    return [{ ...conv, output: step.output, maxout: { pieces, order } }, conv.output]
  }

  #joinActivation(step: Extract<PlanStep, { op: 'activation' }>): readonly [PlanStep, number] | undefined {
    const conv = this.#soleProducer(step.input)
    if (conv === undefined || conv.op === 'affine' || conv.activation !== undefined) return undefined
    if (this.#training && step.activation.kind !== 'relu') return undefined
    return [{ ...conv, output: step.output, activation: step.activation }, conv.output]
  }

  /** x·sigmoid(x), x·hard_sigmoid(x) and x·clip(x + 3, 0, 6), as exporters write swish and hard swish. */
  #joinGate(step: Binary): readonly [PlanStep, number] | undefined {
    for (const [value, gate] of [step.inputs, step.inputs.toReversed()] as const) {
      const producer = this.#solely(gate as number)
      if (producer?.op !== 'activation') continue
      const shift = this.#solely(producer.input)
      const isShifted = shift?.op === 'affine' && shift.input === value && this.#isAll(shift.scale, 1) && this.#isAll(shift.shift, 3)
      const activation = isShifted ? shiftedGate(producer.activation) : producer.input === value ? gated(producer.activation) : undefined
      if (activation === undefined) continue
      if (isShifted) this.#steps.delete(producer.input)
      this.#steps.delete(producer.output)
      this.#uses[value as number] = (this.#uses[value as number] as number) - 1
      const joined = { op: 'activation', input: value as number, output: step.output, activation } as const
      return this.#joinActivation(joined) ?? [joined, producer.output]
    }
    return undefined
  }

  /** The step that computes `value`, if only one reads that. */
  #solely(value: number): PlanStep | undefined {
    return this.#uses[value] === 1 ? this.#steps.get(value) : undefined
  }

  /** scale·hard_swish(x), the sixth that exporters leave for last. */
  #joinScale(step: Extract<PlanStep, { op: 'affine' }>): readonly [PlanStep, number] | undefined {
    const producer = this.#solely(step.input)
    if (producer?.op !== 'activation' && producer?.op !== 'convolution' && producer?.op !== 'cp_block') return undefined
    const scale = this.#data(step.scale)[0] as number
    if (producer.activation?.kind !== 'hard_swish' || !this.#isAll(step.scale, scale) || !this.#isAll(step.shift, 0)) return undefined
    const activation = { ...producer.activation, alpha: (producer.activation.alpha ?? 1) * scale }
    return [{ ...producer, output: step.output, activation }, producer.output]
  }

  /** Of two convolutions the later one takes the sum over, so that none has to wait. */
  #joinAdd(step: Binary): readonly [PlanStep, number] | undefined {
    const [a, b] = step.inputs
    if (a === b) return undefined
    const order = (value: number): number => this.#order.get(value) ?? -1
    const [first, second] = order(a) > order(b) ? [a, b] : [b, a]
    for (const [own, other] of [
      [first, second],
      [second, first]
    ] as const) {
      const conv = this.#bare(own)
      if (conv !== undefined) return [{ ...conv, output: step.output, residual: other }, conv.output]
    }
    return undefined
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
  if (activation?.kind === 'leaky_relu' || activation?.kind === 'elu' || activation?.kind === 'hard_sigmoid')
    return (activation.alpha ?? 0) >= 0
  return !['hard_swish', 'selu', 'swish', 'gelu', 'gelu_tanh', 'mish'].includes(activation?.kind ?? 'none')
}
