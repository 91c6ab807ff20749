import { PolyadicError, argumentError, checkInteger } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { native, type NativePlan } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import { constantInputs } from '../operators/constant-inputs.js'
import { type InputShapes, type InputValues, isFixed, resolveInputs } from '../operators/infer.js'
import { elementCount, fromFloat32, type Tensor } from '../tensor.js'
import { type Compiled, type CompiledValue, compile } from './compile.js'
import { type CheckedFeed, checkFeeds, type Feeds } from './feeds.js'
import { checkPrecision, type Precision, type PrecisionChoice, trial, type UsedPrecision, usable } from './precision.js'
import { checkThreads } from './threads.js'

export interface SessionOptions {
  /** Threads of a run. Default: 1, as a server has other requests to answer; `defaultThreads()` is all that the process may use. */
  readonly threads?: number
  /** How many input shapes keep their plan; the one not used for longest goes first. Default: 4. */
  readonly maxPlans?: number
  /**
   * `bf16`: weights and the values between layers in bfloat16, sums in float32; element-wise functions, normalisation and softmax in
   * float32. Where the processor has no such instructions the session computes in float32, and `describe()` says why. `auto`: whichever
   * runs faster, measured once, on the first input shapes. Default: `f32`.
   */
  readonly precision?: PrecisionChoice
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
  /** What convolutions, matrix products and CP blocks compute in. */
  readonly precision: Precision
  /** Why that is not what was asked for. */
  readonly precisionReason?: string
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
  /** Where the outputs go, in the plan's order. */
  readonly buffers: readonly Float32Array[]
}

const defaults = { threads: 1, maxPlans: 4, precision: 'f32' } as const

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
  /** Inputs whose contents, not only their shapes, determine a plan. */
  readonly #constantInputs: ReadonlySet<string>
  readonly #threads: number
  readonly #maxPlans: number
  /** Undefined: to be measured. */
  #used: UsedPrecision | undefined
  #measuring: Promise<void> | undefined
  /** By input shapes, in the order of use. */
  readonly #plans = new Map<string, Plan>()
  #latest: Plan | undefined
  #running = 0
  /** Who waits until nothing runs. */
  readonly #waiting: (() => void)[] = []
  #isClosed = false

  private constructor(graph: Graph, options: Required<SessionOptions>) {
    this.#graph = graph
    this.#constantInputs = constantInputs(graph)
    this.#threads = options.threads
    this.#maxPlans = options.maxPlans
    this.#used = usable(options.precision)
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
      maxPlans: checkInteger('maxPlans', options.maxPlans ?? defaults.maxPlans, 1),
      precision: checkPrecision(options.precision ?? defaults.precision)
    })
    // What an input's contents determine is only known at the first run.
    if (session.#constantInputs.size > 0) return session
    const everyDim = (test: (dim: number | string | null, axis: number) => boolean): boolean =>
      model.inputs.every((input) => input.dims?.every(test))
    if (everyDim(isFixed)) {
      await session.#measure({}, {})
      session.#plan({}, {})
    }
    else if (everyDim((dim, axis) => isFixed(dim) || axis === 0)) compile(model)
    return session
  }

  /** Runs the network: one tensor an output, by name. */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    options.signal?.throwIfAborted()
    if (this.#used === undefined) await this.#measureFor(feeds)
    const { plan, inputs, buffers } = this.#prepare(feeds)
    this.#running++
    try {
      await runJob(() => plan.native.run(inputs, buffers), options.signal)
    } finally {
      if (--this.#running === 0) for (const wake of this.#waiting.splice(0)) wake()
    }
    return this.#named(plan.compiled, buffers)
  }

  /** As `run`, on the calling thread, which it blocks: for scripts and worker threads. */
  runSync(feeds: Feeds): Record<string, Tensor> {
    const { plan, inputs, buffers } = this.#prepare(feeds)
    fromNative(() => plan.native.runSync(inputs, buffers))
    return this.#named(plan.compiled, buffers)
  }

  /** What runs for these input shapes (default: those of the graph, with a batch of 1 where it is not fixed), step by step. */
  describe(inputShapes: InputShapes = {}): SessionDescription {
    const { compiled, native } = this.#plan(inputShapes, {})
    return {
      ...fromNative(() => native.describe()),
      threads: this.#threads,
      ...precisionOf(compiled, this.#used),
      inputs: compiled.inputs,
      outputs: compiled.outputs
    }
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

  #prepare(feeds: Feeds): Prepared {
    this.#checkOpen()
    const checked = checkFeeds(this.#graph, feeds)
    const plan = this.#planFor(checked)
    const buffers = plan.compiled.outputs.map(({ dims }) => unwritten(elementCount(dims)))
    return { plan, inputs: plan.feedOf.map((i) => (checked[i] as CheckedFeed).floats), buffers }
  }

  #planFor(checked: readonly CheckedFeed[]): Plan {
    // Most calls have the shapes of the one before.
    if (this.#constantInputs.size === 0 && this.#latest !== undefined && sameDims(this.#latest.inputDims, checked)) return this.#latest
    return this.#plan(...this.#shapesOf(checked))
  }

  #shapesOf(checked: readonly CheckedFeed[]): [InputShapes, InputValues] {
    const tensors = new Map(checked.map(({ name, tensor }) => [name, tensor]))
    const shapes = Object.fromEntries(checked.map(({ name, tensor }) => [name, [...tensor.dims]]))
    const values = Object.fromEntries([...this.#constantInputs].map((name) => [name, tensors.get(name) as Tensor]))
    return [shapes, values]
  }

  /** Every output of the graph by name, in its order. */
  #named({ outputs, constants }: Compiled, results: readonly Float32Array[]): Record<string, Tensor> {
    const computed = new Map(outputs.map(({ name, dims, dtype }, i) => [name, fromFloat32(results[i] as Float32Array, dims, dtype)]))
    return Object.fromEntries(this.outputs.map(({ name }) => [name, computed.get(name) ?? copyOf(constants.get(name) as Tensor)]))
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
    this.#used ??= this.#measureSync(resolved, inputValues)
    const plan = this.#plans.get(key) ?? this.#make(resolved, inputValues, this.#used.precision)
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

  /** Decides `auto` by running both plans, off this thread. */
  async #measure(inputShapes: InputShapes, inputValues: InputValues): Promise<void> {
    if (this.#used !== undefined) return
    this.#checkOpen()
    // Whoever comes while this is under way waits for its result.
    this.#measuring ??= (async () => {
      const candidates = this.#candidates(resolveInputs(this.#graph, inputShapes), inputValues)
      const steps = trial()
      let next = steps.next()
      try {
        while (!next.done) {
          const { native, inputs, buffers } = candidates[next.value]
          await runJob(() => native.run(inputs, buffers), undefined)
          next = steps.next()
        }
      } finally {
        for (const { native } of candidates) native.close()
      }
      this.#used = measured(next.value)
    })().finally(() => {
      this.#measuring = undefined
    })
    await this.#measuring
  }

  async #measureFor(feeds: Feeds): Promise<void> {
    await this.#measure(...this.#shapesOf(checkFeeds(this.#graph, feeds)))
  }

  #measureSync(resolved: ReadonlyMap<string, readonly number[]>, inputValues: InputValues): UsedPrecision {
    const candidates = this.#candidates(resolved, inputValues)
    const steps = trial()
    let next = steps.next()
    for (; !next.done; next = steps.next()) {
      const { native, inputs, buffers } = candidates[next.value]
      fromNative(() => native.runSync(inputs, buffers))
    }
    for (const { native } of candidates) native.close()
    return measured(next.value)
  }

  /** Both plans with inputs of zeros: their time does not depend on what they compute. */
  #candidates(resolved: ReadonlyMap<string, readonly number[]>, inputValues: InputValues): readonly [Candidate, Candidate] {
    const make = (precision: Precision): Candidate => {
      const { compiled, native } = this.#make(resolved, inputValues, precision)
      const zeros = ({ dims }: CompiledValue): Float32Array => new Float32Array(elementCount(dims))
      return { native, inputs: compiled.inputs.map(zeros), buffers: compiled.outputs.map(zeros) }
    }
    return [make('f32'), make('bf16')]
  }

  #make(inputShapes: ReadonlyMap<string, readonly number[]>, inputValues: InputValues, precision: Precision): Plan {
    const compiled = compile(this.#graph, {
      inputShapes: Object.fromEntries(inputShapes),
      inputValues,
      threads: this.#threads,
      precision
    })
    const names = this.inputs.map((input) => input.name)
    return {
      compiled,
      inputDims: names.map((name) => inputShapes.get(name) as readonly number[]),
      feedOf: compiled.inputs.map(({ name }) => names.indexOf(name)),
      native: fromNative(() => native().createPlan(compiled.spec))
    }
  }
}

interface Candidate {
  readonly native: NativePlan
  readonly inputs: readonly Float32Array[]
  readonly buffers: readonly Float32Array[]
}

function measured(faster: 0 | 1): UsedPrecision {
  return faster === 1 ? { precision: 'bf16' } : { precision: 'f32', reason: 'measured: bf16 is not faster' }
}

/** A network without a convolution or a product of matrices has nothing to compute in bf16. */
function precisionOf({ spec }: Compiled, used: UsedPrecision | undefined): Pick<SessionDescription, 'precision' | 'precisionReason'> {
  const { precision, reason } = used ?? { precision: 'f32' as const }
  if (precision === 'bf16' && !spec.steps.some((step) => 'bf16' in step && step.bf16 === true))
    return { precision: 'f32', precisionReason: 'the network has no step with a bf16 kernel' }
  return { precision, ...(reason !== undefined && { precisionReason: reason }) }
}

/** Memory that a run fills: not zeroed first, which would cost as much as writing the result. It is the array's own and can be transferred. */
function unwritten(count: number): Float32Array {
  const bytes = Buffer.allocUnsafeSlow(count * Float32Array.BYTES_PER_ELEMENT)
  return new Float32Array(bytes.buffer, bytes.byteOffset, count)
}

/** Callers own what they get. */
function copyOf(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() }
}

function sameDims(expected: readonly (readonly number[])[], feeds: readonly CheckedFeed[]): boolean {
  return expected.every((dims, i) => {
    const given = (feeds[i] as CheckedFeed).tensor.dims
    return dims.length === given.length && dims.every((dim, axis) => dim === given[axis])
  })
}
