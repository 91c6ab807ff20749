import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { writeFileAtomically } from '../../lib/formats/atomic-write.js'
import { type CharacterSet, createCharacters } from '../../examples/charnet/dataset.js'
import type { Split } from '../../examples/charnet/atlas.js'
import { root } from '../../examples/charnet/paths.js'

/** Where long experiments keep what they have done: a killed one goes on from there. Git ignores it. */
export const cacheFolder = path.join(root, '.cache', 'fine-tuning')

/** A result by name, computed once: later runs, and other experiments, find it in the cache. */
export async function remembered<T>(name: string, compute: () => Promise<T>): Promise<T> {
  const file = path.join(cacheFolder, `${name}.json`)
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) return JSON.parse(known) as T
  const result = await compute()
  await mkdir(cacheFolder, { recursive: true })
  await writeFileAtomically(file, [Buffer.from(`${JSON.stringify(result, null, 1)}\n`)])
  console.log(`${name}: ${JSON.stringify(result)}`)
  return result
}

const sets = new Map<string, Promise<CharacterSet>>()

/** Characters of a split, drawn once a process. */
export function characters(split: Split, count: number): Promise<CharacterSet> {
  const key = `${split} ${count}`
  const known = sets.get(key) ?? createCharacters({ split, count })
  sets.set(key, known)
  return known
}
