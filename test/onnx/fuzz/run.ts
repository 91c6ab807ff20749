import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyadicError } from '../../../lib/errors.js'
import type { Graph } from '../../../lib/graph/graph.js'
import { decodeOnnx, readOnnxWith } from '../../../lib/onnx/read.js'
import { encodeOnnx } from '../../../lib/onnx/write.js'
import { inferShapes } from '../../../lib/operators/infer.js'
import { compressibleLayers } from '../../../lib/replacement/layers.js'
import { generator } from '../../helpers/plan-builder.js'
import { fuzzCorpus } from './corpus.js'
import { mutate } from './mutate.js'

/** What no model may ever get hold of: the bytes of a file outside of its folder, as four floats. */
const secret = 1234.5

/** How many of the last valid mutants are mutated further. */
const recentLength = 64

export interface FuzzOptions {
  readonly count: number
  readonly seed: number
  /** An empty folder to write to. */
  readonly folder: string
  /** Every n-th mutant is also read from a file. */
  readonly fileEvery: number
}

export interface FuzzResult {
  /** How many mutants ended in what: `valid`, or an error's code. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly files: number
  /** Milliseconds of the slowest mutant, for a person to look at. */
  readonly slowestMs: number
}

/**
 * Mutates a corpus of models and reads what comes of it. Throws, with the mutant, for anything that is neither a graph nor a PolyadicError,
 * for a graph that cannot be written and read again, for tensors that take more memory than the file accounts for, and for a file that
 * gives something else than its bytes, or data from outside of its folder.
 */
export async function fuzz({ count, seed, folder, fileEvery }: FuzzOptions): Promise<FuzzResult> {
  const corpus = await fuzzCorpus()
  const random = generator(seed)
  const model = await prepareFolder(folder)
  const outcomes: Record<string, number> = {}
  let [slowestMs, files] = [0, 0]
  // What was valid joins the corpus for a while: mutants of mutants go further from where they came.
  const recent: Uint8Array[] = []
  let valid = 0
  for (let i = 0; i < count; i++) {
    const pool = recent.length > 0 && random.next() < 0.5 ? recent : corpus
    const mutant = mutate(pool[random.integer(0, pool.length - 1)] as Uint8Array, corpus, random)
    const started = performance.now()
    const outcome = await reported(mutant, () => readMutant(mutant))
    slowestMs = Math.max(slowestMs, performance.now() - started)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    if (outcome === 'valid' && mutant.length < 20_000) recent[valid++ % recentLength] = mutant
    if (i % fileEvery !== 0) continue
    files++
    await reported(mutant, () => compareFile(mutant, model))
  }
  return { outcomes, files, slowestMs }
}

async function prepareFolder(folder: string): Promise<string> {
  const inside = join(folder, 'model')
  await mkdir(join(inside, 'sub'), { recursive: true })
  await writeFile(join(folder, 'secret.bin'), Buffer.from(new Float32Array(64).fill(secret).buffer))
  await writeFile(join(inside, 'weights.bin'), Buffer.from(Float32Array.from({ length: 16 }, (_, i) => i).buffer))
  await symlink(join('..', 'secret.bin'), join(inside, 'link.bin'))
  return join(inside, 'm.onnx')
}

async function reported(mutant: Uint8Array, act: () => Promise<string> | string): Promise<string> {
  try {
    return await act()
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; mutant ${Buffer.from(mutant).toString('hex')}`, { cause })
  }
}

/** 'valid' or a code, for an operation that may only fail by a PolyadicError. */
async function outcomeOf(act: () => Graph | Promise<Graph>): Promise<{ outcome: string; graph?: Graph }> {
  try {
    return { outcome: 'valid', graph: await act() }
  } catch (error) {
    if (error instanceof PolyadicError && error.message.length < 2000) return { outcome: error.code }
    throw error
  }
}

async function readMutant(mutant: Uint8Array): Promise<string> {
  const { outcome, graph } = await outcomeOf(() => decodeOnnx(mutant))
  if (graph === undefined) return outcome
  const bytes = [...graph.initializers.values()].reduce((sum, tensor) => sum + tensor.data.byteLength, 0)
  if (bytes > 65 * mutant.length + 2 ** 21) throw new Error(`${bytes} bytes of tensors from ${mutant.length}`)
  compressibleLayers(graph)
  await outcomeOf(() => {
    inferShapes(graph)
    return graph
  })
  const written = encodeOnnx(graph)
  const again = decodeOnnx(written)
  if (!Buffer.from(encodeOnnx(again)).equals(Buffer.from(written))) throw new Error('written twice, it is not the same')
  return outcome
}

/** From a file, and with large data left in it (small limits stand for gigabytes), it has to be what its bytes are. */
async function compareFile(mutant: Uint8Array, path: string): Promise<string> {
  await writeFile(path, mutant)
  const [file, bytes] = [
    await outcomeOf(() => readOnnxWith(path, {}, { whole: 16, hole: 8, window: 1 })),
    await outcomeOf(() => decodeOnnx(mutant))
  ]
  const values = [...(file.graph?.initializers.values() ?? [])].filter(({ dtype }) => dtype === 'float32')
  if (values.some(({ data }) => (data as Float32Array).includes(secret))) throw new Error('read from outside of its folder')
  // Bytes alone give no external data: all else is the same.
  if (bytes.outcome === 'POLYADIC_UNSUPPORTED' && file.outcome !== bytes.outcome) return file.outcome
  if (bytes.outcome !== file.outcome) throw new Error(`${bytes.outcome} from bytes, ${file.outcome} from a file`)
  if (file.graph === undefined || bytes.graph === undefined) return file.outcome
  if (!Buffer.from(encodeOnnx(file.graph)).equals(Buffer.from(encodeOnnx(bytes.graph))))
    throw new Error('a file gives another graph than its bytes')
  return file.outcome
}
