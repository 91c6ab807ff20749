import { type ErrorCode, PolyadicError } from '../errors.js'

/** The code of an error that is ours, if it is. */
export function codeOf(error: unknown): ErrorCode | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('POLYADIC_') ? (code as ErrorCode) : undefined
}

/** An error of native code in the public class; any other as it is. */
export function typed(error: unknown): unknown {
  const code = codeOf(error)
  if (code === undefined || error instanceof PolyadicError) return error
  return new PolyadicError(code, (error as Error).message, { cause: error })
}
