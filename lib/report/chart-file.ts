import path from 'node:path'
import { writeFileAtomically } from '../formats/atomic-write.js'
import { loadSharp } from '../formats/sharp.js'

/** By the ends of file names: what a chart can be written as. */
export const chartFormats = ['.svg', '.png'] as const

// Two pixels for each of the SVG's, of which sharp sees 72 an inch: as for a screen of high density.
const density = 144

/**
 * How a chart gets into a file, in whole or not at all. PNG needs the package sharp: where it is missing, POLYADIC_UNSUPPORTED comes now, before
 * the long work whose chart it is.
 */
export async function chartWriter(file: string): Promise<(svg: string) => Promise<void>> {
  if (path.extname(file) !== '.png') return (svg) => writeFileAtomically(file, Buffer.from(svg))
  const sharp = await loadSharp('a chart as PNG', 'a name that ends in .svg', file)
  return async (svg) => {
    const png = await sharp(Buffer.from(svg), { density }).flatten({ background: 'white' }).png().toBuffer()
    await writeFileAtomically(file, png)
  }
}
