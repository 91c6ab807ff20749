// What tuning and training from scratch share.

import { existsSync } from 'node:fs'
import { type FineTuneOptions, type FineTuneResult, fineTune, type Graph } from '../../lib/index.js'
import type { CellContext } from '../framework/experiment.js'

/** A fraction in percent, to three decimals. */
export function percent(fraction: number): number {
  return Math.round(fraction * 1e5) / 1e3
}

/** Accuracies on the validation set in percent: before the first epoch and after each. */
export function validationAccuracies({ initial, history }: FineTuneResult): number[] {
  return [initial, ...history.map(({ validation }) => validation)].map((one) => percent(one?.accuracy ?? Number.NaN))
}

/** Fine-tunes on one thread; an interrupted run goes on from its checkpoint. `stage` is what progress calls it. */
export function fineTuneResumably(
  graph: Graph,
  options: Omit<FineTuneOptions, 'threads' | 'checkpoint' | 'signal' | 'onProgress'>,
  stage: string,
  context: CellContext
): Promise<FineTuneResult> {
  const checkpoint = context.scratch('checkpoint')
  return fineTune(graph, {
    ...options,
    threads: 1,
    checkpoint: { path: checkpoint, resume: existsSync(checkpoint) },
    signal: context.signal,
    onProgress: ({ epoch, step, steps, loss }) =>
      context.progress.update(stage, step, steps ?? step, `epoch ${epoch}, loss ${loss.toFixed(3)}`)
  })
}
