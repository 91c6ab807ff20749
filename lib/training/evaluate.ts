import { checkOptions, type Names } from '../arguments.js'
import { checkInteger, PolyadicError } from '../errors.js'
import { checkForm } from '../graph/check.js'
import type { Graph } from '../graph/graph.js'
import { Session } from '../runtime/session.js'
import { type FloatTensor, floatTensor } from '../tensor.js'
import { type Batches, checkSource, type FullBatch, fullBatches, sourceOf } from './batches.js'
import type { Evaluation } from './loop.js'
import { exampleDims, singleInput, withLogits } from './network.js'
import { prefetched } from './prefetch.js'

export interface EvaluateOptions {
  /** Default 1. */
  readonly threads?: number
  /** Examples a run; default 64, or the network's batch where that is fixed. */
  readonly batchSize?: number
  /** The value that holds the logits (N×K); default: the graph's first output, before a softmax there. */
  readonly logits?: string
  /** C×H×W of the input, where the graph leaves them open. */
  readonly inputShape?: readonly number[]
  readonly signal?: AbortSignal
}

const optionNames: Names<EvaluateOptions> = { threads: true, batchSize: true, logits: true, inputShape: true, signal: true }

/**
 * Top-1 accuracy and mean softmax cross-entropy of a network over labelled examples, on the plan that inference uses.
 * Throws POLYADIC_ARGUMENT or POLYADIC_SHAPE for data that do not fit, POLYADIC_NUMERIC for logits that are not finite;
 * rejects with `signal.reason` when aborted.
 */
export async function evaluate(graph: Graph, batches: Batches, options: EvaluateOptions = {}): Promise<Evaluation> {
  checkForm(graph)
  checkOptions(options, optionNames)
  const { threads = 1, logits, inputShape, signal } = options
  const input = singleInput(graph)
  const example = exampleDims(input, inputShape)
  const fixed = input.dims?.[0]
  const batchSize = checkInteger('batchSize', options.batchSize ?? (typeof fixed === 'number' ? fixed : 64), 1)
  checkSource('batches', batches, example)
  const source = sourceOf('batches', batches, example, batchSize)
  await using session = await Session.create(withLogits(graph, logits), { threads })
  const run = async (batch: FullBatch): Promise<FloatTensor> => {
    const outputs = await session.run(
      { [input.name]: floatTensor(batch.input, [batchSize, ...example]) },
      signal === undefined ? {} : { signal }
    )
    return Object.values(outputs)[0] as FloatTensor
  }
  // How many classes there are is only known after the first run.
  const layout = { batchSize, example, classes: Infinity, last: 'pad' } as const
  let [loss, correct, count] = [0, 0, 0]
  for await (const batch of prefetched(fullBatches('batches', source(0), layout), signal)) {
    const scored = score(await run(batch), batch)
    loss += scored.loss
    correct += scored.correct
    count += batch.count
  }
  if (count === 0) throw new PolyadicError('POLYADIC_ARGUMENT', 'batches: expected at least one example, got none', { subject: 'batches' })
  return { accuracy: correct / count, loss: loss / count, count }
}

/** Sums over the examples that count. logits: N×K. */
function score(logits: FloatTensor, { target, count }: FullBatch): { loss: number; correct: number } {
  const classes = logits.data.length / target.length
  let [loss, correct] = [0, 0]
  for (let n = 0; n < count; n++) {
    const row = logits.data.subarray(n * classes, (n + 1) * classes)
    const own = row[target[n] as number]
    if (own === undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `batches target: expected a class index from 0 to ${classes - 1}, got ${target[n]}`, {
        subject: 'batches target'
      })
    const best = row.reduce((most, value) => Math.max(most, value), -Infinity)
    const sum = row.reduce((total, value) => total + Math.exp(value - best), 0)
    const exampleLoss = best + Math.log(sum) - own
    if (!Number.isFinite(exampleLoss))
      throw new PolyadicError('POLYADIC_NUMERIC', `the network's logits are not finite (example ${n} of a batch)`, { subject: 'logits' })
    loss += exampleLoss
    if (row.indexOf(best) === target[n]) correct++
  }
  return { loss, correct }
}
