import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { writeOnnx } from '../onnx/write.js'
import { Interrupted } from './command.js'
import { checkHalfType, fullWeights, halfWeights } from '../replacement/half-weights.js'

// Hours of work are not lost when what comes after them fails or is interrupted: what there is so far is written, and the error says so.

/** What `--weights` takes. */
export const weightTypes = ['float32', 'bfloat16', 'float16'] as const

/** Where a command writes its network, and how the weights are stored; as they are without `weights`. */
export interface Target {
  readonly output: string
  readonly weights: (typeof weightTypes)[number] | undefined
  readonly signal: AbortSignal
}

/** Throws, before anything is computed, where `network` cannot store its weights so. */
export function checkWeightType(network: Graph, { weights }: Target): void {
  if (weights !== undefined && weights !== 'float32') checkHalfType(network, weights)
}

/** Writes the network; with its weights as they are, and an error that says so, where they cannot be stored as asked for. */
export async function writeNetwork(network: Graph, { output, weights, signal }: Target): Promise<void> {
  let stored = network
  let failure: unknown
  try {
    if (weights !== undefined) stored = weights === 'float32' ? fullWeights(network) : halfWeights(fullWeights(network), weights)
  } catch (error) {
    failure = error
  }
  await writeOnnx(stored, output, { signal })
  if (failure !== undefined) throw noting(failure, `the network is written to ${show(output)} with its weights as they were`)
}

/** The same, to be written whatever interruption has come: a second one ends the process at once. */
export function uninterrupted(target: Target): Target {
  return { ...target, signal: new AbortController().signal }
}

/** What `work` gives; when it fails or the command is interrupted, `network` is written, and the error says that `what` was. */
export async function saving<T>(network: Graph, what: string, target: Target, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const note = await writeNetwork(network, uninterrupted(target)).then(() => `${what} is written to ${show(target.output)}`, messageOf)
    throw noting(error, note)
  }
}

/** The error, with a note of what there is of the work all the same. */
export function noting(error: unknown, note: string): PolyadicError | Interrupted {
  if (error instanceof Interrupted) return new Interrupted(error.signal, note)
  const { code, subject } = error instanceof PolyadicError ? error : { code: 'POLYADIC_NATIVE' as const, subject: undefined }
  return new PolyadicError(code, `${messageOf(error)}; ${note}`, { cause: error, ...(subject !== undefined && { subject }) })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
