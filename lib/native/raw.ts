import type { PlanSpec } from '../runtime/plan-spec.js'
import type {
  NativeAddon,
  NativeCpdSpec,
  NativeJob,
  NativeMomentsSpec,
  NativePlan,
  NativePlanner,
  NativeStiffnessSpec,
  NativeTrainer
} from './binding.js'
import { typed } from './errors.js'

/** The number of a job. Native code makes no promise of its own: that would cost memory in each run. */
type JobNumber = number

/** An object whose jobs are numbers still. */
type Raw<T> = { readonly [K in keyof T]: T[K] extends (...args: infer A) => NativeJob<unknown> ? (...args: A) => JobNumber : T[K] }

/** The addon as it is loaded. */
export interface RawAddon
  extends Omit<NativeAddon, 'createPlan' | 'createPlanner' | 'createTrainer' | 'cpd' | 'patchMoments' | 'stiffness'> {
  createPlan(spec: PlanSpec): Raw<NativePlan>
  createPlanner(): { createPlan(spec: PlanSpec): Raw<NativePlan>; preparePlan(spec: PlanSpec): JobNumber }
  createTrainer(...args: Parameters<NativeAddon['createTrainer']>): Raw<NativeTrainer>
  cpd(spec: NativeCpdSpec, onProgress: ((iteration: number, error: number) => void) | undefined): JobNumber
  patchMoments(spec: NativeMomentsSpec): JobNumber
  stiffness(spec: NativeStiffnessSpec): JobNumber
  /** `settled` is called once for each job, on this thread, when native code has let go of its buffers. */
  onSettled(settled: (job: JobNumber, error: unknown, result: unknown) => void): void
  /** Asks a job to stop; nothing happens when it has settled. */
  cancel(job: JobNumber): void
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** The addon with a promise for each job. */
export function withJobs(raw: RawAddon): NativeAddon {
  const waiting = new Map<JobNumber, Waiting>()
  raw.onSettled((number, error, result) => {
    const job = waiting.get(number)
    waiting.delete(number)
    if (error === undefined) job?.resolve(result)
    else job?.reject(typed(error))
  })

  class Job<T> implements NativeJob<T> {
    readonly promise: Promise<T>
    readonly #number: JobNumber
    /** `finish`: what the native result becomes before anybody sees it. */
    constructor(number: JobNumber, finish = (result: unknown): T => result as T) {
      this.#number = number
      this.promise = new Promise<T>((resolve, reject) => {
        waiting.set(number, { resolve: (result) => resolve(finish(result)), reject })
      })
    }
    cancel(): void {
      raw.cancel(this.#number)
    }
  }

  function plan(own: Raw<NativePlan>): NativePlan {
    return { ...own, run: (inputs, outputs) => new Job(own.run(inputs, outputs)), timeSteps: (runs) => new Job(own.timeSteps(runs)) }
  }
  function trainer(own: Raw<NativeTrainer>): NativeTrainer {
    return {
      ...own,
      step: (...args) => new Job(own.step(...args)),
      evaluate: (...args) => new Job(own.evaluate(...args)),
      gradients: (...args) => new Job(own.gradients(...args))
    }
  }
  return Object.assign(Object.create(raw) as RawAddon, {
    createPlan: (spec: PlanSpec) => plan(raw.createPlan(spec)),
    createPlanner: (): NativePlanner => {
      const planner = raw.createPlanner()
      return {
        createPlan: (spec) => plan(planner.createPlan(spec)),
        preparePlan: (spec) => new Job(planner.preparePlan(spec), (own) => plan(own as Raw<NativePlan>))
      }
    },
    createTrainer: (...args: Parameters<NativeAddon['createTrainer']>) => trainer(raw.createTrainer(...args)),
    cpd: (...args: Parameters<RawAddon['cpd']>) => new Job<never>(raw.cpd(...args)),
    patchMoments: (spec: NativeMomentsSpec) => new Job<never>(raw.patchMoments(spec)),
    stiffness: (spec: NativeStiffnessSpec) => new Job<number>(raw.stiffness(spec))
  })
}
