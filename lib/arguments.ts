// What callers of the public functions give: whatever its type was meant to be, it is looked at here before it is used.
import { fileURLToPath } from 'node:url'
import { argumentError, PolyadicError, show } from './errors.js'
import { didYouMean, nearest } from './nearest.js'

/** What holds something else than fields. Objects may have tags of their own: tensor classes and module namespaces do. */
const tags =
  'Array Map Set WeakMap WeakSet Date RegExp Promise Error Boolean Number String Symbol BigInt ArrayBuffer SharedArrayBuffer URL AbortSignal AbortController Generator AsyncGenerator'
const others: ReadonlySet<string> = new Set(tags.split(' ').map((tag) => `[object ${tag}]`))

/** Whether `value` is an object with fields, of whatever realm: no array, no Map, no function. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return !others.has(Object.prototype.toString.call(value))
}

/** Throws unless `value` is an object with fields; `expected` says what it should be. */
export function checkRecord(name: string, value: unknown, expected: string): asserts value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw argumentError(name, expected, value)
}

/** The names of the fields of T: the compiler sees that none is missing, and none too many. */
export type Names<T> = { readonly [K in keyof T]-?: true }

/** Throws for a field of `value` that is none of `known`: a name that is misspelt would be as if it were not there. */
export function checkNames(name: string, value: object, known: Readonly<Record<string, true>>): void {
  for (const [key, given] of Object.entries(value)) {
    if (Object.hasOwn(known, key) || given === undefined) continue
    const names = Object.keys(known)
    const meant = didYouMean(nearest(key, names, 1).map(show))
    const subject = name === 'options' ? key : `${name}.${key}`
    throw new PolyadicError('POLYADIC_ARGUMENT', `${name}: there is no ${show(key)}${meant || `; there are ${names.join(', ')}`}`, {
      subject
    })
  }
}

/** Throws unless `options` is an object of options, all of them `known`, whose `signal` and `onProgress`, where there are such, can be used. */
export function checkOptions(options: unknown, known: Readonly<Record<string, true>>, name = 'options'): void {
  checkRecord(name, options, 'an object of options')
  checkNames(name, options, known)
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

/** The path of a file or folder, of which a caller gives the path or a `file:` URL; `expected` says what else it might be. */
export function filePath(name: string, value: unknown, expected = 'a path'): string {
  if (typeof value === 'string' && value !== '') return value
  if (!isUrl(value)) throw argumentError(name, expected, value)
  if (value.protocol !== 'file:') throw argumentError(name, `${expected}, or a file: URL`, value.href)
  try {
    return fileURLToPath(value)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `${name}: expected ${expected}, or a file: URL of one, got ${show(value.href)} (${reason})`
    throw new PolyadicError('POLYADIC_ARGUMENT', message, { subject: name, cause })
  }
}

/** Whether `value` is a URL, of whatever realm: as Node's own functions tell. */
function isUrl(value: unknown): value is URL {
  if (typeof value !== 'object' || value === null) return false
  const { href, protocol, auth, path } = value as Readonly<Record<string, unknown>>
  return typeof href === 'string' && typeof protocol === 'string' && auth === undefined && path === undefined
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
