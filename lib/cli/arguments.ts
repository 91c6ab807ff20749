import { randomUUID } from 'node:crypto'
import { access, constants, stat } from 'node:fs/promises'
import path from 'node:path'
import { PolyadicError, show } from '../errors.js'
import { type Arguments, UsageError } from './command.js'

/** The one positional argument `what`, or a usage error. */
export function onePositional(args: Arguments, what: string): string {
  const [first, ...rest] = args.positionals
  if (first === undefined) throw new UsageError(`${what} is missing`)
  if (rest.length > 0) throw new UsageError(`unexpected argument ${show(rest[0])}`)
  return first
}

/** The text of `--name`, or `undefined`. */
export function text(args: Arguments, name: string): string | undefined {
  const value = args.values[name]
  return typeof value === 'string' ? value : undefined
}

/** The text of an option that must be there. */
export function requiredText(args: Arguments, name: string, spelling = `--${name}`): string {
  const value = text(args, name)
  if (value === undefined) throw new UsageError(`${spelling} is missing`)
  return value
}

export function flag(args: Arguments, name: string): boolean {
  return args.values[name] === true
}

/** All values of an option that may be repeated. */
export function list(args: Arguments, name: string): string[] {
  const value = args.values[name]
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** `--name` as an integer of at least `minimum`. */
export function integer(args: Arguments, name: string, minimum: number): number | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  const number = toNumber(value)
  if (Number.isSafeInteger(number) && number >= minimum) return number
  throw new UsageError(`--${name}: expected an integer of at least ${minimum}, got ${show(value)}`)
}

/** `--name` as a finite number of at least `minimum`. */
export function number(args: Arguments, name: string, minimum = -Infinity): number | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  const parsed = toNumber(value)
  if (Number.isFinite(parsed) && parsed >= minimum) return parsed
  throw new UsageError(`--${name}: expected a number${minimum === -Infinity ? '' : ` of at least ${minimum}`}, got ${show(value)}`)
}

/** `--name A,B,…` as finite numbers. */
export function numbers(args: Arguments, name: string): readonly number[] | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  const values = value.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (values.every(Number.isFinite)) return values
  throw new UsageError(`--${name}: expected numbers with commas between, got ${show(value)}`)
}

/** `--name` as one of `choices`. */
export function choice<T extends string>(args: Arguments, name: string, choices: readonly T[]): T | undefined {
  const value = text(args, name)
  if (value === undefined || choices.includes(value as T)) return value as T | undefined
  throw new UsageError(`--${name}: expected one of ${choices.join(', ')}, got ${show(value)}`)
}

/** All values of a repeated `--name`, each one of `known`. */
export function choices<T extends string>(args: Arguments, name: string, known: readonly T[]): T[] {
  return list(args, name).map((value) => {
    if (known.includes(value as T)) return value as T
    throw new UsageError(`--${name}: expected one of ${known.join(', ')}, got ${show(value)}`)
  })
}

/**
 * Fails now when a file could not be written later, or would take the place of another: after minutes of work it would be too late. `outputs`
 * by option, those left out undefined; `inputs` are read by the command.
 */
export async function checkOutputs(outputs: Readonly<Record<string, string | undefined>>, inputs: readonly string[] = []): Promise<void> {
  const taken = new Map<string, string>()
  for (const input of inputs) taken.set(await identity(input), 'an input')
  for (const [option, file] of Object.entries(outputs)) {
    if (file === undefined) continue
    await checkWritable(file)
    const own = await identity(file)
    const other = taken.get(own)
    if (other !== undefined) throw new UsageError(`${option}: expected a file of its own, got ${show(file)}, which is also ${other}`)
    taken.set(own, option)
  }
}

/** A usage error unless `file`, an ONNX network's, is called so. Devices and pipes may have any name. */
export async function checkNetworkFile(file: string): Promise<void> {
  if (/\.onnx$/i.test(file)) return
  const there = await stat(file).catch(() => undefined)
  if (there !== undefined && !there.isFile()) return
  throw new UsageError(`-o: an ONNX network is written, expected a file name that ends in .onnx, got ${show(file)}`)
}

async function checkWritable(file: string): Promise<void> {
  const there = await stat(file).catch(() => undefined)
  if (there?.isDirectory()) throw new PolyadicError('POLYADIC_IO', `cannot write ${show(file)}: it is a folder`, { subject: file })
  if (there !== undefined && !there.isFile()) return // a device or pipe is written to where it is
  const folder = path.dirname(path.resolve(file))
  try {
    await access(folder, constants.W_OK)
  } catch (cause) {
    throw new PolyadicError('POLYADIC_IO', `cannot write ${show(file)}: folder ${show(folder)} does not exist or is not writable`, {
      subject: file,
      cause
    })
  }
}

/** The same for all names of one file. Devices and pipes take any number of texts. */
async function identity(file: string): Promise<string> {
  const there = await stat(file).catch(() => undefined)
  if (there === undefined) return path.resolve(file)
  return there.isFile() ? `${there.dev}:${there.ino}` : randomUUID()
}

// Number('') is 0 and Number(' 1 ') is 1: neither is what somebody meant to type.
function toNumber(value: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN
}
