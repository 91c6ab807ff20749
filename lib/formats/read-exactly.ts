import type { FileHandle } from 'node:fs/promises'
import { PolyadicError } from '../errors.js'

/** One read call takes at most 2 GiB; smaller pieces leave the thread pool to others now and then. */
const pieceLength = 2 ** 28

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
