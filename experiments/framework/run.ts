import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { currentCommit, peerVersions } from '../../bench/harness.js'
import { formatClock } from '../../lib/report/format.js'
import { machine } from '../../lib/report/machine.js'
import { createProgress } from '../../lib/report/progress.js'
import { packageVersion } from '../../lib/report/version.js'
import type { CellContext, Config, Experiment, Finished, Scale } from './experiment.js'
import { scratchFolder, Store, type Stored } from './store.js'

export interface RunOptions {
  readonly scale: Scale
  /** Computes stale cells again. */
  readonly refresh: boolean
  /** Whether a cell may be computed. */
  readonly isWanted: (key: string) => boolean
  readonly signal: AbortSignal
  readonly log: (line: string) => void
  /** Where the caches are; default: the scale's own folder. */
  readonly folder?: string
}

/** How many cells of an experiment are there, and why others are not what they would be now. */
export interface Outcome {
  readonly computed: number
  readonly kept: number
  /** The time was up before all that was wanted was computed. */
  readonly isStopped: boolean
  readonly missing: readonly string[]
  readonly stale: readonly { readonly key: string; readonly changed: readonly string[] }[]
}

/** Computes what is missing, cell by cell; each is in the cache as soon as it is done, so that a killed run loses one at most. */
export async function runExperiment<C extends Config, R>(experiment: Experiment<C, R>, options: RunOptions): Promise<Outcome> {
  const { scale, signal, log } = options
  const store = await Store.open(experiment, scale, options.folder)
  const cells = experiment.cells(scale).map((config) => ({ config, key: experiment.key(config) }))
  checkKeys(experiment.name, cells)
  let [computed, isStopped] = [0, false]
  for (const [index, { config, key }] of cells.entries()) {
    const isStale = store.changedSince(key, config).length > 0
    const isWanted = options.isWanted(key) && (store.get(key) === undefined || (isStale && options.refresh))
    if (!isWanted) continue
    if (signal.aborted) {
      isStopped = true
      break
    }
    log(`${experiment.name}, cell ${index + 1} of ${cells.length}: ${key}`)
    const cell = await computeCell(store, config, key, options)
    if (cell === undefined) {
      isStopped = true
      break
    }
    log(`  done in ${formatClock(cell.seconds)}`)
    computed++
  }
  const stale = cells
    .map(({ key, config }) => ({ key, changed: store.changedSince(key, config) }))
    .filter(({ changed }) => changed.length > 0)
  const missing = cells.filter(({ key }) => store.get(key) === undefined).map(({ key }) => key)
  return { computed, kept: cells.length - missing.length - computed, isStopped, missing, stale }
}

/** Computes a cell and puts it into the cache; undefined when the run was stopped before it was done. */
export async function computeCell<C extends Config, R>(
  store: Store<C, R>,
  config: C,
  key: string,
  options: Pick<RunOptions, 'scale' | 'signal'>
): Promise<Stored<C, R> | undefined> {
  const started = performance.now()
  const result = await runCell(store, config, key, options).catch((error: unknown) => {
    if (options.signal.aborted) return undefined
    throw error
  })
  if (result === undefined) return undefined
  const seconds = Math.round(performance.now() - started) / 1000
  const cell = { config, result, seconds, ...provenance(), hashes: store.hashes(config) }
  await store.put(key, cell)
  return cell
}

/** The cells that are in the cache. */
export async function finishedCells<C extends Config, R>(experiment: Experiment<C, R>, scale: Scale): Promise<Finished<C, R>[]> {
  const store = await Store.open(experiment, scale)
  return experiment.cells(scale).flatMap((config) => {
    const key = experiment.key(config)
    const cell = store.get(key)
    return cell === undefined ? [] : [{ key, config, result: cell.result }]
  })
}

async function runCell<C extends Config, R>(
  store: Store<C, R>,
  config: C,
  key: string,
  { scale, signal }: Pick<RunOptions, 'scale' | 'signal'>
): Promise<R> {
  const progress = createProgress()
  // What was left by other sources or another configuration is never gone on from.
  const folder = path.join(scratchFolder(store.experiment.name, scale), digest(store.hashes(config)))
  mkdirSync(folder, { recursive: true })
  const own = `${key.replace(/[^\w.+-]+/g, '_')}.${digest(config)}.`
  const context: CellContext = {
    scale,
    progress,
    signal,
    scratch: (name) => path.join(folder, own + name),
    shared: (name) => path.join(folder, name)
  }
  try {
    const result = await store.experiment.run(config, context)
    for (const name of readdirSync(folder)) if (name.startsWith(own)) rmSync(path.join(folder, name))
    return result
  } finally {
    progress.clear()
  }
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 8)
}

function provenance() {
  return {
    date: new Date().toISOString(),
    commit: currentCommit() ?? 'unknown',
    machine: machine(),
    versions: { polyadic: packageVersion(), node: process.versions.node, ...peerVersions(['onnxruntime-node']) }
  }
}

function checkKeys(name: string, cells: readonly { readonly key: string }[]): void {
  const seen = new Set<string>()
  for (const { key } of cells) {
    if (seen.has(key)) throw new Error(`${name}: two cells are called '${key}'`)
    seen.add(key)
  }
}
