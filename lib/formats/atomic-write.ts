import { randomBytes } from 'node:crypto'
import { open, readlink, realpath, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { PolyadicError } from '../errors.js'

/**
 * Writes `chunks` to the file `path` so that, whatever happens, it holds either all of them or what it held before: a temporary
 * file in the same folder is written, flushed to the disk and put in its place. A symbolic link stays one, wherever it leads, and an
 * existing file's permissions stay. What is no regular file (a pipe, a device) is written to as it is. Throws `POLYADIC_IO` naming the
 * path, and leaves no temporary file behind. Rejects with `signal.reason` when aborted before the file has taken its place.
 */
export async function writeFileAtomically(
  path: string,
  chunks: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal?: AbortSignal
): Promise<void> {
  const parts = pieces(chunks instanceof Uint8Array ? [chunks] : chunks, signal)
  try {
    const there = await stat(path).catch(() => undefined)
    if (there === undefined || there.isFile()) await replaceFile(await followLink(path), there && there.mode & 0o7777, parts)
    else await writeThrough(path, parts)
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof PolyadicError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PolyadicError('POLYADIC_IO', `${JSON.stringify(path)}: cannot be written: ${reason}`, { subject: path, cause })
  }
}

/** Of a size that lets an abort be seen soon. */
const pieceLength = 2 ** 26

/** The same bytes; ends with the signal's reason before the next piece, and after the last one. */
async function* pieces(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at === 0 || at < chunk.length; at += pieceLength) {
      signal?.throwIfAborted()
      yield chunk.subarray(at, at + pieceLength)
    }
  }
  signal?.throwIfAborted()
}

/** `mode`: the permission bits of the file that is there, if there is one. */
async function replaceFile(target: string, mode: number | undefined, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  // Not made of the file's own name, which may be as long as names can be.
  const temporary = join(dirname(target), `.polyadic-${randomBytes(6).toString('hex')}.tmp`)
  try {
    await writeNew(temporary, mode, chunks)
    await rename(temporary, target)
  } catch (error) {
    await unlink(temporary).catch(() => undefined) // perhaps it was never made; the first error is the one to tell
    throw error
  }
  await flushFolder(dirname(target))
}

async function writeThrough(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'w')
  try {
    for await (const chunk of chunks) await file.writeFile(chunk)
  } finally {
    await file.close()
  }
}

async function writeNew(path: string, mode: number | undefined, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx')
  try {
    for await (const chunk of chunks) await file.writeFile(chunk)
    if (mode !== undefined) await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Where the links from `path` on end, though nothing may be there yet. */
async function followLink(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    // Links that lead in a circle are another error, so that this comes to an end.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const link = await readlink(path).catch(() => undefined)
    return link === undefined ? path : followLink(resolve(await realpath(dirname(path)), link))
  }
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
