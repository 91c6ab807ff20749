import type { Names } from './arguments.js'
/** What a call takes that can be aborted and has no other options. */
export interface AbortOptions {
  /** Aborting rejects with its reason. */
  readonly signal?: AbortSignal
}

export const abortOptions: Names<AbortOptions> = { signal: true }

// However many calls wait for one AbortSignal, it has one listener of ours, and none when no call waits: Node warns of a leak at the
// eleventh, and a signal that is kept for long would carry what has ended. Raising its limit would hide leaks of others.
const waiting = new WeakMap<AbortSignal, Waiting>()

class Waiting {
  readonly #actions = new Set<{ readonly run: () => void }>()
  readonly #signal: AbortSignal
  readonly #onAbort = (): void => {
    this.#end()
    for (const { run } of [...this.#actions]) run()
  }

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  add(run: () => void): () => void {
    // An object of its own for each call, as two may give the same function.
    const action = { run }
    this.#actions.add(action)
    return () => {
      if (this.#actions.delete(action) && this.#actions.size === 0) this.#end()
    }
  }

  #end(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    if (waiting.get(this.#signal) === this) waiting.delete(this.#signal)
  }
}

/** Calls `action` when `signal` is aborted, at once if it is already; what is returned takes that back. `action` must not throw. */
export function onAbort(signal: AbortSignal, action: () => void): () => void {
  if (signal.aborted) {
    action()
    return () => {}
  }
  let all = waiting.get(signal)
  if (all === undefined) {
    all = new Waiting(signal)
    waiting.set(signal, all)
  }
  return all.add(action)
}

/** The promise, or a rejection with the signal's reason as soon as it is aborted; what the promise does later is nobody's then. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, () => reject(signal.reason as Error))
    promise.then(resolve, reject).finally(forget)
  })
}
