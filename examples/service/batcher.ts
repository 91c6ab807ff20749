import { type FloatTensor, floatTensor, type Session } from '../../lib/index.js'

/** The queue is full: the caller should come back later. */
export class QueueFullError extends Error {
  constructor(readonly limit: number) {
    super(`${limit} requests are waiting already`)
    this.name = 'QueueFullError'
  }
}

export interface BatcherOptions {
  readonly session: Pick<Session, 'run'>
  /** C×H×W of one example. */
  readonly dims: readonly number[]
  /** Largest batch; a power of two, as there is a plan for each power of two up to it. */
  readonly maxBatch: number
  /** Requests that may wait; one more is refused. */
  readonly maxQueue: number
  readonly onBatch?: (size: number, seconds: number) => void
}

/** A request that waits for its answer, or for the batch that it is part of. */
class Waiting {
  readonly answer: Promise<Float32Array>
  resolve!: (scores: Float32Array) => void
  reject!: (error: unknown) => void

  constructor(
    readonly example: Float32Array,
    readonly signal: AbortSignal
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }
}

/**
 * Answers single examples in batches. While one batch runs, the next one gathers: under light load each request runs at once and alone,
 * under heavy load batches grow, and nobody waits for a timer.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #queue: Waiting[] = []
  /** What runs, and how it is aborted. */
  #batch: readonly Waiting[] = []
  #abort = new AbortController()
  #running = false
  #idle: (() => void)[] = []

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** The network's output for one example. Rejects with `QueueFullError`, or with the signal's reason. */
  async classify(example: Float32Array, signal: AbortSignal): Promise<Float32Array> {
    signal.throwIfAborted()
    if (this.#queue.length >= this.#options.maxQueue) throw new QueueFullError(this.#options.maxQueue)
    const waiting = new Waiting(example, signal)
    const giveUp = (): void => this.#giveUp(waiting)
    signal.addEventListener('abort', giveUp, { once: true })
    this.#queue.push(waiting)
    if (!this.#running) void this.#work()
    try {
      return await waiting.answer
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  /** Resolves when nothing waits or runs. */
  async drained(): Promise<void> {
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async #work(): Promise<void> {
    this.#running = true
    while (this.#queue.length > 0) await this.#runBatch(this.#take())
    this.#running = false
    for (const wake of this.#idle.splice(0)) wake()
  }

  // The largest power of two that is there: few batch sizes, so few plans in memory.
  #take(): Waiting[] {
    const size = 2 ** Math.floor(Math.log2(Math.min(this.#queue.length, this.#options.maxBatch)))
    return this.#queue.splice(0, size)
  }

  // A request that is given up frees its place in the queue, or its part of the batch is thrown away; when all of a batch have given up, so does its run.
  #giveUp(waiting: Waiting): void {
    const place = this.#queue.indexOf(waiting)
    if (place >= 0) this.#queue.splice(place, 1)
    waiting.reject(waiting.signal.reason)
    if (this.#batch.includes(waiting) && this.#batch.every(({ signal }) => signal.aborted)) this.#abort.abort()
  }

  async #runBatch(batch: readonly Waiting[]): Promise<void> {
    const started = performance.now()
    this.#batch = batch
    this.#abort = new AbortController()
    try {
      const [output] = Object.values(await this.#options.session.run(this.#tensor(batch), { signal: this.#abort.signal }))
      const { data, dims } = output as FloatTensor
      const width = data.length / (dims[0] as number)
      batch.forEach(({ resolve }, i) => resolve(data.subarray(i * width, (i + 1) * width)))
      this.#options.onBatch?.(batch.length, (performance.now() - started) / 1000)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#batch = []
    }
  }

  #tensor(batch: readonly Waiting[]): FloatTensor {
    const size = this.#options.dims.reduce((a, b) => a * b, 1)
    const data = new Float32Array(batch.length * size)
    batch.forEach(({ example }, i) => data.set(example, i * size))
    return floatTensor(data, [batch.length, ...this.#options.dims])
  }
}
