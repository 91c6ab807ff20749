import type { ParseArgsConfig } from 'node:util'
import type { Progress } from '../report/progress.js'

/** One subcommand: what it is called, what its help says, what it takes and what it does. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** The whole help text. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  run(args: Arguments, context: Context): Promise<void>
}

/** A parsed command line; `values` are as `node:util`'s parseArgs gives them. */
export interface Arguments {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  readonly positionals: readonly string[]
}

/** What a command has from its surroundings. */
export interface Context {
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Writes lines to standard output, without what could steer a terminal. */
  print(text: string): void
  /** Writes plain data as JSON. */
  printJson(value: unknown): void
}

/** The command line itself is wrong: exit code 2 and a pointer to the help. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** SIGINT or SIGTERM, as the reason of the abort. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exitCode: number

  /** `left`: what there is of the work all the same, such as a checkpoint; a clause. */
  constructor(
    readonly signal: 'SIGINT' | 'SIGTERM',
    readonly left?: string
  ) {
    super('interrupted')
    this.exitCode = signal === 'SIGINT' ? 130 : 143
  }
}
