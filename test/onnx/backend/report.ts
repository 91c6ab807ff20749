import { findTests } from './cases.js'
import { type Outcome, runTest } from './run.js'

/** Runs every test of the folders, one after the other; `only` keeps those whose name has it. */
export async function runFolders(folders: readonly string[], only?: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const folder of folders) {
    for (const test of await findTests(folder)) {
      if (only === undefined || test.name.includes(only)) outcomes.push(await runTest(test))
    }
  }
  return outcomes
}

/** Counts by kind, what is out of scope by operator, what was refused or failed with its reason. */
export function summary(outcomes: readonly Outcome[]): string {
  const of = (result: Outcome['result']): Outcome[] => outcomes.filter((outcome) => outcome.result === result)
  const byKind = groupBy(outcomes, ({ test }) => test.kind)
  const lines = [...byKind].map(([kind, own]) => {
    const count = (result: Outcome['result']): number => own.filter((outcome) => outcome.result === result).length
    const parts = (['passed', 'out of scope', 'refused', 'failed'] as const).map((result) => `${count(result)} ${result}`)
    return `${kind}: ${own.length} tests, ${parts.join(', ')}`
  })
  const missing = [...groupBy(of('out of scope'), ({ reason }) => reason)]
    .map(([reason, list]) => `${reason} ${list.length}`)
    .sort()
    .join(', ')
  const details = [...of('refused'), ...of('failed')].map(({ test, result, reason }) => `${result} ${test.kind}/${test.name}: ${reason}`)
  return [...lines, `out of scope: ${missing}`, ...details].join('\n')
}

function groupBy<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of list) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}
