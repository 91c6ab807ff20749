import { checkRecord } from '../arguments.js'
import { PolyadicError, argumentError, show } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { checkInputNames, showDims } from '../operators/infer.js'
import {
  areDims,
  arrayType,
  checkDims,
  type DataType,
  elementCount,
  type Tensor,
  type TensorData,
  toFloat32,
  wrongCount
} from '../tensor.js'
import { own } from '../own.js'

/** One tensor an input by name, or the tensor itself for a network with one input. */
export type Feeds = Readonly<Record<string, Tensor>> | Tensor

/** A feed whose type and shape fit the network. */
export interface CheckedFeed {
  readonly name: string
  readonly tensor: Tensor
  /** Its elements as a plan takes them, in memory that native code may read. */
  readonly floats: Float32Array
}

/**
 * The graph's inputs in their order, each with memory that holds what its dims say. Whether the dims fit the graph is not looked at here: a plan
 * for them exists already, or is made and checks them. Throws `POLYADIC_SHAPE` or `POLYADIC_ARGUMENT` naming the input, what is expected and
 * what came.
 */
export function checkFeeds(graph: Graph, feeds: Feeds): CheckedFeed[] {
  const named = byName(graph, feeds)
  checkInputNames(graph, Object.keys(named))
  return graph.inputs.map((input) => {
    const tensor = own(named, input.name)
    if (tensor === undefined)
      throw new PolyadicError('POLYADIC_SHAPE', `input ${show(input.name)}: expected ${showDims(input)}, got nothing`, {
        subject: input.name
      })
    return checkFeed(input, tensor)
  })
}

function byName(graph: Graph, feeds: Feeds): Readonly<Record<string, Tensor>> {
  checkRecord('feeds', feeds, 'a tensor, or an object of tensors by input name')
  if (!isTensor(feeds)) return feeds
  const [input, ...others] = graph.inputs
  if (input !== undefined && others.length === 0) return { [input.name]: feeds }
  throw argumentError(
    'feeds',
    `an object of tensors by name (the inputs are ${graph.inputs.map(({ name }) => show(name)).join(', ')})`,
    feeds
  )
}

function isTensor(value: object): value is Tensor {
  return 'dtype' in value && typeof value.dtype === 'string' && 'data' in value && 'dims' in value
}

function checkFeed({ name, dtype }: ValueInfo, tensor: Tensor): CheckedFeed {
  // Texts for errors are made only where there is one: this is on the way of every run.
  const subject = (): string => `input ${show(name)}`
  if (typeof tensor !== 'object' || tensor === null || tensor.dtype === undefined)
    throw argumentError(subject(), 'a tensor { dtype, dims, data }, as floatTensor(data, dims) makes one', tensor)
  if (tensor.dtype !== dtype)
    throw new PolyadicError('POLYADIC_SHAPE', `${subject()}: expected ${dtype}, got ${show(tensor.dtype)}`, { subject: name })
  if (!areDims(tensor.dims)) checkDims(`${subject()}: dims`, tensor.dims)
  const data = readable(subject, dtype, tensor.data)
  const count = elementCount(tensor.dims)
  if (data.length === count) {
    const checked = { dtype, dims: tensor.dims, data }
    return { name, tensor: checked, floats: toFloat32(checked, name) }
  }
  const hint = data.length === 0 ? ' (its memory was transferred away, or its buffer made smaller)' : ''
  throw wrongCount(subject(), tensor.dims, data.length, name, hint)
}

/**
 * The elements as memory that stays where it is while native code reads it: a copy where it is shared or resizable, or where the array is of
 * another realm (a vm context, a test runner) or a subclass.
 */
export function readable(subject: () => string, dtype: DataType, data: unknown): TensorData {
  const type = arrayType(dtype)
  if (!ArrayBuffer.isView(data) || !(Symbol.toStringTag in data) || data[Symbol.toStringTag] !== type.name) {
    throw argumentError(`${subject()}: data`, `${/^[AEIOU]/.test(type.name) ? 'an' : 'a'} ${type.name}`, data)
  }
  const array = data as TensorData
  const buffer = array.buffer as ArrayBufferLike & { readonly resizable?: boolean }
  const isOurs = Object.getPrototypeOf(array) === type.prototype && Object.getPrototypeOf(buffer) === ArrayBuffer.prototype
  if (isOurs && buffer.resizable !== true) return array
  // Of a view that its buffer no longer holds there is no copy.
  return new (type as Float32ArrayConstructor)(array.length === 0 ? [] : (array as Float32Array))
}
