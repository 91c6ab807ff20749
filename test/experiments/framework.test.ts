import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { changes, currentHashes } from '../../experiments/framework/components.js'
import { confirmExperiment } from '../../experiments/framework/confirm.js'
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

t.test('a change of the sources that changes no figure is told by the quickest cell of a kind', async (t) => {
  const folder = t.testdir()
  const file = path.join(folder, 'counted.json')
  const change = async (seconds: Readonly<Record<string, number>>): Promise<void> => {
    const saved = JSON.parse(await readFile(file, 'utf8'))
    for (const [key, cell] of Object.entries<Record<string, unknown>>(saved.cells)) {
      cell.seconds = seconds[key]
      cell.hashes = { ...(cell.hashes as object), 'character data': 'feedfeedfeedfeed' }
    }
    await writeFile(file, JSON.stringify(saved))
  }
  await runExperiment(counted([1, 2, 3]), options(folder))
  await change({ 'seed 1': 3, 'seed 2': 1, 'seed 3': 2 })
  const same = counted([1, 2, 3])
  await confirmExperiment(same, options(folder))
  t.strictSame(same.computed, [2], 'only the quickest')
  t.match(await runExperiment(counted([1, 2, 3]), options(folder)), { computed: 0, stale: [] })
  const { cells } = JSON.parse(await readFile(file, 'utf8'))
  t.match(cells['seed 1'], { seconds: 3, confirmed: { by: 'seed 2' } }, 'the figures are of then')
  t.notOk('confirmed' in cells['seed 2'])

  await change({ 'seed 1': 3, 'seed 2': 2, 'seed 3': 1 })
  const others: Counted = { ...counted([1, 2, 3]), run: async ({ seed }) => ({ value: seed }) }
  await confirmExperiment(others, options(folder))
  const { stale } = await runExperiment(counted([1, 2, 3]), options(folder))
  t.strictSame(
    stale.map(({ key }) => key),
    ['seed 1', 'seed 2'],
    'what was computed again has its new figures, the others are not what they would be now'
  )
  t.match(JSON.parse(await readFile(file, 'utf8')).cells['seed 3'].result, { value: 3 })
  t.notOk('confirmed' in JSON.parse(await readFile(file, 'utf8')).cells['seed 3'])
})

t.test('what is confirmed: neither another configuration, nor a kind that another stands for', async (t) => {
  const folder = t.testdir()
  const make = (
    names: readonly string[],
    epochs: number
  ): Experiment<{ readonly name: string; readonly epochs: number }, object> & { ran: string[] } => {
    const ran: string[] = []
    return {
      name: 'named',
      title: 'Named',
      components: () => ['character data'],
      ran,
      cells: () => names.map((name) => ({ name, epochs })),
      key: ({ name }) => name,
      run: async ({ name }) => {
        ran.push(name)
        return { epochs, seconds: performance.now() }
      },
      report: () => []
    }
  }
  await runExperiment(make(['als 1', 'als 2', 'nls 1'], 1), options(folder))
  const file = path.join(folder, 'named.json')
  await writeFile(file, (await readFile(file, 'utf8')).replace(/("character data": ")[0-9a-f]+/g, '$1feedfeedfeedfeed'))
  const other = make(['als 1', 'als 2', 'nls 1'], 2)
  await confirmExperiment(other, options(folder))
  t.strictSame(other.ran, [], 'other epochs')
  const same = make(['als 1', 'als 2', 'nls 1'], 1)
  await confirmExperiment(same, options(folder))
  t.equal(same.ran.length, 2)
  t.ok(same.ran.includes('nls 1'))
  t.match(await runExperiment(make(['als 1', 'als 2', 'nls 1'], 1), options(folder)), { stale: [] }, 'seconds are no figures')
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
