import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { elementCount, type FloatTensor, floatTensor } from '../tensor.js'
import { list } from './arguments.js'
import { type Arguments, UsageError } from './command.js'

/** `--shape image=1x3x224x224`, or just `1x3x224x224` for the only input. */
export function shapeOptions(args: Arguments): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>()
  for (const item of list(args, 'shape')) {
    const at = item.lastIndexOf('=')
    const dims = item
      .slice(at + 1)
      .split(/[x×,]/)
      .map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN))
    if (!dims.every((dim) => Number.isSafeInteger(dim) && dim > 0))
      throw new UsageError(`--shape: expected NAME=1x3x224x224, got ${show(item)}`)
    shapes.set(at < 0 ? '' : item.slice(0, at), dims)
  }
  return shapes
}

/**
 * A concrete shape for every input: open first dimensions become `batch`; any other open dimension must be given by `--shape`
 * (where a batch is given as well, `batch` replaces the first number).
 */
export function concreteShapes(
  graph: Graph,
  given: ReadonlyMap<string, readonly number[]>,
  batch?: number
): Record<string, readonly number[]> {
  for (const name of given.keys()) {
    if (name === '' ? graph.inputs.length !== 1 : !graph.inputs.some((input) => input.name === name)) {
      throw new UsageError(
        `--shape: ${name === '' ? 'name the input, there are several' : `there is no input ${show(name)}`}: ${graph.inputs.map((input) => input.name).join(', ')}`
      )
    }
  }
  return Object.fromEntries(
    graph.inputs.map((input) => {
      const own = given.get(input.name) ?? given.get('')
      const dims = own ?? input.dims?.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : undefined))
      if (dims === undefined || dims.includes(undefined as never)) {
        throw new PolyadicError(
          'POLYADIC_ARGUMENT',
          `input ${show(input.name)} has no fixed shape (${formatDims(input.dims)}): give it by --shape ${input.name}=1x3x224x224`,
          { subject: input.name }
        )
      }
      const open = typeof input.dims?.[0] !== 'number'
      return [input.name, batch !== undefined && open ? [batch, ...(dims as number[]).slice(1)] : (dims as number[])]
    })
  )
}

/** As `concreteShapes`, but `undefined` where dimensions are open and nothing else is wrong. */
export function knownShapes(graph: Graph, given: ReadonlyMap<string, readonly number[]>): Record<string, readonly number[]> | undefined {
  try {
    return concreteShapes(graph, given)
  } catch (error) {
    if (error instanceof PolyadicError && error.code === 'POLYADIC_ARGUMENT') return undefined
    throw error
  }
}

/** Standard normal inputs of these shapes, the same on every run. */
export function randomInputs(shapes: Readonly<Record<string, readonly number[]>>): Record<string, FloatTensor> {
  let state = 1
  // Lehmer's generator; twelve uniform values make one that is nearly normal.
  const unit = (): number => (state = (state * 48271) % 2147483647) / 2147483647
  const normal = (): number => Array.from({ length: 12 }, unit).reduce((sum, value) => sum + value, -6)
  return Object.fromEntries(
    Object.entries(shapes).map(([name, dims]) => [name, floatTensor(Float32Array.from({ length: elementCount(dims) }, normal), dims)])
  )
}

/** `N×1×24×24`; `?` for what is not known. */
export function formatDims(dims: readonly (number | string | null)[] | undefined): string {
  return dims === undefined ? '?' : dims.length === 0 ? 'scalar' : dims.map((dim) => dim ?? '?').join('×')
}
