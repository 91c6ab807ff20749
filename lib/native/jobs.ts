import { PolyadicError, type ErrorCode } from '../errors.js'
import type { NativeJob } from './binding.js'

/**
 * Starts a native job and ties it to an AbortSignal. Rejects with `signal.reason` when aborted, but only once native
 * code has let go of every buffer; errors of native code become `PolyadicError`s.
 */
export async function runJob<T>(start: () => NativeJob<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const job = fromNative(start)
  const onAbort = (): void => job.cancel()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await job.promise
  } catch (error) {
    if (signal?.aborted && codeOf(error) === 'POLYADIC_ABORTED') throw signal.reason
    throw typed(error)
  } finally {
    signal?.removeEventListener('abort', onAbort)
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

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function typed(error: unknown): unknown {
  const code = codeOf(error)
  if (error instanceof PolyadicError || typeof code !== 'string' || !code.startsWith('POLYADIC_')) return error
  return new PolyadicError(code as ErrorCode, (error as Error).message, { cause: error })
}
