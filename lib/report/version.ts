import { readFileSync } from 'node:fs'

/** polyadic's own version, from the package file above this one. */
export function packageVersion(): string {
  for (const above of ['../../', '../../../']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(`${above}package.json`, import.meta.url), 'utf8')) as {
        name?: string
        version?: string
      }
      if (manifest.name === 'polyadic' && manifest.version) return manifest.version
    } catch {
      // Sources stand one folder nearer to the root than compiled files do.
    }
  }
  return 'unknown'
}
