import { PolyadicError } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { native } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'
import type { AnalysedNode, Evaluate } from '../operators/infer.js'
import { maximumFolded } from '../operators/operator.js'
import { type DataType, elementCount, fromFloat32, type Tensor, type TensorData } from '../tensor.js'
import { compact } from './draft.js'
import { DraftWriter } from './plan-writer.js'

interface Known {
  readonly inputs: readonly (TensorData | undefined)[]
  readonly results: readonly Tensor[]
}

/** Results by node: plans of other input shapes find them again. */
const known = new WeakMap<Node, Known>()

const emptyGraph: Graph = {
  name: 'constants',
  inputs: [],
  outputs: [],
  nodes: [],
  initializers: new Map(),
  valueInfo: [],
  opsets: new Map(),
  metadata: new Map(),
  docString: ''
}

/** A node over constants, computed by a plan of its own: weights that are dequantised or made from others, tables of positions. */
export const evaluate: Evaluate = (analysed, dtypes) => {
  const { node, context } = analysed
  if (analysed.outputDims.some((dims) => elementCount(dims) > maximumFolded)) return undefined
  const inputs = context.inputs.map((input) => input?.constant?.data)
  const before = known.get(node)
  if (before !== undefined && before.inputs.length === inputs.length && before.inputs.every((data, i) => data === inputs[i]))
    return before.results
  try {
    const results = compute(analysed, dtypes)
    known.set(node, { inputs, results })
    return results
  } catch (error) {
    // Numbers that float32 does not hold: the node stays in the plan, and says so if something needs it.
    if (error instanceof PolyadicError && error.code === 'POLYADIC_UNSUPPORTED') return undefined
    throw error
  }
}

function compute({ node, operator, context, outputDims }: AnalysedNode, dtypes: readonly DataType[]): readonly Tensor[] {
  const constants = new Map(
    context.inputs.flatMap((input): [string, Tensor][] => (input?.constant === undefined ? [] : [[input.name, input.constant]]))
  )
  const dims = new Map(node.outputs.map((name, i) => [name, outputDims[i] ?? []]))
  const writer = new DraftWriter(emptyGraph, { nodes: [], dims, dtypes: new Map(), constants }, undefined)
  writer.write({ node, operator, context, outputDims })
  const names = node.outputs.filter((name, i) => name !== '' && outputDims[i] !== undefined)
  const { values, steps, parameters, outputs } = compact(writer.draft(names.map((name) => writer.output(name))))
  const plan = fromNative(() => native().createPlan({ threads: 1, training: false, values, steps, parameters, inputs: [], outputs }))
  const results = names.map((name) => new Float32Array(elementCount(dims.get(name) ?? [])))
  try {
    fromNative(() => plan.runSync([], results))
  } finally {
    plan.close()
  }
  return node.outputs.map((name, i) =>
    fromFloat32(results[names.indexOf(name)] ?? new Float32Array(0), dims.get(name) ?? [], dtypes[i] ?? 'float32')
  )
}
