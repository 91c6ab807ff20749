import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { PolyadicError } from '../errors.js'

/** One read call takes at most 2 GiB; smaller pieces leave the thread pool to others now and then. */
const pieceLength = 2 ** 28

/** The whole content of a file of any size. Throws `POLYADIC_IO` naming the path. */
export async function readWholeFile(path: string): Promise<Uint8Array> {
  let file: FileHandle | undefined
  try {
    // Asked before opening: opening a pipe would wait for somebody to write to it.
    if (!(await stat(path)).isFile()) {
      throw new PolyadicError('POLYADIC_IO', `${JSON.stringify(path)}: not a file`, { subject: path })
    }
    file = await open(path, 'r')
    const bytes = new Uint8Array((await file.stat()).size)
    await readExactly(file, bytes, 0, JSON.stringify(path))
    return bytes
  } catch (cause) {
    if (cause instanceof PolyadicError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PolyadicError('POLYADIC_IO', `${JSON.stringify(path)}: cannot be read: ${reason}`, { subject: path, cause })
  } finally {
    await file?.close()
  }
}

/** Fills `target` from `position` of the file on. Throws `POLYADIC_IO` when the file ends before. */
export async function readExactly(file: FileHandle, target: Uint8Array, position: number, name: string): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await file.read(target, done, Math.min(pieceLength, target.length - done), position + done)
    if (bytesRead === 0) {
      throw new PolyadicError('POLYADIC_IO', `${name}: the file ended while it was being read`, { subject: name })
    }
    done += bytesRead
  }
}
