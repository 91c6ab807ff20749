import { PolyadicError, argumentError, show } from '../errors.js'
import { arrayType, elementCount, fromFloat32, type Tensor, type TensorData } from '../tensor.js'
import type { Compiled, CompiledValue } from './compile.js'
import { readable } from './feeds.js'

/** Tensors that take results, by output name; outputs left out get memory of their own. */
export type ResultMemory = Readonly<Record<string, Tensor>>

/** Where a run leaves one output of its plan. */
interface Place {
  readonly floats: Float32Array
  /** The caller's tensor, when there is one, and whether its elements have to be copied from `floats` afterwards. */
  readonly given: Tensor | undefined
  readonly isCopied: boolean
}

/** The memory of one run's outputs, in the plan's order, and what the caller gets. */
export class Results {
  readonly #compiled: Compiled
  readonly #memory: ResultMemory | undefined
  readonly #places: readonly Place[]

  /**
   * `inputs`: what the run reads. Throws `POLYADIC_ARGUMENT` or `POLYADIC_SHAPE` for a tensor that takes no output of these dims and type,
   * and for memory that is also read or takes another output.
   */
  constructor(compiled: Compiled, memory: ResultMemory | undefined, inputs: readonly Float32Array[]) {
    this.#compiled = compiled
    this.#memory = memory
    if (memory !== undefined) checkMemory(compiled, memory)
    this.#places = compiled.outputs.map((value) => placeOf(value, memory))
    if (memory !== undefined) checkApart(memory, this.#places, inputs)
  }

  /** One array a plan output: filled by the run. */
  get buffers(): readonly Float32Array[] {
    return this.#places.map(({ floats }) => floats)
  }

  /** Every output of `names`, in this order, once the run is over. */
  named(names: readonly string[]): Record<string, Tensor> {
    const { outputs, constants } = this.#compiled
    const computed = new Map(outputs.map((value, i) => [value.name, finished(value, this.#places[i] as Place)]))
    return Object.fromEntries(names.map((name) => [name, computed.get(name) ?? this.#constant(name, constants.get(name) as Tensor)]))
  }

  /** Callers own what they get. */
  #constant(name: string, tensor: Tensor): Tensor {
    const given = this.#memory?.[name]
    if (given === undefined) return { ...tensor, data: tensor.data.slice() }
    fill(given.data, tensor.data)
    return given
  }
}

function placeOf({ name, dims, dtype }: CompiledValue, memory: ResultMemory | undefined): Place {
  const given = memory !== undefined && Object.hasOwn(memory, name) ? memory[name] : undefined
  if (given === undefined) return { floats: unwritten(elementCount(dims)), given, isCopied: false }
  const isDirect = dtype === 'float32' && readable(() => '', dtype, given.data) === given.data
  return { floats: isDirect ? (given.data as Float32Array) : unwritten(elementCount(dims)), given, isCopied: !isDirect }
}

function finished({ dims, dtype }: CompiledValue, { floats, given, isCopied }: Place): Tensor {
  if (given === undefined) return fromFloat32(floats, dims, dtype)
  if (isCopied) fill(given.data, fromFloat32(floats, dims, dtype).data)
  return given
}

function fill(data: TensorData, from: TensorData): void {
  ;(data as Float32Array).set(from as Float32Array)
}

function checkMemory({ outputs, constants }: Compiled, memory: unknown): asserts memory is ResultMemory {
  if (typeof memory !== 'object' || memory === null) throw argumentError('outputs', 'an object of tensors by output name', memory)
  const expected = new Map<string, Pick<Tensor, 'dims' | 'dtype'>>([...outputs.map((value) => [value.name, value] as const), ...constants])
  for (const [name, tensor] of Object.entries(memory as Record<string, Tensor>)) {
    const output = expected.get(name)
    if (output === undefined) {
      const names = [...expected.keys()].map(show).join(', ')
      throw argumentError('outputs', `names of outputs (${names})`, name)
    }
    checkTensor(name, output, tensor)
  }
}

function checkTensor(name: string, { dims, dtype }: Pick<Tensor, 'dims' | 'dtype'>, tensor: Tensor): void {
  const subject = `output ${show(name)}`
  if (typeof tensor !== 'object' || tensor === null) throw argumentError(subject, 'a tensor { dtype, dims, data }', tensor)
  const isSame = Array.isArray(tensor.dims) && tensor.dims.length === dims.length && dims.every((dim, axis) => dim === tensor.dims[axis])
  if (tensor.dtype !== dtype || !isSame) {
    const message = `${subject}: expected memory for ${dtype} ${dims.join('×')}, got ${show(tensor.dtype)} ${show(tensor.dims)}`
    throw new PolyadicError('POLYADIC_SHAPE', message, { subject: name })
  }
  const { data } = tensor
  if (!ArrayBuffer.isView(data) || (data as TensorData & { [Symbol.toStringTag]?: string })[Symbol.toStringTag] !== arrayType(dtype).name)
    throw argumentError(`${subject}: data`, `of type ${arrayType(dtype).name}`, data)
  if (data.length === elementCount(dims)) return
  const message = `${subject}: dims ${show(dims)} hold ${elementCount(dims)} elements, data has ${data.length}`
  throw new PolyadicError('POLYADIC_SHAPE', message, { subject: name })
}

/** Results are written while inputs are still read, and in an order that is not fixed. */
function checkApart(memory: ResultMemory, places: readonly Place[], inputs: readonly Float32Array[]): void {
  const taken: { readonly data: TensorData; readonly what: string }[] = inputs.map((data) => ({ data, what: 'an input' }))
  const written = places.flatMap(({ given, floats, isCopied }) => (given === undefined || isCopied ? [] : [floats]))
  for (const [name, { data }] of Object.entries(memory)) {
    const other = taken.find((one) => (written.includes(data as Float32Array) || one.what !== 'an input') && overlap(one.data, data))
    if (other !== undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `output ${show(name)}: its memory is also that of ${other.what}`, { subject: name })
    taken.push({ data, what: `output ${show(name)}` })
  }
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
