import { PolyadicError, show } from '../errors.js'
import type { ValueInfo } from '../graph/graph.js'
import { isFixed } from '../operators/infer.js'

/** Dims of which some may be open: `null`, or a name. */
type OpenDims = readonly (number | string | null)[]

/**
 * The dims of one example (C×H×W for images) as the network takes them: those of the file, where they agree with `expected`, by default those
 * of the network's input. Examples of a network of one channel may leave that axis out. Throws `POLYADIC_SHAPE` naming the file.
 */
export function fittedExample(file: string, dims: readonly number[], input: ValueInfo, expected?: readonly number[]): readonly number[] {
  const wanted = expected ?? input.dims?.slice(1)
  if (wanted === undefined || fits(dims, wanted)) return dims
  if (wanted[0] === 1 && fits([1, ...dims], wanted)) return [1, ...dims]
  const who = expected === undefined ? 'the network takes' : '--shape says'
  throw new PolyadicError(
    'POLYADIC_SHAPE',
    `${show(file)}: examples are ${showExample(dims)}, ${who} ${showExample(wanted)}${transposition(dims, wanted)}`,
    { subject: file }
  )
}

function fits(dims: readonly number[], wanted: OpenDims): boolean {
  return dims.length === wanted.length && wanted.every((dim, axis) => !isFixed(dim) || dim === dims[axis])
}

function showExample(dims: OpenDims): string {
  return dims.length === 0 ? 'single values' : dims.map((dim) => (typeof dim === 'string' || isFixed(dim) ? dim : '?')).join('×')
}

/** How the axes would fit, where they do in another order. */
function transposition(dims: readonly number[], wanted: OpenDims): string {
  if (dims.length !== wanted.length || dims.length > 5) return ''
  const order = orders(dims.length).find((one) =>
    fits(
      one.map((axis) => dims[axis] as number),
      wanted
    )
  )
  if (order === undefined) return ''
  const aim = isChannelFirst(order) && dims.length === 3 ? ' to N×C×H×W' : ''
  return `: transpose them${aim}, x.transpose(0, ${order.map((axis) => axis + 1).join(', ')})`
}

/** All orders of so many axes: the last one first, as images have their channels elsewhere, then the first one last, then the others. */
function orders(rank: number): readonly (readonly number[])[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return [[...axes.slice(-1), ...axes.slice(0, -1)], [...axes.slice(1), ...axes.slice(0, 1)], ...permutations(axes)]
}

function permutations(axes: readonly number[]): readonly (readonly number[])[] {
  if (axes.length < 2) return [axes]
  return axes.flatMap((axis) => permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]))
}

function isChannelFirst(order: readonly number[]): boolean {
  return order[0] === order.length - 1 && order.slice(1).every((axis, i) => axis === i)
}
