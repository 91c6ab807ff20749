import { type ErrorCode, PolyadicError } from '../errors.js'

/** The code of an error that is ours, if it is. */
export function codeOf(error: unknown): ErrorCode | undefined {
  // Not instanceof: native code's errors are of the realm that the addon was loaded in, which a test runner's sandbox is not.
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('POLYADIC_') ? (code as ErrorCode) : undefined
}

/** An error of native code in the public class; any other as it is. */
export function typed(error: unknown): unknown {
  const code = codeOf(error)
  if (code === undefined || error instanceof PolyadicError) return error
  return new PolyadicError(code, (error as Error).message, { cause: error })
}
