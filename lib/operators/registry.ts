import { PolyadicError, show } from '../errors.js'
import type { Graph, Node } from '../graph/graph.js'
import { activations } from './activation.js'
import { casts } from './casting.js'
import { concats } from './concat.js'
import { transposedConvolutions } from './conv-transpose.js'
import { controlFlow } from './control-flow.js'
import { convolutions } from './convolution.js'
import { copies } from './copying.js'
import { einsums } from './einsum.js'
import { elementwise } from './elementwise.js'
import { spectra } from './fourier.js'
import { gathers } from './gathering.js'
import { matrixProducts } from './gemm.js'
import { gridSamples } from './grid-sample.js'
import { normalisations } from './normalisation.js'
import { type Operator, newestOpset, nodeTitle } from './operator.js'
import { pads } from './pad.js'
import { passings } from './passing.js'
import { pools } from './pooling.js'
import { quantisations } from './quantisation.js'
import { recurrences } from './recurrent.js'
import { reductions } from './reduction.js'
import { reshapes } from './reshaping.js'
import { resizes } from './resizing.js'
import { shapeArithmetic } from './shape-arithmetic.js'
import { slices } from './slicing.js'
import { softmaxes } from './softmax.js'
import { unaries } from './unary.js'

/** Every operator of the ONNX domain that polyadic runs. */
export const operators: ReadonlyMap<string, Operator> = new Map(
  [
    ...convolutions,
    ...transposedConvolutions,
    ...matrixProducts,
    ...einsums,
    ...activations,
    ...unaries,
    ...pools,
    ...normalisations,
    ...elementwise,
    ...reductions,
    ...softmaxes,
    ...concats,
    ...reshapes,
    ...slices,
    ...copies,
    ...gathers,
    ...pads,
    ...resizes,
    ...gridSamples,
    ...spectra,
    ...recurrences,
    ...quantisations,
    ...passings,
    ...casts,
    ...controlFlow,
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
