import { checkOptions, checkRecord, type Names } from '../arguments.js'
import { PolyadicError, checkInteger } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { native } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import { constantInputs } from '../operators/constant-inputs.js'
import { type InputShapes, type InputValues, isFixed, resolveInputs } from '../operators/infer.js'
import { checkTensor, type Tensor } from '../tensor.js'
import { own } from '../own.js'
import { type CompiledValue, compile } from './compile.js'
import { type CheckedFeed, checkFeeds, type Feeds } from './feeds.js'
import { PlanCache } from './plan-cache.js'
import type { PlanStep } from './plan-spec.js'
import type { Plan, PlanRequest } from './plan.js'
import { checkPrecision, type Precision, type PrecisionChoice, usable } from './precision.js'
import { type ResultMemory, Results } from './results.js'
import { checkThreads } from './threads.js'

export interface SessionOptions {
  /** Threads of a run. Default: 1, as a server has other requests to answer; `defaultThreads()` is all that the process may use. */
  readonly threads?: number
  /** How many input shapes keep their plan; the one not used for longest goes first. Default: 4. */
  readonly maxPlans?: number
  /**
   * `bf16`: weights and the values between layers in bfloat16, sums in float32; element-wise functions, normalisation and softmax in
   * float32. Where the processor has no such instructions the session computes in float32, and `describe()` says why. `auto`: whichever
   * runs faster, measured when a plan is made: at the first run of each input shape. Default: `f32`.
   */
  readonly precision?: PrecisionChoice
  /** Of `create` alone: aborting rejects with its reason. */
  readonly signal?: AbortSignal
}

const sessionOptions: Names<SessionOptions> = { threads: true, maxPlans: true, precision: true, signal: true }

export interface RunSyncOptions {
  /**
   * Tensors that results are written to, by output name, each of its output's dims and type: a caller who is done with a result gives it
   * again, as fresh memory of megabytes costs as much as a fast network. They are what the run returns; not to be touched, nor given to another
   * run, before it has. Outputs left out get memory of their own.
   */
  readonly outputs?: ResultMemory
}

export interface RunOptions extends RunSyncOptions {
  /** Aborting rejects with its reason, once native code has let go of the tensors. */
  readonly signal?: AbortSignal
}

const runSyncOptions: Names<RunSyncOptions> = { outputs: true }
const runOptions: Names<RunOptions> = { ...runSyncOptions, signal: true }

/** What runs as one. */
export interface StepDescription {
  /** Names of the nodes that it computes. */
  readonly nodes: readonly string[]
  readonly op: string
  /** The kernel and its tile. */
  readonly kernel: string
  /** Why that kernel, and why the step is not part of the one before it; by what has decided so, and empty where there was nothing to decide. */
  readonly why: readonly string[]
}

/** What a session does for one input shape. */
export interface SessionDescription {
  /** The kernel table in use, such as `avx2`. */
  readonly isa: string
  readonly threads: number
  /** What convolutions, matrix products and CP blocks compute in. */
  readonly precision: Precision
  /** Why that is not what was asked for. */
  readonly precisionReason?: string
  /** Images of the batch that go through the network together: what the second-level cache has room for. */
  readonly imagesAtATime: number
  /** Why so many; empty for one image. */
  readonly imagesReason: string
  /** Working memory: values between steps and scratch. */
  readonly arenaBytes: number
  /** Packed weights. */
  readonly weightBytes: number
  /** Of them, those that the session's plan for other shapes held already when this one was made, and which are there only once. */
  readonly sharedWeightBytes: number
  readonly inputs: readonly CompiledValue[]
  readonly outputs: readonly CompiledValue[]
  readonly steps: readonly StepDescription[]
}

/** One call: what native code reads and writes. */
interface Prepared {
  readonly inputs: readonly Float32Array[]
  readonly results: Results
}

const defaults = { threads: 1, maxPlans: 4, precision: 'f32' } as const

/**
 * Runs a network. Input shapes may change from call to call: each has a plan of its own, made on first use and kept; so has each value of
 * an input that determines shapes (the target of a Reshape, say). Whatever its type, a tensor is computed in float32: integers are exact
 * up to 2²⁴ and refused beyond. Plans are
 * made and runs queue on one compute thread; the event loop stays free. Input tensors must not be changed while a run is under way, nor the network's weights
 * while a plan is made of them.
 */
export class Session {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly #graph: Graph
  readonly #outputNames: readonly string[]
  /** Inputs whose contents, not only their shapes, determine a plan. */
  readonly #constantInputs: ReadonlySet<string>
  readonly #threads: number
  readonly #planner = native().createPlanner()
  readonly #plans: PlanCache
  #running = 0
  /** Who waits until nothing runs. */
  readonly #waiting: (() => void)[] = []
  #isClosed = false

  private constructor(graph: Graph, options: Required<Omit<SessionOptions, 'signal'>>) {
    this.#graph = graph
    this.#outputNames = graph.outputs.map(({ name }) => name)
    this.#constantInputs = constantInputs(graph)
    this.#threads = options.threads
    this.#plans = new PlanCache(options.maxPlans, usable(options.precision))
    this.inputs = graph.inputs
    this.outputs = graph.outputs
  }

  /**
   * Makes a session. What polyadic cannot run is refused here (`POLYADIC_UNSUPPORTED`), not at the first run, as far as the graph says
   * the shapes of its inputs; when it says all of them, the plan is made here as well.
   */
  static async create(model: Graph, options: SessionOptions = {}): Promise<Session> {
    checkForm(model, 'model')
    checkOptions(options, sessionOptions)
    const { signal } = options
    signal?.throwIfAborted()
    const session = new Session(model, {
      threads: checkThreads(options.threads ?? defaults.threads),
      maxPlans: checkInteger('maxPlans', options.maxPlans ?? defaults.maxPlans, 1),
      precision: checkPrecision(options.precision ?? defaults.precision)
    })
    // What an input's contents determine is only known at the first run.
    if (session.#constantInputs.size > 0) return session
    const everyDim = (test: (dim: number | string | null, axis: number) => boolean): boolean =>
      model.inputs.every((input) => input.dims?.every(test))
    if (everyDim(isFixed)) await session.#makeFirst(signal)
    else if (everyDim((dim, axis) => isFixed(dim) || axis === 0)) compile(model)
    return session
  }

  /** Runs the network: one tensor an output, by name. */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    checkOptions(options, runOptions)
    options.signal?.throwIfAborted()
    const checked = this.#checked(feeds)
    let plan = this.#latestFor(checked)
    if (plan === undefined) {
      const request = this.#requestFor(checked)
      plan = this.#plans.find(request)
      if (plan === undefined) return await this.#whileRunning(this.#runWhenMade(request, feeds, options))
    }
    const { inputs, results } = this.#prepare(plan, checked, options.outputs)
    await this.#whileRunning(runJob(() => plan.native.run(inputs, results.buffers), options.signal))
    return results.named(this.#outputNames)
  }

  /** As `run`, on the calling thread, which it blocks: for scripts and worker threads. */
  runSync(feeds: Feeds, options: RunSyncOptions = {}): Record<string, Tensor> {
    checkOptions(options, runSyncOptions)
    const checked = this.#checked(feeds)
    const plan = this.#latestFor(checked) ?? this.#plans.get(this.#requestFor(checked))
    const { inputs, results } = this.#prepare(plan, checked, options.outputs)
    fromNative(() => plan.native.runSync(inputs, results.buffers))
    return results.named(this.#outputNames)
  }

  /**
   * What runs for these input shapes (default: those of the graph, with a batch of 1 where it is not fixed), step by step. `inputValues`: of
   * inputs whose contents determine shapes; others are not looked at.
   */
  describe(inputShapes: InputShapes = {}, inputValues: InputValues = {}): SessionDescription {
    checkRecord('inputValues', inputValues, 'an object of tensors by input name')
    const known = [...this.#constantInputs].filter((name) => own(inputValues, name) !== undefined)
    const values = Object.fromEntries(known.map((name) => [name, inputValues[name] as Tensor]))
    for (const [name, value] of Object.entries(values)) checkTensor(`inputValues: ${name}`, value)
    this.#checkOpen()
    const { compiled, native, used } = this.#plans.get(this.#request(inputShapes, values))
    const described = fromNative(() => native.describe())
    return {
      ...described,
      steps: described.steps.map(({ op, kernel, why }, i) => {
        const { nodes = [], apart } = compiled.spec.steps[i] as PlanStep
        return { nodes, op, kernel, why: [...(apart === undefined ? [] : [`not joined: ${apart}`]), ...(why === '' ? [] : [why])] }
      }),
      threads: this.#threads,
      precision: used.precision,
      ...(used.reason !== undefined && { precisionReason: used.reason }),
      inputs: compiled.inputs,
      outputs: compiled.outputs
    }
  }

  /** Frees native memory; runs under way still finish. Later calls throw `POLYADIC_ARGUMENT`. */
  close(): void {
    this.#isClosed = true
    this.#plans.close()
  }

  /** Closes the session and waits for runs under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    if (this.#running > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    // Those whom all who waited have given up as well.
    await this.#plans.idle()
  }

  /** The plan for the shapes of the graph. Nobody has a session that failed here: what it holds is given back. */
  async #makeFirst(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#plans.whenMade(this.#request({}, {}), async () => {}, signal)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #checked(feeds: Feeds): readonly CheckedFeed[] {
    this.#checkOpen()
    return checkFeeds(this.#graph, feeds)
  }

  #prepare(plan: Plan, checked: readonly CheckedFeed[], memory: ResultMemory | undefined): Prepared {
    const inputs = plan.feedOf.map((i) => (checked[i] as CheckedFeed).floats)
    return { inputs, results: new Results(plan.results, memory, inputs) }
  }

  /** A run whose plan has to be made first; the session may be closed meanwhile. */
  #runWhenMade(request: PlanRequest, feeds: Feeds, { outputs, signal }: RunOptions): Promise<Record<string, Tensor>> {
    const start = async (plan: Plan): Promise<Record<string, Tensor>> => {
      // Again: nothing has kept the caller from giving the tensors' memory away.
      const { inputs, results } = this.#prepare(plan, checkFeeds(this.#graph, feeds), outputs)
      await runJob(() => plan.native.run(inputs, results.buffers), signal)
      return results.named(this.#outputNames)
    }
    return this.#plans.whenMade(request, start, signal)
  }

  /** The latest plan, where it fits: most calls have the shapes of the one before. */
  #latestFor(checked: readonly CheckedFeed[]): Plan | undefined {
    const { latest } = this.#plans
    return this.#constantInputs.size === 0 && latest !== undefined && sameDims(latest.inputDims, checked) ? latest : undefined
  }

  #requestFor(checked: readonly CheckedFeed[]): PlanRequest {
    const tensors = new Map(checked.map(({ name, tensor }) => [name, tensor]))
    const shapes = Object.fromEntries(checked.map(({ name, tensor }) => [name, [...tensor.dims]]))
    const values = Object.fromEntries([...this.#constantInputs].map((name) => [name, tensors.get(name) as Tensor]))
    return this.#request(shapes, values)
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PolyadicError('POLYADIC_ARGUMENT', 'this session was closed', { subject: 'session' })
  }

  #request(inputShapes: InputShapes, inputValues: InputValues): PlanRequest {
    return {
      graph: this.#graph,
      inputShapes: resolveInputs(this.#graph, inputShapes),
      inputValues,
      threads: this.#threads,
      planner: this.#planner
    }
  }

  /** Counted, so that disposal waits for it. */
  async #whileRunning<T>(work: Promise<T>): Promise<T> {
    this.#running++
    try {
      return await work
    } finally {
      if (--this.#running === 0) for (const wake of this.#waiting.splice(0)) wake()
    }
  }
}

function sameDims(expected: readonly (readonly number[])[], feeds: readonly CheckedFeed[]): boolean {
  return expected.every((dims, i) => {
    const given = (feeds[i] as CheckedFeed).tensor.dims
    return dims.length === given.length && dims.every((dim, axis) => dim === given[axis])
  })
}
