/** What went wrong, as a stable machine-readable word. Messages may change between releases; codes do not. */
export type ErrorCode =
  | 'POLYADIC_ARGUMENT' // an option or argument is missing, out of range or of the wrong type
  | 'POLYADIC_SHAPE' // a tensor's shape or dtype is not what the network or call expects
  | 'POLYADIC_FORMAT' // a file is truncated, corrupt or not of the format it claims
  | 'POLYADIC_UNSUPPORTED' // valid, but outside of what this version can do (operator, opset, dtype, ISA)
  | 'POLYADIC_GRAPH' // the network itself is inconsistent: missing value, cycle, duplicate name
  | 'POLYADIC_NUMERIC' // NaN or infinity where a finite number is needed, divergence
  | 'POLYADIC_ABORTED' // stopped by an AbortSignal or by close()
  | 'POLYADIC_MEMORY' // not enough memory
  | 'POLYADIC_IO' // a file or folder cannot be read or written
  | 'POLYADIC_NATIVE' // the native addon cannot be loaded, or reported an internal error

export interface ErrorDetails {
  /** The tensor, node, option or file the error is about. */
  readonly subject?: string
  readonly cause?: unknown
}

/** Every error that polyadic throws on purpose. `code` is stable, `subject` names the culprit. */
export class PolyadicError extends Error {
  readonly code: ErrorCode
  readonly subject: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'PolyadicError'
    this.code = code
    this.subject = details.subject
  }
}

/** Renders a value for an error message: short, unambiguous, never throwing. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return `[${value.slice(0, 12).map(show).join(', ')}${value.length > 12 ? ', ...' : ''}]`
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${'length' in value ? String(value.length) : value.byteLength})`
  if (typeof value === 'function') return 'a function'
  if (value === null || typeof value !== 'object') return String(value)
  const tag = Object.prototype.toString.call(value)
  return tag === '[object Object]' && Object.keys(value).length === 0 ? '{}' : tag
}

/** The one phrasing of a bad argument: `rank: expected a positive integer, got 0`. */
export function argumentError(name: string, expected: string, actual: unknown): PolyadicError {
  return new PolyadicError('POLYADIC_ARGUMENT', `${name}: expected ${expected}, got ${show(actual)}`, { subject: name })
}

/** Throws unless `value` is an integer in [minimum, maximum]. */
export function checkInteger(name: string, value: unknown, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value
  const range = maximum === Number.MAX_SAFE_INTEGER ? `at least ${minimum}` : `from ${minimum} to ${maximum}`
  throw argumentError(name, `an integer ${range}`, value)
}

/** Throws unless `value` is a finite number in [minimum, maximum]. */
export function checkNumber(name: string, value: unknown, minimum = -Infinity, maximum = Infinity): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= minimum && value <= maximum) return value
  throw argumentError(name, `a finite number from ${minimum} to ${maximum}`, value)
}

/** Throws unless `value` is one of `choices`. */
export function checkChoice<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  if (choices.includes(value as T)) return value as T
  throw argumentError(name, `one of ${choices.join(', ')}`, value)
}
