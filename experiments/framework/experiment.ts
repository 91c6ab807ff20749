import type { Section } from '../../lib/report/html.js'
import type { Progress } from '../../lib/report/progress.js'
import type { Component } from './components.js'

/** Full size, or in miniature: the same steps on little data, whose figures mean nothing. */
export type Scale = 'full' | 'quick'

/** Of what a table gives with its spread. */
export function seedsOf(scale: Scale): readonly number[] {
  return scale === 'quick' ? [1] : [1, 2, 3]
}

/** What a cell is: plain data that JSON can hold, its seed in it. */
export type Config = Readonly<Record<string, unknown>>

/** What every cell may use while it is computed. */
export interface CellContext {
  readonly scale: Scale
  readonly progress: Progress
  /** Aborted when the run should stop here; what a cell keeps in `scratch` lets it go on from there. */
  readonly signal: AbortSignal
  /** A file of this cell's own, beside the cache and not in git: checkpoints, trained networks. */
  readonly scratch: (name: string) => string
  /** A file that the cells of the experiment share. */
  readonly shared: (name: string) => string
}

/** A cell's figures with where they come from. */
export interface Finished<C extends Config = Config, R = unknown> {
  readonly key: string
  readonly config: C
  readonly result: R
}

/** One question, asked in many cells. */
export interface Experiment<C extends Config = Config, R = unknown> {
  /** Of the command, the cache and the plots. */
  readonly name: string
  readonly title: string
  /** Sources and data that a cell's figures depend on, besides the experiment's own file and what it imports of this folder. */
  components(config: C): readonly Component[]
  cells(scale: Scale): readonly C[]
  /** A name for people, unique among the cells. */
  key(config: C): string
  run(config: C, context: CellContext): Promise<R>
  /** What the document says, made from the cells that are there (perhaps not all). */
  report(cells: readonly Finished<C, R>[]): readonly Section[]
}
