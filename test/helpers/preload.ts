import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Compiles a file of test/native/child into a library of `folder` that stands in front of the C library of a process with LD_PRELOAD. A text: why
 * that cannot be here.
 */
export function preloadLibrary(source: string, folder: string): { readonly library: string } | string {
  if (process.platform !== 'linux') return 'needs glibc'
  if (process.env.POLYADIC_SANITIZER !== undefined) return 'a sanitizer stands in for malloc itself'
  const library = path.join(folder, `${path.parse(source).name}.so`)
  const options = ['-O1', '-shared', '-fPIC', '-o', library, fileURLToPath(new URL(`../native/child/${source}`, import.meta.url)), '-ldl']
  const { status, error, stderr } = spawnSync(process.env.CC ?? 'cc', options, { encoding: 'utf8' })
  return status === 0 ? { library } : `needs a C compiler: ${error?.message ?? stderr}`
}
