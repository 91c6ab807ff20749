import { open, realpath, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, isAbsolute, relative, resolve, win32 } from 'node:path'
import { PolyadicError, show } from '../errors.js'
import { arrayType } from '../tensor.js'
import type { Tensor, TensorData } from '../tensor.js'
import { readExactly } from '../formats/read-exactly.js'
import type { ModelFile } from './model-file.js'
import { stringEntryProto, tensorProto } from './schema.js'
import { WireReader } from './wire.js'
import type { RawField } from './wire.js'

/** Tensor data that is read once the model has been understood. */
export interface PendingData {
  readonly requests: ExternalRequest[]
  /** Raw data of the model's own file that is not in memory: lengths by where it begins. */
  readonly holes: ReadonlyMap<number, number>
}

/** A tensor whose data is still to be read: `byteLength` bytes at `offset` of the file `location`, or of the model's own. */
export interface ExternalRequest {
  readonly tensor: Tensor
  readonly count: number
  readonly location: string | undefined
  readonly offset: number
  readonly byteLength: number
  readonly label: string
  readonly subject: string
}

/** What the `external_data` entries of a tensor with `count` elements ask for. Throws `POLYADIC_FORMAT` naming the tensor. */
export function externalRequest(
  tensor: Tensor,
  count: number,
  fields: readonly RawField[],
  { label, subject }: { label: string; subject: string }
): ExternalRequest {
  const entries = readEntries(fields)
  const fail = (what: string): PolyadicError => {
    return new PolyadicError('POLYADIC_FORMAT', `${label}: external data: ${what}`, { subject })
  }
  const number = (key: string, fallback: number): number => {
    const text = entries.get(key)
    const value = text === undefined ? fallback : Number(text)
    if (text !== undefined && !/^\d{1,15}$/.test(text)) throw fail(`${key} ${show(text)} is not a non-negative integer`)
    return value
  }
  const location = entries.get('location') ?? ''
  if (!isInside(location)) throw fail(`location ${show(location)} is not a path inside of the model's folder`)
  const byteLength = count * arrayType(tensor.dtype).BYTES_PER_ELEMENT
  const given = number('length', byteLength)
  if (given !== byteLength) throw fail(`length: expected ${byteLength} bytes for dims ${show(tensor.dims)}, got ${given}`)
  return { tensor, count, location, offset: number('offset', 0), byteLength, label, subject }
}

/**
 * Reads the data of all requests of the model at `path` and puts it into their tensors, which nobody has seen yet: from the model's own file,
 * and from others in its folder, each of which is opened once (`openBeside` says which are refused). Holes that no tensor has asked for belong
 * to something that is only carried: they are filled.
 */
export async function loadPendingData(
  path: string,
  model: ModelFile,
  requests: readonly ExternalRequest[],
  signal?: AbortSignal
): Promise<void> {
  const unclaimed = new Map(model.holes)
  const byLocation = new Map<string, ExternalRequest[]>()
  for (const request of requests) {
    const { location, offset } = request
    if (location === undefined) {
      unclaimed.delete(offset)
      ;(request.tensor as { data: TensorData }).data = await readData(model.file, model.bytes.length, request, signal)
      continue
    }
    const group = byLocation.get(location)
    if (group === undefined) byLocation.set(location, [request])
    else group.push(request)
  }
  for (const [offset, length] of unclaimed)
    await readExactly(model.file, model.bytes.subarray(offset, offset + length), offset, 'the model', signal)
  for (const [location, group] of byLocation) {
    const first = group[0] as ExternalRequest
    const file = await openBeside(path, location, first)
    try {
      const { size } = await file.stat()
      checkOverlap(group, size)
      const seen = new Map<string, TensorData>()
      for (const request of group) {
        const region = regionOf(request)
        const data = seen.get(region) ?? (await readData(file, size, request, signal))
        seen.set(region, data)
        ;(request.tensor as { data: TensorData }).data = data
      }
    } finally {
      await file.close()
    }
  }
}

/** Tensors that share one region (tied weights) share one array. */
function regionOf({ offset, byteLength, tensor }: ExternalRequest): string {
  return `${offset} ${byteLength} ${tensor.dtype}`
}

/** Regions do not overlap in files that exporters write; if they could at will, a small file would fill any memory. */
function checkOverlap(group: readonly ExternalRequest[], size: number): void {
  const regions = new Map(group.map((request) => [regionOf(request), request]))
  let total = 0
  for (const request of regions.values()) {
    total += request.byteLength
    if (request.offset + request.byteLength <= size && total > 2 * size) {
      throw externalError('POLYADIC_FORMAT', request, `the tensors in ${show(request.location)} overlap each other`)
    }
  }
}

async function readData(file: FileHandle, size: number, request: ExternalRequest, signal: AbortSignal | undefined): Promise<TensorData> {
  const { offset, byteLength, count, location } = request
  // Before anything is allocated: the file says how much there can be.
  if (offset + byteLength > size) {
    const what = `bytes ${offset} to ${offset + byteLength} are past the end of ${show(location)} (${size} bytes)`
    throw externalError('POLYADIC_FORMAT', request, what)
  }
  const data = newData(request, count)
  await readExactly(file, new Uint8Array(data.buffer), offset, location === undefined ? 'the model' : show(location), signal)
  return data
}

function newData(request: ExternalRequest, count: number): TensorData {
  try {
    return new (arrayType(request.tensor.dtype))(count)
  } catch (cause) {
    throw externalError('POLYADIC_MEMORY', request, `there is no memory for its ${request.byteLength} bytes`, cause)
  }
}

/**
 * Opens `location` in the folder of the model at `path`. What the model's file says never leads out of that folder (`isInside`); links that are
 * there may, but only into the folder where the model's own file really is: the cache of the Hugging Face hub has links to both files, which
 * lie side by side in another folder. Any other link is refused, as it may have come in an archive with the model: a file of the
 * user's would be read as weights, and written into the next model. onnxruntime judges by the same two folders (microsoft/onnxruntime#27374).
 */
async function openBeside(path: string, location: string, request: ExternalRequest): Promise<FileHandle> {
  try {
    const root = await realpath(dirname(path))
    const target = await realpath(resolve(root, location))
    const folders = [root, dirname(await realpath(path))]
    if (!folders.some((folder) => isInside(relative(folder, target)))) {
      const what = `location ${show(location)} is a link that leads out of the model's folder, to ${show(target)}`
      throw externalError(
        'POLYADIC_FORMAT',
        request,
        `${what}; if that file is the right one, put a copy or a hard link of it in the link's place`
      )
    }
    if ((await stat(target)).isFile()) return await open(target, 'r')
    throw externalError('POLYADIC_FORMAT', request, `location ${show(location)} is not a file`)
  } catch (cause) {
    if (cause instanceof PolyadicError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw externalError('POLYADIC_IO', request, `cannot read ${show(location)}: ${reason}`, cause)
  }
}

/** A relative path, by the rules of any system (models travel), that does not climb. */
function isInside(path: string): boolean {
  if (path === '' || path.includes('\0') || isAbsolute(path) || win32.isAbsolute(path) || /^[a-z]:/i.test(path)) return false
  return !path.split(/[\\/]/).includes('..')
}

function readEntries(fields: readonly RawField[]): Map<string, string> {
  const entries = new Map<string, string>()
  for (const { bytes } of fields) {
    const outer = new WireReader(bytes, tensorProto)
    outer.next()
    let key = ''
    let value = ''
    for (const entry = outer.message(stringEntryProto); entry.next(); ) {
      if (entry.field === stringEntryProto.fields.key) key = entry.string()
      else if (entry.field === stringEntryProto.fields.value) value = entry.string()
      else entry.skip()
    }
    entries.set(key, value)
  }
  return entries
}

function externalError(
  code: 'POLYADIC_FORMAT' | 'POLYADIC_IO' | 'POLYADIC_MEMORY',
  { label, subject }: ExternalRequest,
  what: string,
  cause?: unknown
): PolyadicError {
  return new PolyadicError(code, `${label}: external data: ${what}`, { subject, cause })
}
