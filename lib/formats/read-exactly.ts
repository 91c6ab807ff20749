import type { FileHandle } from 'node:fs/promises'
import { PolyadicError } from '../errors.js'

/** One read call takes at most 2 GiB; smaller pieces leave the thread pool to others now and then, and an abort is not long in coming. */
const pieceLength = 2 ** 26

/** Fills `target` from `position` of the file on. Throws `POLYADIC_IO` when the file ends before, and the signal's reason between two pieces. */
export async function readExactly(
  file: FileHandle,
  target: Uint8Array,
  position: number,
  name: string,
  signal?: AbortSignal
): Promise<void> {
  for (let done = 0; done < target.length; ) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(target, done, Math.min(pieceLength, target.length - done), position + done)
    if (bytesRead === 0) {
      throw new PolyadicError('POLYADIC_IO', `${name}: the file ended while it was being read`, { subject: name })
    }
    done += bytesRead
  }
}
