import { PolyadicError, argumentError, show } from '../errors.js'
import { own } from '../own.js'
import { arrayType, elementCount, fromFloat32, isDataOf, type Tensor, type TensorData, wrongCount } from '../tensor.js'
import type { Compiled } from './compile.js'
import { readable } from './feeds.js'

/** Tensors that take results, by output name; outputs left out get memory of their own. */
export type ResultMemory = Readonly<Record<string, Tensor>>

/** What a plan's results are, by output name: made once a plan, as it is on the way of every run. */
export type ResultKinds = ReadonlyMap<string, ResultKind>

interface ResultKind extends Pick<Tensor, 'dims' | 'dtype'> {
  /** Of elements. */
  readonly count: number
  /** Of an output that follows from shapes and constants: what it is. The others are outputs of the plan, and come first, in its order. */
  readonly constant?: Tensor
}

export function resultKinds({ outputs, constants }: Compiled): ResultKinds {
  return new Map<string, ResultKind>([
    ...outputs.map(({ name, dims, dtype }) => [name, { dims, dtype, count: elementCount(dims) }] as const),
    ...[...constants].map(([name, constant]) => {
      const { dims, dtype } = constant
      return [name, { dims, dtype, count: elementCount(dims), constant }] as const
    })
  ])
}

/** Where a run leaves one output of its plan. */
interface Place {
  readonly floats: Float32Array
  /** The caller's tensor, when there is one, and whether its elements have to be copied from `floats` afterwards. */
  readonly given: Tensor | undefined
  readonly isCopied: boolean
}

/** The memory of one run's outputs, in the plan's order, and what the caller gets. */
export class Results {
  /** One array a plan output: filled by the run. */
  readonly buffers: readonly Float32Array[]
  readonly #kinds: ResultKinds
  readonly #memory: ResultMemory | undefined
  readonly #places = new Map<string, Place>()

  /**
   * `inputs`: what the run reads. Throws `POLYADIC_ARGUMENT` or `POLYADIC_SHAPE` for a tensor that takes no output of these dims and type,
   * and for memory that is also read or takes another output.
   */
  constructor(kinds: ResultKinds, memory: ResultMemory | undefined, inputs: readonly Float32Array[]) {
    this.#kinds = kinds
    this.#memory = memory
    if (memory !== undefined) checkMemory(kinds, memory)
    const buffers: Float32Array[] = []
    for (const [name, kind] of kinds) {
      if (kind.constant !== undefined) break
      const place = placeOf(kind, memory === undefined ? undefined : own(memory, name))
      this.#places.set(name, place)
      buffers.push(place.floats)
    }
    this.buffers = buffers
    if (memory !== undefined) checkApart(memory, this.#places, inputs)
  }

  /** Every output of `names`, in this order, once the run is over. */
  named(names: readonly string[]): Record<string, Tensor> {
    return Object.fromEntries(names.map((name) => [name, this.#result(name)]))
  }

  #result(name: string): Tensor {
    const kind = this.#kinds.get(name) as ResultKind
    return kind.constant === undefined ? finished(kind, this.#places.get(name) as Place) : this.#constant(name, kind.constant)
  }

  /** Callers own what they get. */
  #constant(name: string, tensor: Tensor): Tensor {
    const given = this.#memory && own(this.#memory, name)
    if (given === undefined) return { ...tensor, data: tensor.data.slice() }
    fill(given.data, tensor.data)
    return given
  }
}

function placeOf({ dtype, count }: ResultKind, given: Tensor | undefined): Place {
  if (given === undefined) return { floats: unwritten(count), given, isCopied: false }
  const isDirect = dtype === 'float32' && readable(() => '', dtype, given.data) === given.data
  return { floats: isDirect ? (given.data as Float32Array) : unwritten(count), given, isCopied: !isDirect }
}

function finished({ dims, dtype }: ResultKind, { floats, given, isCopied }: Place): Tensor {
  if (given === undefined) return fromFloat32(floats, dims, dtype)
  if (isCopied) fill(given.data, fromFloat32(floats, dims, dtype).data)
  return given
}

function fill(data: TensorData, from: TensorData): void {
  ;(data as Float32Array).set(from as Float32Array)
}

function checkMemory(kinds: ResultKinds, memory: unknown): asserts memory is ResultMemory {
  if (typeof memory !== 'object' || memory === null) throw argumentError('outputs', 'an object of tensors by output name', memory)
  for (const name of Object.keys(memory)) {
    const kind = kinds.get(name)
    if (kind === undefined) throw argumentError('outputs', `names of outputs (${[...kinds.keys()].map(show).join(', ')})`, name)
    checkTensor(name, kind, (memory as Record<string, Tensor>)[name] as Tensor)
  }
}

function checkTensor(name: string, { dims, dtype, count }: ResultKind, tensor: Tensor): void {
  // Texts for errors are made only where there is one: this is on the way of every run.
  const subject = (): string => `output ${show(name)}`
  if (typeof tensor !== 'object' || tensor === null) throw argumentError(subject(), 'a tensor { dtype, dims, data }', tensor)
  const isSame = Array.isArray(tensor.dims) && tensor.dims.length === dims.length && dims.every((dim, axis) => dim === tensor.dims[axis])
  if (tensor.dtype !== dtype || !isSame) {
    const message = `${subject()}: expected memory for ${dtype} ${dims.join('×')}, got ${show(tensor.dtype)} ${show(tensor.dims)}`
    throw new PolyadicError('POLYADIC_SHAPE', message, { subject: name })
  }
  const { data } = tensor
  if (!isDataOf(dtype, data)) throw argumentError(`${subject()}: data`, `of type ${arrayType(dtype).name}`, data)
  if (data.length === count) return
  throw wrongCount(subject(), dims, data.length, name)
}

/** Results are written while inputs are still read, and in an order that is not fixed. */
function checkApart(memory: ResultMemory, places: ReadonlyMap<string, Place>, inputs: readonly Float32Array[]): void {
  const before: string[] = []
  for (const name of Object.keys(memory)) {
    const { data } = memory[name] as Tensor
    // What is copied, or is a constant, is written when the run is over.
    const isWritten = places.get(name)?.isCopied === false
    if (isWritten && inputs.some((input) => overlap(input, data))) throw sharedMemory(name, 'an input')
    const other = before.find((one) => overlap((memory[one] as Tensor).data, data))
    if (other !== undefined) throw sharedMemory(name, `output ${show(other)}`)
    before.push(name)
  }
}

function sharedMemory(name: string, of: string): PolyadicError {
  return new PolyadicError('POLYADIC_ARGUMENT', `output ${show(name)}: its memory is also that of ${of}`, { subject: name })
}

function overlap(a: TensorData, b: TensorData): boolean {
  if (a.buffer !== b.buffer) return false
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength
}

/** Memory that a run fills: not zeroed first, which would cost as much as writing the result. It is the array's own and can be transferred. */
function unwritten(count: number): Float32Array {
  const bytes = Buffer.allocUnsafeSlow(count * Float32Array.BYTES_PER_ELEMENT)
  return new Float32Array(bytes.buffer, bytes.byteOffset, count)
}
