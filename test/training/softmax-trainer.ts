import type { Graph } from '../../lib/graph/graph.js'
import { makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import type { NativeJob, NativeLoss, NativeOptimiser, NativeState, NativeStepResult, NativeTrainer } from '../../lib/native/binding.js'
import { floatTensor } from '../../lib/tensor.js'
import { random } from '../../lib/random.js'
import type { ExampleSet } from '../../lib/training/batches.js'
import { rateScales } from '../../lib/training/parameters.js'
import type { PrepareTraining } from '../../lib/training/trainer.js'

const size = 4
const classes = 3

/** A graph of one Gemm, 4 → 3 (weights 3×4, bias 3): the network that `SoftmaxTrainer` stands for. */
export function linearGraph(): Graph {
  return makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', size] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', classes] }],
    nodes: [makeNode({ name: 'fc', opType: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['y'] })],
    initializers: new Map([
      ['w', floatTensor(new Float32Array(size * classes), [size, classes])],
      ['b', floatTensor(new Float32Array(classes), [classes])]
    ])
  })
}

/** Examples of three classes: random vectors with one coordinate raised. */
export function examples(count: number, seed: number): ExampleSet {
  const source = random(seed)
  const labels = Int32Array.from({ length: count }, () => Math.floor(source.next() * classes))
  const images = Float32Array.from(
    { length: count * size },
    (_, i) => 0.3 * source.normal() + (i % size === labels[Math.floor(i / size)] ? 1 : 0)
  )
  return { images, labels, count }
}

/** A linear classifier in TypeScript behind the contract of native trainers; jobs end a turn of the loop later. */
export class SoftmaxTrainer implements NativeTrainer {
  /** Parameters: weights 3×4 (transposed against the graph), bias. */
  weights = [new Float32Array(classes * size), new Float32Array(classes)]
  momentum = [new Float32Array(classes * size), new Float32Array(classes)]
  closed = false
  readonly rates: number[] = []
  readonly seen: Float32Array[] = []
  /** Called before each step, to spoil its loss. */
  spoil: ((step: number) => number | undefined) | undefined

  step([input]: readonly Float32Array[], losses: readonly NativeLoss[], optimiser: NativeOptimiser): NativeJob<NativeStepResult> {
    return this.job(() => {
      this.rates.push(optimiser.learningRate)
      this.seen.push((input as Float32Array).slice())
      const { target, smoothing } = supervised(losses)
      const { result, gradients } = this.forward(input as Float32Array, target, target.length, smoothing)
      const loss = this.spoil?.(this.rates.length) ?? result.loss
      if (Number.isFinite(loss)) this.update(gradients, optimiser)
      return { ...result, loss }
    })
  }

  evaluate([input]: readonly Float32Array[], losses: readonly NativeLoss[], count: number): NativeJob<NativeStepResult> {
    return this.job(() => this.forward(input as Float32Array, supervised(losses).target, count, 0).result)
  }

  gradients([input]: readonly Float32Array[], losses: readonly NativeLoss[]): ReturnType<NativeTrainer['gradients']> {
    return this.job(() => {
      const { target, smoothing } = supervised(losses)
      const { result, gradients } = this.forward(input as Float32Array, target, target.length, smoothing)
      return { ...result, gradients }
    })
  }

  getParameters(what: NativeState): Float32Array[] {
    if (what === 'second' || what === 'average') return this.weights.map(() => new Float32Array(0))
    return (what === 'weights' ? this.weights : this.momentum).map((values) => values.slice())
  }

  setParameters(what: NativeState, values: readonly Float32Array[]): void {
    const copies = values.map((value) => Float32Array.from(value))
    if (what === 'weights') this.weights = copies
    if (what === 'first') this.momentum = copies
  }

  swapAverage(): void {}

  describe(): ReturnType<NativeTrainer['describe']> {
    throw new Error('not native')
  }

  close(): void {
    this.closed = true
  }

  private job<T>(work: () => T): NativeJob<T> {
    let cancelled = false
    const promise = new Promise<T>((resolve, reject) => {
      setImmediate(() => {
        if (cancelled) reject(Object.assign(new Error('cancelled'), { code: 'POLYADIC_ABORTED' }))
        else resolve(work())
      })
    })
    return {
      promise,
      cancel: () => {
        cancelled = true
      }
    }
  }

  private forward(
    input: Float32Array,
    target: Int32Array,
    count: number,
    labelSmoothing: number
  ): { result: NativeStepResult; gradients: Float32Array[] } {
    const [weight, bias] = this.weights as [Float32Array, Float32Array]
    const gradients = [new Float32Array(weight.length), new Float32Array(bias.length)] as const
    let [loss, correct] = [0, 0]
    for (let n = 0; n < count; n++) {
      const x = input.subarray(n * size, (n + 1) * size)
      const logits = Array.from(bias, (b, k) => x.reduce((sum, value, i) => sum + value * (weight[k * size + i] as number), b))
      const peak = Math.max(...logits)
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - peak), 0)
      if (logits.indexOf(peak) === target[n]) correct++
      logits.forEach((logit, k) => {
        const wanted = (k === target[n] ? 1 - labelSmoothing : 0) + labelSmoothing / classes
        const logProbability = logit - peak - Math.log(total)
        loss -= (wanted * logProbability) / count
        const slope = (Math.exp(logProbability) - wanted) / count
        gradients[1][k] = (gradients[1][k] as number) + slope
        x.forEach((value, i) => {
          gradients[0][k * size + i] = (gradients[0][k * size + i] as number) + slope * value
        })
      })
    }
    return { result: { penalty: 0, loss, correct, gradientNorm: Math.hypot(...gradients[0], ...gradients[1]) }, gradients: [...gradients] }
  }

  private update(gradients: readonly Float32Array[], { momentum = 0, ...sgd }: NativeOptimiser): void {
    this.weights.forEach((weight, p) =>
      weight.forEach((value, i) => {
        const velocity = this.momentum[p] as Float32Array
        const gradient = (gradients[p]?.[i] as number) + (sgd.weightDecay[p] as number) * value
        velocity[i] = momentum * (velocity[i] as number) + gradient
        const direction = sgd.nesterov ? gradient + momentum * (velocity[i] as number) : (velocity[i] as number)
        weight[i] = value - sgd.learningRate * (sgd.rateScale[p] as number) * direction
      })
    )
  }
}

/** Hands `trainer` to `fineTuneWith`. */
export function prepareWith(trainer: SoftmaxTrainer): PrepareTraining {
  const parameters = [
    { initializers: ['w'], nodes: ['fc'], role: 'weight', transposed: true },
    { initializers: ['b'], nodes: ['fc'], role: 'bias', transposed: false }
  ] as const
  return (_graph, { frozen }) => ({
    trainer,
    example: [size],
    outputs: [],
    outputSize: classes,
    untrained: [],
    classes,
    planInputs: 1,
    parameters,
    rateScale: rateScales(parameters, frozen)
  })
}

function supervised([loss]: readonly NativeLoss[]): { target: Int32Array; smoothing: number } {
  if (loss?.kind !== 'cross_entropy') throw new Error('only cross-entropy here')
  return { target: loss.target, smoothing: loss.smoothing ?? 0 }
}
