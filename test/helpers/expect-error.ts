import type { Test } from 'tap'
import { PolyadicError, type ErrorCode } from '../../lib/errors.js'

/** `call` throws a PolyadicError with this code, and a message that holds every one of `parts`. */
export function throwsError(t: Test, call: () => unknown, code: ErrorCode, ...parts: readonly string[]): void {
  try {
    call()
  } catch (error) {
    checkError(t, error, code, parts)
    return
  }
  t.fail(`expected ${code}: ${parts.join(', ')}`)
}

/** As `throwsError`, for a promise. */
export async function rejectsError(t: Test, promise: Promise<unknown>, code: ErrorCode, ...parts: readonly string[]): Promise<void> {
  try {
    await promise
  } catch (error) {
    checkError(t, error, code, parts)
    return
  }
  t.fail(`expected ${code}: ${parts.join(', ')}`)
}

function checkError(t: Test, error: unknown, code: ErrorCode, parts: readonly string[]): void {
  if (!(error instanceof PolyadicError)) throw error
  t.equal(error.code, code, error.message)
  for (const part of parts) t.ok(error.message.includes(part), `${JSON.stringify(error.message)} says ${part}`)
}
