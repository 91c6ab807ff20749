// What callers of the public functions give: whatever its type was meant to be, it is looked at here before it is used.
import { argumentError } from './errors.js'

/** Whether `value` is an object with fields, of whatever realm: no array, no Map, no function. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.prototype.toString.call(value) === '[object Object]'
}

/** Throws unless `value` is an object with fields; `expected` says what it should be. */
export function checkRecord(name: string, value: unknown, expected: string): asserts value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw argumentError(name, expected, value)
}

/** Throws unless `options` is an object of options whose `signal` and `onProgress`, where there are such, can be used. */
export function checkOptions(options: unknown, name = 'options'): void {
  checkRecord(name, options, 'an object of options')
  const { signal, onProgress } = options
  if (signal !== undefined && !isSignal(signal))
    throw argumentError(name === 'options' ? 'signal' : `${name}.signal`, 'an AbortSignal', signal)
  if (onProgress !== undefined) checkFunction(name === 'options' ? 'onProgress' : `${name}.onProgress`, onProgress)
}

function isSignal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('aborted' in value && 'addEventListener' in value)) return false
  return typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function'
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw argumentError(name, 'a function', value)
}

/** Throws unless `value` is a string; `expected` says what it should be. */
export function checkString(name: string, value: unknown, expected = 'a string'): asserts value is string {
  if (typeof value !== 'string') throw argumentError(name, expected, value)
}

/** Throws unless `value` can be the path of a file or folder. */
export function checkPath(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') throw argumentError(name, 'a path', value)
}

/** Whether `value` is a Uint8Array (a Buffer, say), of whatever realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as { [Symbol.toStringTag]?: string })[Symbol.toStringTag] === 'Uint8Array'
}

export function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!isBytes(value)) throw argumentError(name, 'a Uint8Array', value)
}

/** Throws unless `value` is an array whose every item is one: `is` looks at them, `expected` says what they should be. */
export function checkArray(
  name: string,
  value: unknown,
  expected: string,
  is: (item: unknown) => boolean
): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw argumentError(name, `an array of ${expected}`, value)
  const wrong = value.findIndex((item) => !is(item))
  if (wrong >= 0) throw argumentError(`${name}[${wrong}]`, expected, value[wrong])
}

export function isString(value: unknown): value is string {
  return typeof value === 'string'
}
