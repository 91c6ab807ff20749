import type { Graph } from '../graph/graph.js'
import type { NativeTrainer } from '../native/binding.js'
import type { NamePattern, ParameterSources } from './parameters.js'

/** What has to be said to make a network trainable. */
export interface TrainingShape {
  readonly batchSize: number
  readonly threads: number | undefined
  readonly logits: string | undefined
  readonly inputShape: readonly number[] | undefined
  readonly frozen: readonly NamePattern[] | undefined
}

/** A trainer in native memory (close it), and what its parameters stand for. */
export interface Training {
  readonly trainer: NativeTrainer
  readonly parameters: ParameterSources
  /** Factor on each parameter's learning rate; 0 for what is frozen. */
  readonly rateScale: Float32Array
  /** C·H·W. */
  readonly exampleSize: number
  readonly classes: number
}

export type PrepareTraining = (graph: Graph, shape: TrainingShape) => Training

export const prepareTraining: PrepareTraining = () => { throw new Error('pending') }
