import { checkArray, checkNames, checkRecord, isRecord, isString, type Names } from '../arguments.js'
import { checkChoice, checkNumber, PolyadicError, show } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import type { NativeLoss } from '../native/binding.js'
import { Session } from '../runtime/session.js'
import { elementCount, floatTensor } from '../tensor.js'
import type { FullBatch } from './batches.js'
import { singleInput, withOpenBatch, withOutputs } from './network.js'

/** A pair of values that should agree, by name: mean squared error, times `weight` (default 1). */
export interface FeaturePair {
  readonly teacher: string
  /** Default: the teacher's name. */
  readonly student?: string
  readonly weight?: number
}

/**
 * Training towards what another network says: weight·T²·KL(softmax(teacher/T) ‖ softmax(student/T)) of the logits (Hinton, Vinyals and
 * Dean, 2015) and the mean squared error of chosen feature maps. No labels are needed; where there are some, `labels` weighs the loss
 * against them.
 */
export interface Distillation {
  /** Usually the network before it was decomposed. */
  readonly teacher: Graph
  /** The value that holds the teacher's logits; default: its first output, before a softmax there, whatever `logits` of the student is. */
  readonly logits?: string
  /** Default 2. */
  readonly temperature?: number
  /** Default 1. */
  readonly weight?: number
  /** Weight of the loss against the labels; default 0, and without labels in any case. */
  readonly labels?: number
  readonly features?: readonly FeaturePair[]
}

const distillationOptions: Names<Distillation> = {
  teacher: true,
  logits: true,
  temperature: true,
  weight: true,
  labels: true,
  features: true
}
const pairOptions: Names<FeaturePair> = { teacher: true, student: true, weight: true }

export type LossName = 'cross-entropy' | 'mean-squared'

/** A value of the network that is trained, of a batch. */
export interface StudentOutput {
  readonly name: string
  readonly dims: readonly number[]
}

export interface ObjectiveOptions {
  readonly loss?: LossName | undefined
  readonly labelSmoothing: number
  readonly distillation?: Distillation | undefined
  /** The logits, then the student's values of `distillation.features`. */
  readonly student: readonly StudentOutput[]
  /** C×H×W. */
  readonly example: readonly number[]
  readonly batchSize: number
  readonly threads: number
}

/** What is minimised: makes the losses of each batch. Close it. */
export class Objective {
  readonly #options: ObjectiveOptions
  readonly #distillation:
    | (Required<Omit<Distillation, 'logits' | 'features'>> & { readonly features: readonly Required<FeaturePair>[] })
    | undefined
  #teacher: Session | undefined
  #input = ''
  #outputs: readonly string[] = []

  private constructor(options: ObjectiveOptions) {
    this.#options = options
    this.#distillation = options.distillation && checkDistillation(options.distillation)
    checkChoice('loss', options.loss ?? 'cross-entropy', ['cross-entropy', 'mean-squared'])
  }

  static async create(options: ObjectiveOptions): Promise<Objective> {
    const objective = new Objective(options)
    const distillation = objective.#distillation
    if (distillation === undefined) return objective
    const names = distillation.features.map(({ teacher }) => teacher)
    const graph = withOpenBatch(withOutputs(distillation.teacher, options.distillation?.logits, names))
    objective.#input = singleInput(graph).name
    objective.#outputs = graph.outputs.map(({ name }) => name)
    objective.#teacher = await Session.create(graph, { threads: options.threads })
    try {
      await objective.#checkTeacher()
    } catch (error) {
      objective.close()
      throw error
    }
    return objective
  }

  /** Throws POLYADIC_SHAPE naming the values when one of the teacher's does not have as many elements as the student's, or has no row for each example. */
  async #checkTeacher(): Promise<void> {
    const { example, batchSize, student } = this.#options
    const found = await this.#run(new Float32Array(batchSize * elementCount(example)))
    for (const [i, name] of this.#outputs.entries()) {
      const [own, dims] = [student[i], found[name]?.dims ?? []]
      if (own !== undefined && own.dims[0] !== student[0]?.dims[0]) {
        const message = `distillation.features: the student's ${show(own.name)} is ${own.dims.join('×')}; its first axis has to be that of the logits (${student[0]?.dims.join('×')}), a row an example`
        throw new PolyadicError('POLYADIC_SHAPE', message, { subject: 'distillation.features' })
      }
      if (own === undefined || elementCount(own.dims) === elementCount(dims)) continue
      const [what, choice] =
        i === 0
          ? ['logits', "distillation.logits names the teacher's, logits the student's"]
          : ['features', '{ teacher, student } name them']
      throw new PolyadicError(
        'POLYADIC_SHAPE',
        `distillation.${what}: the student's ${show(own.name)} is ${own.dims.join('×')}, the teacher's ${show(name)} ${dims.join('×')}, which it cannot be compared with; ${choice}`,
        { subject: `distillation.${what}` }
      )
    }
  }

  /** Whether targets are values and not classes. */
  get isRegression(): boolean {
    return this.#options.loss === 'mean-squared'
  }

  /** Of a batch that is trained on. Throws POLYADIC_ARGUMENT for one without targets where there is no teacher. */
  async training(batch: FullBatch): Promise<NativeLoss[]> {
    const distillation = this.#distillation
    if (distillation === undefined) return [this.#supervised(batch, 1, this.#options.labelSmoothing)]
    const [logits, ...features] = await this.#ask(batch)
    const losses: NativeLoss[] = [
      {
        kind: 'distillation',
        output: 0,
        weight: distillation.weight,
        temperature: distillation.temperature,
        target: logits as Float32Array
      }
    ]
    distillation.features.forEach(({ weight }, i) => {
      losses.push({ kind: 'mean_squared', output: i + 1, weight, target: features[i] as Float32Array })
    })
    if (distillation.labels > 0 && batch.target.length > 0)
      losses.unshift(this.#supervised(batch, distillation.labels, this.#options.labelSmoothing))
    return losses
  }

  /** Of a batch that is judged: against labels where there are some, else by how much the network differs from its teacher. */
  async evaluation(batch: FullBatch): Promise<NativeLoss[]> {
    if (this.#distillation === undefined || batch.target.length > 0) return [this.#supervised(batch, 1, 0)]
    const [logits] = await this.#ask(batch)
    return [{ kind: 'distillation', output: 0, temperature: 1, target: logits as Float32Array }]
  }

  close(): void {
    this.#teacher?.close()
  }

  #supervised({ target }: FullBatch, weight: number, smoothing: number): NativeLoss {
    if (target.length === 0)
      throw new PolyadicError('POLYADIC_ARGUMENT', 'train: expected a target with each batch, or a teacher (distillation)', {
        subject: 'train'
      })
    if (target instanceof Float32Array) return { kind: 'mean_squared', output: 0, weight, target }
    return { kind: 'cross_entropy', output: 0, weight, smoothing, target }
  }

  /** The teacher's logits and feature maps. */
  async #ask(batch: FullBatch): Promise<Float32Array[]> {
    const outputs = await this.#run(batch.input)
    return this.#outputs.map((name) => outputs[name]?.data as Float32Array)
  }

  #run(input: Float32Array): ReturnType<Session['run']> {
    const { example, batchSize } = this.#options
    return (this.#teacher as Session).run({ [this.#input]: floatTensor(input, [batchSize, ...example]) })
  }
}

/** Defaults filled in. Throws POLYADIC_ARGUMENT for what is missing or out of range. */
export function checkDistillation(distillation: Distillation): ReturnType<typeof withDefaults> {
  checkRecord('distillation', distillation, 'an object with a teacher')
  checkNames('distillation', distillation, distillationOptions)
  const { features = [] } = distillation
  checkForm(distillation.teacher, 'distillation.teacher')
  const isPair = (pair: unknown): boolean => isRecord(pair) && isString(pair.teacher) && isString(pair.student ?? '')
  checkArray('distillation.features', features, '{ teacher, student, weight }', isPair)
  for (const pair of features) checkNames('distillation.features', pair, pairOptions)
  return withDefaults(distillation, features)
}

function withDefaults(distillation: Distillation, features: readonly FeaturePair[]) {
  return {
    teacher: distillation.teacher,
    temperature: checkNumber('distillation.temperature', distillation.temperature ?? 2, 1e-3),
    weight: checkNumber('distillation.weight', distillation.weight ?? 1, 0),
    labels: checkNumber('distillation.labels', distillation.labels ?? 0, 0),
    features: features.map(({ teacher, student = teacher, weight = 1 }) => ({
      teacher,
      student,
      weight: checkNumber('distillation.features.weight', weight, 0)
    }))
  }
}
