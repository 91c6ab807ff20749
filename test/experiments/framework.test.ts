import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { changes, currentHashes } from '../../experiments/framework/components.js'
import type { Experiment } from '../../experiments/framework/experiment.js'
import { type RunOptions, runExperiment } from '../../experiments/framework/run.js'
import { halfRange, spread } from '../../experiments/framework/statistics.js'

interface Counted extends Experiment<{ readonly seed: number }, { readonly value: number }> {
  readonly computed: number[]
}

function counted(seeds: readonly number[], fail?: number): Counted {
  const computed: number[] = []
  return {
    name: 'counted',
    title: 'Counted',
    components: () => ['character data'],
    computed,
    cells: () => seeds.map((seed) => ({ seed })),
    key: ({ seed }) => `seed ${seed}`,
    run: async ({ seed }) => {
      if (seed === fail) throw new Error('as if killed')
      computed.push(seed)
      return { value: seed / 3 }
    },
    report: () => []
  }
}

function options(folder: string, more: Partial<RunOptions> = {}): RunOptions {
  return {
    scale: 'quick',
    refresh: false,
    isWanted: () => true,
    signal: new AbortController().signal,
    log: () => undefined,
    folder,
    ...more
  }
}

t.test('cells are computed once, and a run that ended early goes on', async (t) => {
  const folder = t.testdir()
  await t.rejects(runExperiment(counted([1, 2, 3], 2), options(folder)), /as if killed/)
  const again = counted([1, 2, 3])
  const outcome = await runExperiment(again, options(folder))
  t.strictSame(again.computed, [2, 3], 'what was done before is kept')
  t.match(outcome, { computed: 2, kept: 1, missing: [], stale: [], isStopped: false })
  const third = counted([1, 2, 3])
  t.match(await runExperiment(third, options(folder)), { computed: 0, kept: 3 })
  const file = JSON.parse(await readFile(path.join(folder, 'counted.json'), 'utf8'))
  t.strictSame(Object.keys(file.cells), ['seed 1', 'seed 2', 'seed 3'])
  t.hasStrict(file.cells['seed 2'], { config: { seed: 2 }, result: { value: 2 / 3 } })
  for (const field of ['seconds', 'date', 'commit', 'machine', 'versions', 'hashes']) t.ok(field in file.cells['seed 2'], field)
})

t.test('only what is asked for; nothing once the time is up', async (t) => {
  const folder = t.testdir()
  const some = counted([1, 2, 12])
  t.match(await runExperiment(some, options(folder, { isWanted: (key) => key.includes('2') })), {
    computed: 2,
    missing: ['seed 1'],
    isStopped: false
  })
  t.strictSame(some.computed, [2, 12])
  t.match(await runExperiment(some, options(folder, { signal: AbortSignal.abort() })), {
    computed: 0,
    missing: ['seed 1'],
    isStopped: true
  })
})

t.test('a stale cell is named, kept, and computed again when that is asked for', async (t) => {
  const folder = t.testdir()
  await runExperiment(counted([1, 2]), options(folder))
  const file = path.join(folder, 'counted.json')
  await writeFile(file, (await readFile(file, 'utf8')).replace(/("character data": ")[0-9a-f]+/, '$1feedfeedfeedfeed'))
  const kept = counted([1, 2])
  const outcome = await runExperiment(kept, options(folder))
  t.strictSame(kept.computed, [])
  t.strictSame(outcome.stale, [{ key: 'seed 1', changed: ['character data'] }])
  const refreshed = counted([1, 2])
  t.match(await runExperiment(refreshed, options(folder, { refresh: true })), { computed: 1, stale: [] })
  t.strictSame(refreshed.computed, [1])
})

t.test('a cell whose configuration has changed is stale', async (t) => {
  const folder = t.testdir()
  await runExperiment(counted([1]), options(folder))
  const other: Experiment<{ readonly seed: number; readonly epochs: number }, { readonly value: number }> = {
    ...counted([1]),
    cells: () => [{ seed: 1, epochs: 2 }],
    key: () => 'seed 1',
    run: async () => ({ value: 0 }),
    report: () => []
  }
  t.strictSame((await runExperiment(other, options(folder))).stale, [{ key: 'seed 1', changed: ['configuration'] }])
})

t.test('what an interrupted cell leaves is for the same cell only, and gone when it is done', async (t) => {
  const folder = t.testdir()
  const files: string[] = []
  const leaving = (epochs: number, end: () => void): Experiment<{ readonly epochs: number }, { readonly found: boolean }> => ({
    name: 'leaving',
    title: 'Leaving',
    components: () => [],
    cells: () => [{ epochs }],
    key: () => 'cell',
    run: async (_, { scratch }) => {
      const file = scratch('checkpoint')
      files.push(file)
      const found = existsSync(file)
      await writeFile(file, '')
      end()
      return { found }
    },
    report: () => []
  })
  const fail = (): never => {
    throw new Error('as if killed')
  }
  const found = async (): Promise<unknown> => JSON.parse(await readFile(path.join(folder, 'leaving.json'), 'utf8')).cells.cell.result.found
  await t.rejects(runExperiment(leaving(1, fail), options(folder)), /as if killed/)
  await runExperiment(
    leaving(2, () => undefined),
    options(folder)
  )
  t.equal(await found(), false, 'of another configuration')
  await runExperiment(
    leaving(1, () => undefined),
    options(folder, { refresh: true })
  )
  t.equal(await found(), true, 'of the same')
  for (const file of files) t.notOk(existsSync(file))
})

t.test('cells of the same name are a mistake', async (t) => {
  await t.rejects(runExperiment(counted([1, 1]), options(t.testdir())), /seed 1/)
})

t.test('hashes tell what has changed', async (t) => {
  const hashes = currentHashes('past-the-paper', ['character data', 'training'])
  t.strictSame(Object.keys(hashes), ['experiment', 'character data', 'training'])
  t.not(hashes.experiment, currentHashes('second-layer', []).experiment)
  t.strictSame(changes(hashes, hashes), [])
  t.strictSame(changes({ ...hashes, training: '' }, hashes), ['training'])
})

t.test('spread', async (t) => {
  t.equal(halfRange([1, 4, 2]), 1.5)
  t.equal(spread([89, 90, 91]), '90.00 ± 1.00 %')
  t.equal(spread([89]), '89.00 %')
  t.equal(spread([]), '-')
})
