import { randomBytes } from 'node:crypto'
import { open, realpath, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PolyadicError } from '../errors.js'

/**
 * Writes `chunks` to the file `path` so that, whatever happens, it holds either all of them or what it held before: a temporary
 * file in the same folder is written, flushed to the disk and put in its place. A symbolic link stays one, and an existing
 * file's permissions stay. Throws `POLYADIC_IO` naming the path, and leaves no temporary file behind.
 */
export async function writeFileAtomically(path: string, chunks: Uint8Array | Iterable<Uint8Array>): Promise<void> {
  try {
    const target = await followLink(path)
    const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`)
    try {
      await writeNew(temporary, await modeOf(target), chunks instanceof Uint8Array ? [chunks] : chunks)
      await rename(temporary, target)
    } catch (error) {
      await unlink(temporary).catch(() => undefined) // perhaps it was never made; the first error is the one to tell
      throw error
    }
    await flushFolder(dirname(target))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PolyadicError('POLYADIC_IO', `${JSON.stringify(path)}: cannot be written: ${reason}`, { subject: path, cause })
  }
}

async function writeNew(path: string, mode: number | undefined, chunks: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx')
  try {
    for (const chunk of chunks) await file.writeFile(chunk)
    if (mode !== undefined) await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function followLink(path: string): Promise<string> {
  return realpath(path).catch(() => path)
}

/** The permission bits of an existing file; undefined when there is none. */
async function modeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (stats) => stats.mode & 0o7777,
    () => undefined
  )
}

/** Makes the renaming last. Some systems cannot flush folders; the file itself is complete either way. */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  try {
    await folder?.sync()
  } catch {
    // see above
  } finally {
    await folder?.close()
  }
}
