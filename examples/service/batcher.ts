import { type FloatTensor, floatTensor, type Session } from '../../lib/index.js'

/** The queue is full: the caller should come back later. */
export class QueueFullError extends Error {
  constructor(readonly limit: number) {
    super(`${limit} requests are waiting already`)
    this.name = 'QueueFullError'
  }
}

export interface BatcherOptions {
  readonly session: Session
  /** C×H×W of one example. */
  readonly dims: readonly number[]
  /** Largest batch; a power of two, as there is a plan for each power of two up to it. */
  readonly maxBatch: number
  /** Requests that may wait; one more is refused. */
  readonly maxQueue: number
  readonly onBatch?: (size: number, seconds: number) => void
}

interface Waiting {
  readonly example: Float32Array
  readonly signal: AbortSignal
  resolve(scores: Float32Array): void
  reject(error: unknown): void
}

/**
 * Answers single examples in batches. While one batch runs, the next one gathers: under light load each request runs at once and alone,
 * under heavy load batches grow, and nobody waits for a timer.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #queue: Waiting[] = []
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
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { example, signal, resolve, reject }
      // A request that is given up frees its place, or its part of the batch is thrown away.
      signal.addEventListener(
        'abort',
        () => {
          const place = this.#queue.indexOf(waiting)
          if (place >= 0) this.#queue.splice(place, 1)
          reject(signal.reason as Error)
        },
        { once: true }
      )
      this.#queue.push(waiting)
      if (!this.#running) void this.#work()
    })
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

  async #runBatch(batch: readonly Waiting[]): Promise<void> {
    const started = performance.now()
    // When all of them have given up, so does the run.
    const abort = new AbortController()
    for (const { signal } of batch)
      signal.addEventListener('abort', () => batch.every((other) => other.signal.aborted) && abort.abort(), { once: true })
    try {
      const [output] = Object.values(await this.#options.session.run(this.#tensor(batch), { signal: abort.signal }))
      const { data, dims } = output as FloatTensor
      const width = data.length / (dims[0] as number)
      batch.forEach(({ resolve }, i) => resolve(data.subarray(i * width, (i + 1) * width)))
      this.#options.onBatch?.(batch.length, (performance.now() - started) / 1000)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  #tensor(batch: readonly Waiting[]): FloatTensor {
    const size = this.#options.dims.reduce((a, b) => a * b, 1)
    const data = new Float32Array(batch.length * size)
    batch.forEach(({ example }, i) => data.set(example, i * size))
    return floatTensor(data, [batch.length, ...this.#options.dims])
  }
}
