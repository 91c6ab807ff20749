import { readFile } from 'node:fs/promises'
import { PolyadicError } from '../../../lib/errors.js'
import { calledFunction } from '../../../lib/graph/body.js'
import type { Graph, ValueInfo } from '../../../lib/graph/graph.js'
import { decodeOnnx } from '../../../lib/onnx/read.js'
import { operatorOf } from '../../../lib/operators/registry.js'
import { Session } from '../../../lib/runtime/session.js'
import { toFloat32, type Tensor } from '../../../lib/tensor.js'
import { type BackendTest, type DataSet, modelFile, readDataSets } from './cases.js'

/** What came of a test. `reason`: the operator that is not there, or what differs. */
export interface Outcome {
  readonly test: BackendTest
  readonly result: 'passed' | 'out of scope' | 'refused' | 'failed'
  readonly reason: string
}

/** Tests whose numbers are not those of the specification computed in float32, and why. */
const deviations: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^cast(like)?_FLOAT_to_BFLOAT16/, 'data of 1.12 cuts bits off; the specification and later data round to nearest'],
  [/^dft_inverse/, 'imaginary parts cancel: what the data has there are rounding errors larger than the tolerance, polyadic has 1e-15'],
  [/_bf16_expanded$/, 'every step is rounded to bfloat16 there, which is coarser than the tolerance; polyadic rounds the result']
]

/** The tolerances of ONNX's own runner. */
const relative = 1e-3
const absolute = 1e-7

export async function runTest(test: BackendTest): Promise<Outcome> {
  const outcome = (result: Outcome['result'], reason = ''): Outcome => ({ test, result, reason })
  try {
    const bytes = await readFile(modelFile(test))
    const graph = decodeOnnx(new Uint8Array(bytes))
    const missing = outOfScope(graph)
    if (missing !== undefined) return outcome('out of scope', missing)
    const difference = await differences(graph, await readDataSets(test, graph))
    if (difference === undefined) return outcome('passed')
    const known = deviations.find(([pattern]) => pattern.test(test.name))?.[1]
    return known === undefined ? outcome('failed', difference) : outcome('refused', known)
  } catch (error) {
    if (!(error instanceof PolyadicError)) return outcome('failed', String((error as Error).stack))
    return outcome(error.code === 'POLYADIC_UNSUPPORTED' ? 'refused' : 'failed', `${error.code}: ${error.message}`)
  }
}

/** The first operator that polyadic does not have, or a value that is no tensor of numbers. */
function outOfScope(graph: Graph): string | undefined {
  if ([...graph.inputs, ...graph.outputs].some((value) => value.opaque)) return 'values that are no tensors of numbers'
  for (const node of graph.nodes) {
    if (calledFunction(graph, node) !== undefined) continue
    try {
      operatorOf(node, graph.opsets)
    } catch {
      return `${node.domain === '' ? '' : `${node.domain}.`}${node.opType}`
    }
  }
  return undefined
}

/** Declared shapes that the data contradicts (of CastLike's second input, in 1.12) are left open. */
function withShapesOf(graph: Graph, { inputs }: DataSet): Graph {
  const contradicts = ({ dims }: ValueInfo, tensor: Tensor | undefined): boolean =>
    dims !== undefined &&
    tensor !== undefined &&
    (dims.length !== tensor.dims.length || dims.some((dim, i) => Number(dim) !== tensor.dims[i]))
  return { ...graph, inputs: graph.inputs.map((info, i) => (contradicts(info, inputs[i]) ? { ...info, dims: undefined } : info)) }
}

async function differences(graph: Graph, sets: readonly DataSet[]): Promise<string | undefined> {
  if (sets.length === 0) return 'no data'
  await using session = await Session.create(withShapesOf(graph, sets[0] as DataSet))
  for (const { inputs, outputs } of sets) {
    const feeds = Object.fromEntries(graph.inputs.map((info, i) => [info.name, asDeclared(inputs[i] as Tensor, info)]))
    const results = await session.run(feeds)
    for (const [i, info] of graph.outputs.entries()) {
      const { name } = info
      const expected = outputs[i]
      if (expected === undefined) return `output ${name}: what is expected cannot be read`
      const difference = compare(results[name] as Tensor, asDeclared(expected, info))
      if (difference !== undefined) return `output ${name}: ${difference}`
    }
  }
  return undefined
}

/** The suite keeps bfloat16 as the uint16 of its bits, as NumPy has no such type. */
function asDeclared(tensor: Tensor, { dtype }: ValueInfo): Tensor {
  return dtype === 'bfloat16' && tensor?.dtype === 'uint16' ? { ...tensor, dtype } : tensor
}

function compare(actual: Tensor, expected: Tensor): string | undefined {
  if (actual.dtype !== expected.dtype) return `type ${actual.dtype}, expected ${expected.dtype}`
  if (actual.dims.join() !== expected.dims.join()) return `shape [${actual.dims}], expected [${expected.dims}]`
  const [a, b] = [numbers(actual), numbers(expected)]
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number]
    if (Object.is(x, y) || x === y || (Number.isNaN(x) && Number.isNaN(y))) continue
    if (!(Math.abs(x - y) <= absolute + relative * Math.abs(y))) return `element ${i} is ${x}, expected ${y}`
  }
  return undefined
}

function numbers(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype === 'float16' || tensor.dtype === 'bfloat16') return toFloat32(tensor, tensor.dtype)
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number)
}
