import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'

/**
 * What a reference computes is the same for every table of kernels, and takes several times as long as they do. Where POLYADIC_REFERENCES names a file, the
 * first process that runs a script leaves its references there, one a case, and those after it take them; a case that is not there is computed.
 */
export function keptReferences(): <T>(name: string, compute: () => T) => T {
  const file = process.env.POLYADIC_REFERENCES
  if (file === undefined) return (_name, compute) => compute()
  const known = existsSync(file) ? (deserialize(readFileSync(file)) as Map<string, unknown>) : undefined
  const made = new Map<string, unknown>()
  if (known === undefined)
    process.on('exit', () => {
      // Whole or not at all.
      writeFileSync(`${file}.${process.pid}`, serialize(made))
      renameSync(`${file}.${process.pid}`, file)
    })
  let cases = 0
  return <T>(name: string, compute: () => T): T => {
    // By their order as well: not every case has a name of its own.
    const key = `${cases++} ${name}`
    if (known?.has(key)) return known.get(key) as T
    const value = compute()
    made.set(key, value)
    return value
  }
}
