import { PolyadicError, argumentError, checkInteger } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { native, type NativePlan } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import { type InputShapes, isFixed, resolveInputs } from '../operators/infer.js'
import { elementCount, type FloatTensor } from '../tensor.js'
import { type Compiled, type CompiledValue, compile } from './compile.js'
import { type CheckedFeed, checkFeeds, type Feeds } from './feeds.js'
import { checkThreads } from './threads.js'

export interface SessionOptions {
  /** Threads of a run. Default: 1, as a server has other requests to answer; `defaultThreads()` is all that the process may use. */
  readonly threads?: number
  /** How many input shapes keep their plan; the one not used for longest goes first. Default: 4. */
  readonly maxPlans?: number
}

export interface RunOptions {
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
  readonly native: NativePlan
}

const defaults = { threads: 1, maxPlans: 4 }

/**
 * Runs a network. Input shapes may change from call to call: each has a plan of its own, made on first use and kept. Runs
 * queue on one compute thread; the event loop stays free. Input tensors must not be changed while a run is under way.
 */
export class Session {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly #graph: Graph
  readonly #threads: number
  readonly #maxPlans: number
  /** By input shapes, in the order of use. */
  readonly #plans = new Map<string, Plan>()
  readonly #running = new Set<Promise<void>>()
  #isClosed = false

  private constructor(graph: Graph, options: Required<SessionOptions>) {
    this.#graph = graph
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
    const everyDim = (test: (dim: number | string | null, axis: number) => boolean): boolean =>
      model.inputs.every((input) => input.dims?.every(test))
    if (everyDim(isFixed)) session.#plan({})
    else if (everyDim((dim, axis) => isFixed(dim) || axis === 0)) compile(model)
    return session
  }

  /** Runs the network: one tensor an output, by name. */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, FloatTensor>> {
    options.signal?.throwIfAborted()
    const { plan, inputs, outputs } = this.#prepare(feeds)
    const job = runJob(
      () =>
        plan.native.run(
          inputs,
          outputs.map((output) => output.data)
        ),
      options.signal
    )
    const settled = job.catch(() => undefined)
    this.#running.add(settled)
    try {
      await job
    } finally {
      this.#running.delete(settled)
    }
    return byName(plan.compiled, outputs)
  }

  /** As `run`, on the calling thread, which it blocks: for scripts and worker threads. */
  runSync(feeds: Feeds): Record<string, FloatTensor> {
    const { plan, inputs, outputs } = this.#prepare(feeds)
    fromNative(() =>
      plan.native.runSync(
        inputs,
        outputs.map((output) => output.data)
      )
    )
    return byName(plan.compiled, outputs)
  }

  /** What runs for these input shapes (default: those of the graph, with a batch of 1 where it is not fixed), step by step. */
  describe(inputShapes: InputShapes = {}): SessionDescription {
    const { compiled, native } = this.#plan(inputShapes)
    return { ...fromNative(() => native.describe()), threads: this.#threads, inputs: compiled.inputs, outputs: compiled.outputs }
  }

  /** Frees native memory; runs under way still finish. Later calls throw `POLYADIC_ARGUMENT`. */
  close(): void {
    this.#isClosed = true
    for (const plan of this.#plans.values()) plan.native.close()
    this.#plans.clear()
  }

  /** Closes the session and waits for runs under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await Promise.all(this.#running)
  }

  #prepare(feeds: Feeds): { plan: Plan; inputs: Float32Array[]; outputs: FloatTensor[] } {
    this.#checkOpen()
    const checked = checkFeeds(this.#graph, feeds)
    const plan = this.#plan(Object.fromEntries([...checked].map(([name, { dims }]) => [name, dims])))
    const inputs = plan.compiled.inputs.map(({ name }) => (checked.get(name) as CheckedFeed).data)
    const outputs = plan.compiled.outputs.map(
      ({ dims }): FloatTensor => ({ dtype: 'float32', dims, data: new Float32Array(elementCount(dims)) })
    )
    return { plan, inputs, outputs }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PolyadicError('POLYADIC_ARGUMENT', 'this session was closed', { subject: 'session' })
  }

  /** The plan for these shapes, from the cache or made now. */
  #plan(inputShapes: InputShapes): Plan {
    this.#checkOpen()
    const resolved = resolveInputs(this.#graph, inputShapes)
    const key = JSON.stringify([...resolved.values()])
    const plan = this.#plans.get(key) ?? this.#make(Object.fromEntries(resolved))
    this.#plans.delete(key)
    this.#plans.set(key, plan)
    for (const [oldest, { native }] of this.#plans) {
      if (this.#plans.size <= this.#maxPlans) break
      native.close()
      this.#plans.delete(oldest)
    }
    return plan
  }

  #make(inputShapes: InputShapes): Plan {
    const compiled = compile(this.#graph, { inputShapes, threads: this.#threads })
    return { compiled, native: fromNative(() => native().createPlan(compiled.spec)) }
  }
}

function byName(compiled: Compiled, outputs: readonly FloatTensor[]): Record<string, FloatTensor> {
  return Object.fromEntries(compiled.outputs.map(({ name }, i) => [name, outputs[i] as FloatTensor]))
}
