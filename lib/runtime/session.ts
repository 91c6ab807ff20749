import { PolyadicError, argumentError, checkInteger } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { native, type NativePlan } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import { constantInputs } from '../operators/constant-inputs.js'
import { type InputShapes, type InputValues, isFixed, resolveInputs } from '../operators/infer.js'
import type { Tensor } from '../tensor.js'
import { type Compiled, type CompiledValue, compile } from './compile.js'
import { type CheckedFeed, checkFeeds, type Feeds } from './feeds.js'
import { type ResultMemory, Results } from './results.js'
import { checkThreads } from './threads.js'

export interface SessionOptions {
  /** Threads of a run. Default: 1, as a server has other requests to answer; `defaultThreads()` is all that the process may use. */
  readonly threads?: number
  /** How many input shapes keep their plan; the one not used for longest goes first. Default: 4. */
  readonly maxPlans?: number
}

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

/** What a session does for one input shape. */
export interface SessionDescription {
  /** The kernel table in use, such as `avx2`. */
  readonly isa: string
  readonly threads: number
  /** Images of the batch that go through the network together: what the second-level cache has room for. */
  readonly imagesAtATime: number
  /** Working memory: values between steps and scratch. */
  readonly arenaBytes: number
  /** Packed weights. */
  readonly weightBytes: number
  readonly inputs: readonly CompiledValue[]
  readonly outputs: readonly CompiledValue[]
  readonly steps: readonly { readonly op: string; readonly kernel: string }[]
}

interface Plan {
  readonly compiled: Compiled
  /** Of the graph's inputs, in their order. */
  readonly inputDims: readonly (readonly number[])[]
  /** For each input of the plan, which of the graph's it is. */
  readonly feedOf: readonly number[]
  readonly native: NativePlan
}

/** One call: what native code reads and writes. */
interface Prepared {
  readonly plan: Plan
  readonly inputs: readonly Float32Array[]
  readonly results: Results
}

const defaults = { threads: 1, maxPlans: 4 }

/**
 * Runs a network. Input shapes may change from call to call: each has a plan of its own, made on first use and kept; so has each value of
 * an input that determines shapes (the target of a Reshape, say). Whatever its type, a tensor is computed in float32: integers are exact
 * up to 2²⁴ and refused beyond. Runs
 * queue on one compute thread; the event loop stays free. Input tensors must not be changed while a run is under way.
 */
export class Session {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly #graph: Graph
  readonly #outputNames: readonly string[]
  /** Inputs whose contents, not only their shapes, determine a plan. */
  readonly #constantInputs: ReadonlySet<string>
  readonly #threads: number
  readonly #maxPlans: number
  /** By input shapes, in the order of use. */
  readonly #plans = new Map<string, Plan>()
  #latest: Plan | undefined
  #running = 0
  /** Who waits until nothing runs. */
  readonly #waiting: (() => void)[] = []
  #isClosed = false

  private constructor(graph: Graph, options: Required<SessionOptions>) {
    this.#graph = graph
    this.#outputNames = graph.outputs.map(({ name }) => name)
    this.#constantInputs = constantInputs(graph)
    this.#threads = options.threads
    this.#maxPlans = options.maxPlans
    this.inputs = graph.inputs
    this.outputs = graph.outputs
  }

  /**
   * Makes a session. What polyadic cannot run is refused here (`POLYADIC_UNSUPPORTED`), not at the first run, as far as the graph says
   * the shapes of its inputs; when it says all of them, the plan is made here as well.
   */
  static async create(model: Graph, options: SessionOptions = {}): Promise<Session> {
    if (typeof model !== 'object' || model === null || !Array.isArray(model.nodes))
      throw argumentError('model', 'a Graph, as readOnnx gives', model)
    const session = new Session(model, {
      threads: checkThreads(options.threads ?? defaults.threads),
      maxPlans: checkInteger('maxPlans', options.maxPlans ?? defaults.maxPlans, 1)
    })
    // What an input's contents determine is only known at the first run.
    if (session.#constantInputs.size > 0) return session
    const everyDim = (test: (dim: number | string | null, axis: number) => boolean): boolean =>
      model.inputs.every((input) => input.dims?.every(test))
    if (everyDim(isFixed)) session.#plan({}, {})
    else if (everyDim((dim, axis) => isFixed(dim) || axis === 0)) compile(model)
    return session
  }

  /** Runs the network: one tensor an output, by name. */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    options.signal?.throwIfAborted()
    const { plan, inputs, results } = this.#prepare(feeds, options.outputs)
    this.#running++
    try {
      await runJob(() => plan.native.run(inputs, results.buffers), options.signal)
    } finally {
      if (--this.#running === 0) for (const wake of this.#waiting.splice(0)) wake()
    }
    return results.named(this.#outputNames)
  }

  /** As `run`, on the calling thread, which it blocks: for scripts and worker threads. */
  runSync(feeds: Feeds, options: RunSyncOptions = {}): Record<string, Tensor> {
    const { plan, inputs, results } = this.#prepare(feeds, options.outputs)
    fromNative(() => plan.native.runSync(inputs, results.buffers))
    return results.named(this.#outputNames)
  }

  /** What runs for these input shapes (default: those of the graph, with a batch of 1 where it is not fixed), step by step. */
  describe(inputShapes: InputShapes = {}): SessionDescription {
    const { compiled, native } = this.#plan(inputShapes, {})
    return { ...fromNative(() => native.describe()), threads: this.#threads, inputs: compiled.inputs, outputs: compiled.outputs }
  }

  /** Frees native memory; runs under way still finish. Later calls throw `POLYADIC_ARGUMENT`. */
  close(): void {
    this.#isClosed = true
    for (const plan of this.#plans.values()) plan.native.close()
    this.#plans.clear()
    this.#latest = undefined
  }

  /** Closes the session and waits for runs under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    if (this.#running > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #prepare(feeds: Feeds, memory: ResultMemory | undefined): Prepared {
    this.#checkOpen()
    const checked = checkFeeds(this.#graph, feeds)
    const plan = this.#planFor(checked)
    const inputs = plan.feedOf.map((i) => (checked[i] as CheckedFeed).floats)
    return { plan, inputs, results: new Results(plan.compiled, memory, inputs) }
  }

  #planFor(checked: readonly CheckedFeed[]): Plan {
    // Most calls have the shapes of the one before.
    if (this.#constantInputs.size === 0 && this.#latest !== undefined && sameDims(this.#latest.inputDims, checked)) return this.#latest
    const tensors = new Map(checked.map(({ name, tensor }) => [name, tensor]))
    const shapes = Object.fromEntries(checked.map(({ name, tensor }) => [name, [...tensor.dims]]))
    const values = Object.fromEntries([...this.#constantInputs].map((name) => [name, tensors.get(name) as Tensor]))
    return this.#plan(shapes, values)
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PolyadicError('POLYADIC_ARGUMENT', 'this session was closed', { subject: 'session' })
  }

  /** The plan for these shapes and values, from the cache or made now. */
  #plan(inputShapes: InputShapes, inputValues: InputValues): Plan {
    this.#checkOpen()
    const resolved = resolveInputs(this.#graph, inputShapes)
    const key = JSON.stringify([
      [...resolved.values()],
      Object.values(inputValues).map(({ data }) => Array.from(data as Float32Array, String))
    ])
    const plan = this.#plans.get(key) ?? this.#make(resolved, inputValues)
    this.#plans.delete(key)
    this.#plans.set(key, plan)
    for (const [oldest, { native }] of this.#plans) {
      if (this.#plans.size <= this.#maxPlans) break
      native.close()
      this.#plans.delete(oldest)
    }
    this.#latest = plan
    return plan
  }

  #make(inputShapes: ReadonlyMap<string, readonly number[]>, inputValues: InputValues): Plan {
    const compiled = compile(this.#graph, { inputShapes: Object.fromEntries(inputShapes), inputValues, threads: this.#threads })
    const names = this.inputs.map((input) => input.name)
    return {
      compiled,
      inputDims: names.map((name) => inputShapes.get(name) as readonly number[]),
      feedOf: compiled.inputs.map(({ name }) => names.indexOf(name)),
      native: fromNative(() => native().createPlan(compiled.spec))
    }
  }
}

function sameDims(expected: readonly (readonly number[])[], feeds: readonly CheckedFeed[]): boolean {
  return expected.every((dims, i) => {
    const given = (feeds[i] as CheckedFeed).tensor.dims
    return dims.length === given.length && dims.every((dim, axis) => dim === given[axis])
  })
}
