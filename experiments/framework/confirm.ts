import { isDeepStrictEqual } from 'node:util'
import type { Config, Experiment } from './experiment.js'
import { groupBy } from './statistics.js'
import { computeCell, type RunOptions } from './run.js'
import { Store } from './store.js'

/**
 * Tells changes of the sources that change figures from those that do not: of the stale cells of one kind (their names differ in numbers only, and
 * the same sources computed them) the quickest is computed again. Where its figures are the same to the last digit, the others get the present
 * hashes, and say by which cell; where not, the new figures are kept and the others stay stale. A cell with another configuration is never
 * confirmed, nor one whose figures are times, which are never the same twice.
 */
export async function confirmExperiment<C extends Config, R>(
  experiment: Experiment<C, R>,
  { scale, isWanted, signal, log, folder }: Omit<RunOptions, 'refresh'>
): Promise<void> {
  const store = await Store.open(experiment, scale, folder)
  const stale = experiment.cells(scale).flatMap((config) => {
    const key = experiment.key(config)
    const cell = store.get(key)
    const changed = store.changedSince(key, config)
    return cell !== undefined && changed.length > 0 && !changed.includes('configuration') && isWanted(key) ? [{ key, config, cell }] : []
  })
  const kinds = groupBy(stale, ({ key, cell }) => `${key.replace(/[\d.,]+/g, '#')} ${JSON.stringify(cell.hashes)}`)
  for (const group of kinds.values()) {
    if (signal.aborted) return
    const { key, config, cell } = group.reduce((a, b) => (b.cell.seconds < a.cell.seconds ? b : a))
    log(`${experiment.name}: ${key}, for ${group.length} of its kind`)
    const again = await computeCell(store, config, key, { scale, signal })
    if (again === undefined) return
    if (!isDeepStrictEqual(figuresOf(again.result), figuresOf(cell.result))) {
      log('  other figures than before: the others stay stale')
      continue
    }
    const { date, commit } = again
    for (const other of group) {
      if (other.key !== key)
        await store.put(other.key, { ...other.cell, hashes: store.hashes(other.config), confirmed: { by: key, date, commit } })
    }
    log('  the same figures: they hold')
  }
}

/** Without how long it took to get them. As JSON has them. */
function figuresOf(result: unknown): unknown {
  return JSON.parse(JSON.stringify(result, (name, value: unknown) => (/seconds$/i.test(name) ? undefined : value)))
}
