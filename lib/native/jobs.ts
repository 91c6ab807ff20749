import { onAbort } from '../abortable.js'
import type { NativeJob } from './binding.js'
import { codeOf, typed } from './errors.js'

/**
 * Starts a native job and ties it to an AbortSignal. Rejects with `signal.reason` when aborted, but only once native
 * code has let go of every buffer; errors of native code become `PolyadicError`s.
 */
export function runJob<T>(start: () => NativeJob<T>, signal?: AbortSignal): Promise<T> {
  if (signal !== undefined) return runAbortable(start, signal)
  try {
    return start().promise
  } catch (error) {
    return Promise.reject(typed(error))
  }
}

async function runAbortable<T>(start: () => NativeJob<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const job = fromNative(start)
  const forget = onAbort(signal, () => job.cancel())
  try {
    return await job.promise
  } catch (error) {
    throw signal.aborted && codeOf(error) === 'POLYADIC_ABORTED' ? signal.reason : error
  } finally {
    forget()
  }
}

/**
 * As `runJob`, of a job that tells `report` how far it is. What `report` throws ends the job, and is what the promise is rejected with, once native
 * code has let go of every buffer.
 */
export async function runReporting<T, A extends readonly unknown[]>(
  start: (report: ((...progress: A) => void) | undefined) => NativeJob<T>,
  report: ((...progress: A) => void) | undefined,
  signal?: AbortSignal
): Promise<T> {
  if (report === undefined) return runJob(() => start(undefined), signal)
  const stop = new AbortController()
  let failure: { readonly error: unknown } | undefined
  const guarded = (...progress: A): void => {
    if (failure !== undefined) return
    try {
      report(...progress)
    } catch (error) {
      failure = { error }
      stop.abort()
    }
  }
  signal?.throwIfAborted()
  const forget = signal === undefined ? (): void => {} : onAbort(signal, () => stop.abort(signal.reason))
  try {
    return await runJob(() => start(guarded), stop.signal)
  } finally {
    forget()
    // The job may have been done before it could be stopped.
    if (failure !== undefined) rethrow(failure)
  }
}

function rethrow({ error }: { readonly error: unknown }): never {
  throw error
}

/** Calls into native code and gives its errors the public class. */
export function fromNative<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw typed(error)
  }
}
