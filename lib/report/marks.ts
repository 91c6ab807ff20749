import { readFile } from 'node:fs/promises'
import { writeFileAtomically } from '../formats/atomic-write.js'

/**
 * Replaces what stands between the lines `<!-- name: begin -->` and `<!-- name: end -->` of a text; throws a `RangeError` where they are
 * not there once each, in this order.
 */
export function replaceMarked(text: string, name: string, replacement: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const [before, inside, ...more] = text.split(begin)
  const [, after, ...others] = inside?.split(end) ?? []
  if (before === undefined || after === undefined || more.length > 0 || others.length > 0)
    throw new RangeError(`expected one ${begin} and then one ${end}`)
  return `${before}${begin}\n${replacement}\n${end}${after}`
}

/** Does that in a file, for every name of `parts`: a document whose tables are made of measurements. */
export async function rewriteMarked(file: string, parts: Readonly<Record<string, string>>): Promise<void> {
  let text = await readFile(file, 'utf8')
  for (const [name, replacement] of Object.entries(parts)) {
    try {
      text = replaceMarked(text, name, replacement)
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`, { cause: error })
    }
  }
  await writeFileAtomically(file, Buffer.from(text))
}
