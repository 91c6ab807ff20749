import { readdir, realpath, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { writeFileAtomically } from '../formats/atomic-write.js'
import type { ExternalSink } from './write-tensor.js'

/** Offsets are multiples of a page, as ONNX recommends: readers can map the file into memory. */
const pageLength = 4096

const padding = new Uint8Array(pageLength)

/** A data file that is being put together, in pieces that are views of the tensors. */
export class DataFile implements ExternalSink {
  readonly location: string
  readonly chunks: Uint8Array[] = []
  #length = 0

  constructor(location: string) {
    this.location = location
  }

  add(data: Uint8Array): number {
    const gap = (pageLength - (this.#length % pageLength)) % pageLength
    if (gap > 0) this.chunks.push(padding.subarray(0, gap))
    const offset = this.#length + gap
    this.chunks.push(data)
    this.#length = offset + data.length
    return offset
  }
}

/**
 * Writes a model and a data file beside it, so that at any time `path` holds a complete model whose data is there: the data file gets a
 * name that is free, and is complete, before the model that refers to it replaces the one before. That one's data files are removed then.
 */
export async function writeWithData(
  path: string,
  encode: (location: string) => { readonly model: readonly Uint8Array[]; readonly data: readonly Uint8Array[] },
  signal?: AbortSignal
): Promise<void> {
  const existing = await realpath(path).catch(() => undefined)
  const target = existing ?? path
  const folder = dirname(target)
  const used = (await readdir(folder).catch(() => [])).filter(isDataOf(basename(target)))
  const location = freeName(basename(target), used)
  const { model, data } = encode(location)
  await writeFileAtomically(join(folder, location), data, signal)
  try {
    await writeFileAtomically(path, model, signal)
  } catch (error) {
    await unlink(join(folder, location)).catch(() => undefined) // the first error is the one to tell
    throw error
  }
  if (existing === undefined) return
  // What is still open elsewhere stays readable there, or cannot be removed and stays.
  for (const name of used) await unlink(join(folder, name)).catch(() => undefined)
}

function isDataOf(model: string): (name: string) => boolean {
  return (name) => name.startsWith(model) && /^(\.\d+)?\.data$/.test(name.slice(model.length))
}

function freeName(model: string, used: readonly string[]): string {
  for (let i = 0; ; i++) {
    const name = i === 0 ? `${model}.data` : `${model}.${i}.data`
    if (!used.includes(name)) return name
  }
}
