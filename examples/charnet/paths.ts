import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the clone, from sources and from compiled files alike: the nearest folder with binding.gyp. */
export const root = findRoot(path.dirname(fileURLToPath(import.meta.url)))

/** The trained dense network that is kept in git. */
export const charnetFile = path.join(root, 'examples', 'charnet', 'charnet.onnx')

function findRoot(folder: string): string {
  if (existsSync(path.join(folder, 'binding.gyp')) || folder === path.dirname(folder)) return folder
  return findRoot(path.dirname(folder))
}
