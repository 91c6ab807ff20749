#!/usr/bin/env node
import { format, parseArgs } from 'node:util'
import { PolyadicError, show } from '../errors.js'
import { packageVersion } from '../report/version.js'
import { createProgress, type Progress } from '../report/progress.js'
import { printableLines } from '../report/table.js'
import { safeJson } from '../report/json.js'
import { own } from '../own.js'
import { type Arguments, type Command, type Context, Interrupted, UsageError } from './command.js'
import { didYouMean, nearest } from '../nearest.js'

// Loaded when asked for: help and version must work where the addon does not.
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  inspect: async () => (await import('./inspect.js')).inspect,
  compress: async () => (await import('./compress.js')).compressCommand,
  finetune: async () => (await import('./finetune.js')).finetune,
  cpd: async () => (await import('./cpd.js')).cpdCommand,
  run: async () => (await import('./run.js')).run,
  bench: async () => (await import('./bench.js')).bench
}

const help = `polyadic: makes trained convolutional networks several times faster on CPUs

Usage: polyadic COMMAND [ARGUMENTS]

  inspect    show a network: inputs, outputs, layers, their cost and kernels
  compress   replace convolutions by CP decompositions, optionally fine-tune
  finetune   train a network further on data
  cpd        decompose a tensor in a .npy file
  run        run a network on a .npy array
  bench      measure latency, compare two networks

  polyadic COMMAND --help   says more
  polyadic --version

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 130 interrupted (SIGINT), 143 ended (SIGTERM).
POLYADIC_ISA=scalar|avx2|avx512 forces kernels; POLYADIC_DEBUG=1 adds stack traces; NO_COLOR=1 takes colours away.
`

async function main(argv: readonly string[]): Promise<void> {
  const [name, ...rest] = argv
  if (name === '--version' || name === '-V') return print(packageVersion())
  if (name === '--help' || name === '-h' || name === 'help') return print(help.trimEnd())
  if (name === undefined) throw new UsageError(`a command is missing: ${Object.keys(commands).join(', ')}`)
  const load = own(commands, name)
  if (!load)
    throw new UsageError(
      `there is no command ${show(name)}: there are ${Object.keys(commands).join(', ')}${didYouMean(nearest(name, Object.keys(commands)))}`
    )
  await runCommand(await load(), rest)
}

async function runCommand(command: Command, argv: readonly string[]): Promise<void> {
  // parseArgs is typed for literal options; here they come from a table.
  const options = { ...command.options, help: { type: 'boolean', short: 'h' } } as const
  const { values, positionals } = await parsed(command.name, argv, options)
  if (values.help) return print(command.help.trim())
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort(new Interrupted(signal)))
  const progress = createProgress()
  try {
    await command.run({ values, positionals }, { signal: controller.signal, progress, ...printers(progress) })
  } finally {
    progress.clear()
  }
}

type Options = Command['options']

/** Arguments as Node parses them; an option that there is not is told with one that there is. */
async function parsed(command: string, argv: readonly string[], options: Options): Promise<Pick<Arguments, 'values' | 'positionals'>> {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true }) as Arguments
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw error
    const option = /'(-[^']*)'/.exec((error as Error).message)?.[1] ?? '?'
    throw new UsageError(`there is no option ${option}${await meant(command, option, options)}`)
  }
}

/** As others call them. */
const synonyms: Readonly<Record<string, string>> = {
  lr: 'learning-rate',
  wd: 'weight-decay',
  'batch-size': 'batch',
  bs: 'batch',
  optim: 'optimiser',
  out: 'output',
  iterations: 'max-iterations',
  'input-shape': 'shape',
  dtype: 'weights'
}

async function meant(command: string, option: string, options: Options): Promise<string> {
  const typed = option.replace(/^-+/, '')
  const near = (known: readonly string[]): string[] => {
    const same = own(synonyms, typed)
    return same !== undefined && known.includes(same) ? [same] : nearest(typed, known)
  }
  const spelt = near(Object.keys(options)).map((name) => `--${name}`)
  if (spelt.length > 0) return didYouMean(spelt)
  for (const [name, load] of Object.entries(commands)) {
    const [found] = name === command ? [] : near(Object.keys((await load()).options))
    if (found !== undefined) return `; polyadic ${name} has --${found}`
  }
  return ''
}

/** A bar that is still on the line would run into the text. */
function printers(progress: Progress): Pick<Context, 'print' | 'printJson'> {
  return {
    print(text) {
      progress.clear()
      print(text)
    },
    printJson(value) {
      progress.clear()
      process.stdout.write(`${safeJson(value)}\n`)
    }
  }
}

// All text for the terminal goes through here or `complain`: names in it come from files that are not trusted.
function print(text: string): void {
  process.stdout.write(`${printableLines(text)}\n`)
}

/** One line on standard error, and the exit code. */
function report(error: unknown, argv: readonly string[]): number {
  const name = argv[0] !== undefined && Object.hasOwn(commands, argv[0]) ? `polyadic ${argv[0]}` : 'polyadic'
  if (process.env.POLYADIC_DEBUG && error instanceof Error)
    complain(format(error.stack, ...(error.cause === undefined ? [] : ['\ncaused by', error.cause])), 1)
  if (error instanceof Interrupted) return complain(`polyadic: ${interruption(error)}`, error.exitCode)
  if (isUsage(error)) return complain(`${name}: ${oneLine(error.message)}\nTry \`${name} --help\`.`, 2)
  if (error instanceof PolyadicError) return complain(`polyadic: ${oneLine(error.message)} (${error.code})`, 1)
  return complain(`polyadic: ${oneLine(error instanceof Error ? error.message : String(error))}`, 1)
}

function interruption({ left }: Interrupted): string {
  return left === undefined ? 'interrupted, nothing was written' : `interrupted: ${oneLine(left)}; nothing else was written`
}

function oneLine(text: string): string {
  return text.replaceAll('\n', ' ')
}

function isUsage(error: unknown): error is Error {
  return (
    error instanceof UsageError || (error instanceof TypeError && String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS'))
  )
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`${printableLines(message)}\n`)
  return exitCode
}

// A reader that has seen enough (`polyadic inspect … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : complain(`polyadic: standard output cannot be written: ${error.message}`, 1))
})

const argv = process.argv.slice(2)
try {
  await main(argv)
} catch (error) {
  process.exitCode = report(error, argv)
}
