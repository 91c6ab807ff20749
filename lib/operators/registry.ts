import { PolyadicError, show } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { activations } from './activation.js'
import { concats } from './concat.js'
import { convolutions } from './convolution.js'
import { elementwise } from './elementwise.js'
import { matrixProducts } from './gemm.js'
import { normalisations } from './normalisation.js'
import { type Operator, newestOpset, nodeTitle } from './operator.js'
import { pads } from './pad.js'
import { passings } from './passing.js'
import { pools } from './pooling.js'
import { quantizations } from './quantization.js'
import { reductions } from './reduction.js'
import { reshapes } from './reshaping.js'
import { shapeArithmetic } from './shape-arithmetic.js'
import { slices } from './slicing.js'
import { softmaxes } from './softmax.js'

/** Every operator of the ONNX domain that polyadic runs. */
export const operators: ReadonlyMap<string, Operator> = new Map(
  [
    ...convolutions,
    ...matrixProducts,
    ...activations,
    ...pools,
    ...normalisations,
    ...elementwise,
    ...reductions,
    ...softmaxes,
    ...concats,
    ...reshapes,
    ...slices,
    ...pads,
    ...passings,
    ...quantizations,
    ...shapeArithmetic
  ].map((operator) => [operator.opType, operator])
)

/** The definition of a node's operator. Throws `POLYADIC_UNSUPPORTED` naming node, operator and opset when there is none. */
export function operatorOf(node: Node, opsets: Graph['opsets']): { readonly operator: Operator; readonly opset: number } {
  const opset = opsets.get('') ?? newestOpset
  const fail = (reason: string): never => {
    throw new PolyadicError('POLYADIC_UNSUPPORTED', reason, { subject: node.name })
  }
  if (node.domain !== '') {
    const version = opsets.get(node.domain)
    return fail(`${nodeTitle({ node })}: operators of the domain ${show(node.domain)} (version ${version ?? 'unknown'}) are not supported`)
  }
  const operator = operators.get(node.opType)
  const title = nodeTitle({ node, opset })
  if (operator === undefined)
    return fail(`${title}: this operator is not supported; supported are ${[...operators.keys()].sort().join(', ')}`)
  const [first, last] = operator.opsets
  if (opset >= first && opset <= last) return { operator, opset }
  return fail(`${title}: opsets ${first} to ${last} of this operator are supported; convert the model to one of them`)
}
