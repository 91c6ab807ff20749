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

/** Calls into native code and gives its errors the public class. */
export function fromNative<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw typed(error)
  }
}
