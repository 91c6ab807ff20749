import { PolyadicError, show } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { producers } from '../graph/rewrite.js'
import { checkDims } from '../tensor.js'

/**
 * The graph with one output, the logits: the value named, else the first output; a Softmax or LogSoftmax that makes it is
 * seen through. Throws POLYADIC_ARGUMENT when there is no such value.
 */
export function withLogits(graph: Graph, logits?: string): Graph {
  const known = producers(graph)
  let name = logits ?? graph.outputs[0]?.name ?? ''
  if (!known.has(name))
    throw new PolyadicError('POLYADIC_ARGUMENT', `logits: ${show(name)} is not a value that the network computes`, { subject: 'logits' })
  for (let node = known.get(name); node?.opType === 'Softmax' || node?.opType === 'LogSoftmax'; node = known.get(name)) {
    const [input = ''] = node.inputs
    if (!known.has(input)) break
    name = input
  }
  const info = [...graph.outputs, ...graph.valueInfo].find((value) => value.name === name)
  return { ...graph, outputs: [info ?? { name, dtype: 'float32', dims: undefined }] }
}

/** `withLogits`, and further values of the network as outputs after it. Throws POLYADIC_ARGUMENT for names that no node computes. */
export function withOutputs(graph: Graph, logits: string | undefined, names: readonly string[]): Graph {
  const known = producers(graph)
  const network = withLogits(graph, logits)
  const others = names.map((name) => {
    if (!known.has(name))
      throw new PolyadicError('POLYADIC_ARGUMENT', `features: ${show(name)} is not a value that the network computes`, {
        subject: 'features'
      })
    return (
      [...graph.outputs, ...graph.valueInfo].find((value) => value.name === name) ?? ({ name, dtype: 'float32', dims: undefined } as const)
    )
  })
  return { ...network, outputs: [...network.outputs, ...others] }
}

/** The one input of a network that is trained on examples. Throws POLYADIC_UNSUPPORTED when there are more or none. */
export function singleInput(graph: Graph): ValueInfo {
  const [input, ...others] = graph.inputs
  if (input !== undefined && others.length === 0) return input
  throw new PolyadicError(
    'POLYADIC_UNSUPPORTED',
    `a network with ${graph.inputs.length} inputs (${graph.inputs.map(({ name }) => name).join(', ')}); training and evaluation need exactly one`,
    { subject: 'graph' }
  )
}

/** The dims of one example (C×H×W for images): those given, else the input's own. Throws POLYADIC_ARGUMENT where they stay open. */
export function exampleDims(input: ValueInfo, inputShape: readonly number[] | undefined): readonly number[] {
  if (inputShape !== undefined) checkDims('inputShape', inputShape)
  const dims = inputShape ?? input.dims?.slice(1)
  if (dims !== undefined && dims.length > 0 && dims.every((dim) => typeof dim === 'number' && dim > 0)) return dims as number[]
  const found = input.dims?.map((dim) => dim ?? '?').join('×') ?? 'any rank'
  throw new PolyadicError(
    'POLYADIC_ARGUMENT',
    `inputShape: input ${show(input.name)} is ${found}, say what one example is, such as [3, 224, 224]`,
    { subject: 'inputShape' }
  )
}

/** The graph with any batch: exporters often fix it to 1, which says nothing about training. */
export function withOpenBatch(graph: Graph): Graph {
  const inputs = graph.inputs.map((input) => (input.dims === undefined ? input : { ...input, dims: ['N', ...input.dims.slice(1)] }))
  return { ...graph, inputs }
}
