// One cache an experiment: experiments/results/NAME.json, in git. A cell is written when it is done, the file in whole.

import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'
import { writeFileAtomically } from '../../lib/formats/atomic-write.js'
import type { Machine } from '../../lib/report/machine.js'
import { changes, currentHashes, type Hashes } from './components.js'
import type { Config, Experiment, Scale } from './experiment.js'

/** One computed cell with everything that a reader must know about where it comes from. */
export interface Stored<C extends Config = Config, R = unknown> {
  readonly config: C
  readonly result: R
  readonly seconds: number
  readonly date: string
  readonly commit: string
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly hashes: Hashes
  /** The sources have changed since it was computed, but another cell of its kind came out of them as before: the hashes are of then. */
  readonly confirmed?: { readonly by: string; readonly date: string; readonly commit: string }
}

interface ResultsFile {
  readonly experiment: string
  readonly scale: Scale
  readonly cells: Readonly<Record<string, Stored>>
}

/** The cells of one experiment, by key. */
export class Store<C extends Config, R> {
  readonly file: string
  readonly #cells = new Map<string, Stored<C, R>>()

  private constructor(
    readonly experiment: Experiment<C, R>,
    readonly scale: Scale,
    folder: string
  ) {
    this.file = path.join(folder, `${experiment.name}.json`)
  }

  /** Reads what is in `folder`, the cache's own by default. */
  static async open<C extends Config, R>(experiment: Experiment<C, R>, scale: Scale, folder = resultsFolder(scale)): Promise<Store<C, R>> {
    const store = new Store(experiment, scale, folder)
    await store.#read()
    return store
  }

  get(key: string): Stored<C, R> | undefined {
    return this.#cells.get(key)
  }

  /** The present hashes of what a cell depends on. */
  hashes(config: C): Hashes {
    return currentHashes(this.experiment.name, this.experiment.components(config))
  }

  /** What has changed since a cell was computed: parts of the sources or data, or the cell's own configuration. Empty: it holds. */
  changedSince(key: string, config: C): string[] {
    const cell = this.#cells.get(key)
    if (cell === undefined) return []
    const configured = JSON.stringify(cell.config) === JSON.stringify(config) ? [] : ['configuration']
    return [...configured, ...changes(cell.hashes, this.hashes(config))]
  }

  /** Other runs of the same experiment may have written meanwhile: theirs are kept. */
  async put(key: string, cell: Stored<C, R>): Promise<void> {
    await this.#read()
    this.#cells.set(key, cell)
    // In the order of the experiment, so that a new cell changes only its own lines; cells that it no longer has are dropped.
    const keys = this.experiment.cells(this.scale).map((config) => this.experiment.key(config))
    const cells = Object.fromEntries(keys.flatMap((name) => (this.#cells.has(name) ? [[name, this.#cells.get(name)]] : [])))
    const content = { experiment: this.experiment.name, scale: this.scale, cells }
    await mkdir(path.dirname(this.file), { recursive: true })
    await writeFileAtomically(this.file, Buffer.from(`${JSON.stringify(content, null, 1)}\n`))
  }

  async #read(): Promise<void> {
    const text = await readFile(this.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    const saved = text === undefined ? undefined : (JSON.parse(text) as ResultsFile)
    for (const [key, cell] of Object.entries(saved?.cells ?? {})) this.#cells.set(key, cell as Stored<C, R>)
  }
}

/** Where results of a scale are: those in miniature are nobody's figures and stay out of git. */
export function resultsFolder(scale: Scale): string {
  return scale === 'full' ? path.join(root, 'experiments', 'results') : path.join(root, 'out', 'experiments', 'results')
}

/** Where checkpoints and trained networks of an experiment are kept. */
export function scratchFolder(experiment: string, scale: Scale): string {
  return path.join(root, 'out', 'experiments', scale, experiment)
}
