import { PolyadicError, show } from '../errors.js'
import { encodeBfloat16, encodeFloat16 } from '../float16.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { isFixed, showDims } from '../operators/infer.js'
import { arrayType, type DataType, elementCount, type Tensor } from '../tensor.js'
import { list } from './arguments.js'
import { type Arguments, UsageError } from './command.js'

/** By input; `''` is the only one. */
export type GivenShapes = ReadonlyMap<string, readonly number[]>

/** `--shape image=1x3x224x224`, or just `1x3x224x224` for the only input. The first number, the batch, may be left out. */
export function shapeOptions(args: Arguments): GivenShapes {
  const shapes = new Map<string, readonly number[]>()
  for (const item of list(args, 'shape')) {
    const at = item.lastIndexOf('=')
    const dims = item
      .slice(at + 1)
      .split(/[x×,]/)
      .map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN))
    if (!dims.every((dim) => Number.isSafeInteger(dim) && dim > 0))
      throw new UsageError(`--shape: expected CxHxW or NxCxHxW, or NAME=… of an input, as in image=1x3x224x224, got ${show(item)}`)
    const name = at < 0 ? '' : item.slice(0, at)
    if (shapes.has(name)) throw new UsageError(`--shape: ${name === '' ? 'one shape' : `input ${show(name)}`} is given twice`)
    shapes.set(name, dims)
  }
  return shapes
}

/** A usage error for a shape of an input that none of `graphs` has. */
export function checkShapeNames(given: GivenShapes, graphs: readonly Graph[]): void {
  for (const name of given.keys()) {
    if (graphs.some(({ inputs }) => (name === '' ? inputs.length === 1 : inputs.some((input) => input.name === name)))) continue
    const names = [...new Set(graphs.flatMap(({ inputs }) => inputs.map((input) => input.name)))].join(', ')
    throw new UsageError(`--shape: ${name === '' ? 'name the input, there are several' : `there is no input ${show(name)}`}: ${names}`)
  }
}

/**
 * A concrete shape for every input: open first dimensions become `batch` or 1; any other open dimension must be given by `--shape`. Usage
 * errors for shapes that do not fit the network's, and for a batch that no input can have or that a shape contradicts.
 */
export function concreteShapes(graph: Graph, given: GivenShapes, batch?: number): Record<string, readonly number[]> {
  const shapes = graph.inputs.map((input) => [input.name, concreteShape(input, givenTo(graph, input, given), batch)] as const)
  if (batch !== undefined && !shapes.some(([, dims]) => dims[0] === batch)) {
    const fixed = graph.inputs.map((input) => `${show(input.name)} is ${showDims(input)}`).join(', ')
    throw new UsageError(`--batch: the network's batch is fixed, it cannot be run with ${batch} (input ${fixed})`)
  }
  return Object.fromEntries(shapes)
}

function givenTo(graph: Graph, input: ValueInfo, given: GivenShapes): readonly number[] | undefined {
  return given.get(input.name) ?? (graph.inputs.length === 1 ? given.get('') : undefined)
}

function concreteShape(input: ValueInfo, given: readonly number[] | undefined, batch: number | undefined): readonly number[] {
  if (given !== undefined) return fittedShape(input, given, batch)
  const dims = input.dims?.map((dim, axis) => (isFixed(dim) ? dim : axis === 0 ? (batch ?? 1) : undefined))
  if (dims?.every((dim) => dim !== undefined)) return dims
  throw new PolyadicError('POLYADIC_ARGUMENT', openInput(input), { subject: input.name })
}

/** That the network does not say how large an input is, and how to. */
export function openInput(input: ValueInfo): string {
  const some = input.dims?.map((dim, axis) => (isFixed(dim) ? dim : axis === 0 ? 1 : input.dims?.length === 4 ? 224 : 16)).join('x')
  return `input ${show(input.name)} has no fixed shape (${showDims(input)}): give it by --shape, as in --shape ${input.name}=${some ?? '1x3x224x224'}`
}

function fittedShape(input: ValueInfo, given: readonly number[], batch: number | undefined): readonly number[] {
  const { dims } = input
  const isExample = dims !== undefined && dims.length > 1 && given.length === dims.length - 1
  const own = dims?.[0] ?? null
  const whole = isExample ? [isFixed(own) ? own : (batch ?? 1), ...given] : given
  if (dims !== undefined && !(whole.length === dims.length && dims.every((dim, axis) => !isFixed(dim) || dim === whole[axis])))
    throw new UsageError(`--shape: input ${show(input.name)} is ${showDims(input)}, got ${given.join('×')}`)
  if (batch !== undefined && !isFixed(own) && whole[0] !== batch)
    throw new UsageError(`--batch ${batch} and --shape ${given.join('x')} contradict each other: give one of them`)
  return whole
}

/**
 * What `--shape` says of one example of the only input, without the batch; `undefined` where it says nothing. `unknownRank`: what a shape is of an
 * input of which the network does not even say how many axes it has.
 */
export function exampleShape(graph: Graph, given: GivenShapes, unknownRank: 'example' | 'batch' = 'batch'): readonly number[] | undefined {
  const [input] = graph.inputs
  const shape = input && givenTo(graph, input, given)
  if (input === undefined || shape === undefined) return undefined
  if (input.dims === undefined) return unknownRank === 'example' ? shape : shape.slice(1)
  return fittedShape(input, shape, undefined).slice(1)
}

/** As `concreteShapes`, but `undefined` where dimensions are open and nothing else is wrong. */
export function knownShapes(graph: Graph, given: GivenShapes): Record<string, readonly number[]> | undefined {
  try {
    return concreteShapes(graph, given)
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_ARGUMENT') return undefined
    throw error
  }
}

/**
 * Inputs of these shapes in the types that the network declares, the same on every run: floating-point numbers are standard normal, bytes and
 * 16-bit integers of the size of a byte; larger integers are 1 and booleans true, as they may be indices, sizes or masks.
 */
export function randomInputs(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Record<string, Tensor> {
  let state = 1
  // Lehmer's generator; twelve uniform values make one that is nearly normal.
  const unit = (): number => (state = (state * 48271) % 2147483647) / 2147483647
  const normal = (): number => Array.from({ length: 12 }, unit).reduce((sum, value) => sum + value, -6)
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype }): [string, Tensor] => {
      const dims = shapes[name] ?? []
      const data = new (arrayType(dtype))(elementCount(dims))
      const draw = generatorOf(dtype, unit, normal)
      for (let i = 0; i < data.length; i++) data[i] = draw()
      return [name, { dtype, dims, data }]
    })
  )
}

function generatorOf(dtype: DataType, unit: () => number, normal: () => number): () => number | bigint {
  switch (dtype) {
    case 'float32':
    case 'float64':
      return normal
    case 'float16':
      return () => encodeFloat16(normal())
    case 'bfloat16':
      return () => encodeBfloat16(normal())
    case 'int8':
    case 'int16':
      return () => Math.floor(256 * unit()) - 128
    case 'uint8':
    case 'uint16':
      return () => Math.floor(256 * unit())
    case 'int64':
    case 'uint64':
      return () => 1n
    default:
      return () => 1
  }
}

/** `N×1×24×24`; `?` for what is not known. */
export function formatDims(dims: readonly (number | string | null)[] | undefined): string {
  return dims === undefined ? '?' : dims.length === 0 ? 'scalar' : dims.map((dim) => dim ?? '?').join('×')
}
