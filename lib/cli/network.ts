import { type ErrorCode, PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { readOnnx } from '../onnx/read.js'
import { halfWeights } from '../replacement/half-weights.js'
import { type Cost, cost } from '../operators/cost.js'
import { isFloating } from '../tensor.js'

/** Reads a network for a command. */
export function loadNetwork(file: string, signal?: AbortSignal): Promise<Graph> {
  return readOnnx(file, signal === undefined ? {} : { signal })
}

/** What `--weights` takes. */
export const weightTypes = ['float32', 'bfloat16', 'float16'] as const

/** The network with its weights stored as `--weights` says; as they are without. */
export function withWeights(graph: Graph, type: (typeof weightTypes)[number] | undefined): Graph {
  return type === undefined || type === 'float32' ? graph : halfWeights(graph, type)
}

/** Multiply-adds of a run and parameters; multiply-adds are unknown where a shape or an operator is. */
export interface Totals {
  readonly parameters: number
  readonly macs: number | undefined
}

export type Shapes = Readonly<Record<string, readonly number[]>>

/** Totals of any network that can be read, also of one that cannot be run. */
export function totals(graph: Graph, shapes: Shapes | undefined): Totals {
  const counted = tryCost(graph, shapes)
  if (!('problem' in counted)) return { parameters: counted.parameters, macs: counted.macs }
  const floats = [...graph.initializers.values()].filter(({ dtype }) => isFloating(dtype))
  return { parameters: floats.reduce((sum, { data }) => sum + data.length, 0), macs: undefined }
}

/** Why something cannot be told. */
export interface Problem {
  readonly problem: string
  readonly code: ErrorCode
}

/** The cost, or why it cannot be told. */
export function tryCost(graph: Graph, shapes: Shapes | undefined): Cost | Problem {
  try {
    return cost(graph, shapes)
  } catch (error) {
    if (!(error instanceof PolyadicError)) throw error
    return { problem: error.message, code: error.code }
  }
}

/** The name of the only input, or `POLYADIC_UNSUPPORTED`. */
export function onlyInput(graph: Graph): string {
  const [input, ...rest] = graph.inputs
  if (input && rest.length === 0) return input.name
  throw new PolyadicError(
    'POLYADIC_UNSUPPORTED',
    `the network has ${graph.inputs.length} inputs (${graph.inputs.map(({ name }) => show(name)).join(', ')}): say which by --input NAME=FILE`
  )
}
