import { show } from '../errors.js'
import { floatAttribute, intAttribute, stringAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import { apply, type Dense, refOf, reshape, scalar, slice, transpose } from './dense.js'
import { type NodeContext, type Operator, type PlanWriter, newestOpset, nodeError, requiredInput, shapeError } from './operator.js'

/*
 * Samples of N×C×S… at computed places: grid N×O…×r holds for each output its place along each of the r axes, the last axis first, −1 to 1 over
 * the input. Each axis has taps around a place (one for the nearest, two for linear, four for cubic); the sum goes over all combinations.
 */

interface Sampling {
  readonly mode: 'nearest' | 'linear' | 'cubic'
  readonly padding: 'zeros' | 'border' | 'reflection'
  /** −1 and 1 are the middles of the outermost elements, not their outer edges. */
  readonly alignsCorners: boolean
  readonly cubic: number
}

/** N×O×1 each: positions along an axis, which exist, and what the elements there count for. */
interface Tap {
  readonly position: Dense
  readonly weight: Dense | undefined
}

const modes: Readonly<Record<string, Sampling['mode']>> = {
  nearest: 'nearest',
  linear: 'linear',
  bilinear: 'linear',
  cubic: 'cubic',
  bicubic: 'cubic'
}

function samplingOf(context: NodeContext): Sampling {
  const { node } = context
  const [mode, padding] = [stringAttribute(node, 'mode', 'linear'), stringAttribute(node, 'padding_mode', 'zeros')]
  const known = modes[mode]
  if (known === undefined) throw nodeError(context, `mode ${show(mode)} does not exist`)
  if (padding !== 'zeros' && padding !== 'border' && padding !== 'reflection')
    throw nodeError(context, `padding_mode ${show(padding)} does not exist`)
  const cubic = floatAttribute(node, 'cubic_coeff_a', -0.75)
  return { mode: known, padding, alignsCorners: intAttribute(node, 'align_corners', 0) !== 0, cubic }
}

function dims(context: NodeContext): number[] {
  const [x, grid] = [requiredInput(context, 0).dims, requiredInput(context, 1).dims]
  const axes = x.length - 2
  if (axes < 1 || grid.length !== x.length || grid[0] !== x[0] || grid.at(-1) !== axes)
    throw shapeError(context, `a grid of ${show(grid)} does not fit an input of ${show(x)}`)
  return [...x.slice(0, 2), ...grid.slice(1, -1)]
}

/** Arithmetic of dense values and numbers. */
class Arithmetic {
  constructor(readonly plan: PlanWriter) {}
  of(name: Parameters<typeof apply>[1], ...operands: readonly (Dense | number)[]): Dense {
    return apply(
      this.plan,
      name,
      operands.map((x) => (typeof x === 'number' ? scalar(this.plan, x) : x))
    )
  }
}

/** x between the borders of an axis, thrown back at them as often as it takes. */
function reflected(a: Arithmetic, x: Dense, size: number, { alignsCorners }: Sampling): Dense {
  const [low, range] = alignsCorners ? [0, size - 1] : [-0.5, size]
  if (range === 0) return a.of('multiply', x, 0)
  const distance = a.of('fmod', a.of('abs', a.of('subtract', x, low)), 2 * range)
  return a.of('add', a.of('minimum', distance, a.of('subtract', 2 * range, distance)), low)
}

function clamped(a: Arithmetic, x: Dense, size: number): Dense {
  return a.of('clip', x, 0, size - 1)
}

/** A place outside brought to the border, or thrown back. Cubic sampling does so with each tap alone. */
function inside(a: Arithmetic, place: Dense, size: number, sampling: Sampling): Dense {
  if (sampling.padding === 'zeros') return place
  return sampling.padding === 'border' ? clamped(a, place, size) : reflected(a, place, size, sampling)
}

/** The taps of an axis of `size` for places from −1 to 1. */
function tapsOf(a: Arithmetic, place: Dense, size: number, sampling: Sampling): Tap[] {
  const { mode, alignsCorners } = sampling
  const scale = alignsCorners ? (size - 1) / 2 : size / 2
  const raw = a.of('multiply_add', place, scale, (size - 1) / 2)
  const placed = mode === 'cubic' ? raw : inside(a, raw, size, sampling)
  if (mode === 'nearest') return [tap(a, a.of('round', placed), undefined, size, sampling)]
  const first = a.of('floor', placed)
  const fraction = a.of('subtract', placed, first)
  const weights = mode === 'linear' ? [a.of('subtract', 1, fraction), fraction] : cubicWeights(a, fraction, sampling.cubic)
  return weights.map((weight, i) => tap(a, a.of('add', first, i - (mode === 'linear' ? 0 : 1)), weight, size, sampling))
}

function tap(a: Arithmetic, at: Dense, weight: Dense | undefined, size: number, sampling: Sampling): Tap {
  if (sampling.padding !== 'zeros') {
    const found = sampling.padding === 'reflection' ? a.of('round', reflected(a, at, size, sampling)) : at
    return { position: clamped(a, found, size), weight }
  }
  const position = clamped(a, at, size)
  const exists = a.of('equal', position, at)
  return { position, weight: weight === undefined ? exists : a.of('multiply', weight, exists) }
}

/** Of the elements at −1, 0, 1 and 2 around a place that is `t` behind 0: Keys' kernel. */
function cubicWeights(a: Arithmetic, t: Dense, k: number): Dense[] {
  const horner = (x: Dense, ...coefficients: readonly number[]): Dense => {
    const [first = 0, second = 0, ...rest] = coefficients
    return rest.reduce<Dense>((sum, c) => a.of('multiply_add', sum, x, c), a.of('multiply_add', x, first, second))
  }
  const far = (x: Dense): Dense => horner(x, k, -5 * k, 8 * k, -4 * k)
  const near = (x: Dense): Dense => horner(x, k + 2, -(k + 3), 0, 1)
  return [far(a.of('add', t, 1)), near(t), near(a.of('subtract', 1, t)), far(a.of('subtract', 2, t))]
}

const gridSample: Operator = {
  opType: 'GridSample',
  opsets: [16, newestOpset],
  dims: (context) => [dims(context)],
  lower(context, plan) {
    const sampling = samplingOf(context)
    const a = new Arithmetic(plan)
    const [n = 1, c = 1, ...spatial] = requiredInput(context, 0).dims
    const output = dims(context)
    const [cells, places] = [elementCount(spatial), elementCount(output.slice(2))]
    const grid = reshape(plan, plan.dense(1), [n, places, spatial.length])
    const taps = spatial.map((size, axis) =>
      tapsOf(a, slice(grid, [{ axis: 2, start: spatial.length - 1 - axis, step: 1, count: 1 }]), size, sampling)
    )
    // Channels last: what lies at one place is one row.
    const rows = plan.contiguous(transpose(reshape(plan, plan.dense(0), [n, c, cells]), [0, 2, 1]))
    const sum = combinations(taps).reduce<Dense | undefined>((total, own) => {
      const at = own
        .map((tap) => tap.position)
        .reduce((index, position, axis) => a.of('multiply_add', index, spatial[axis] as number, position))
      const sizes = [n, places, c]
      const inputs = [rows.value, plan.contiguous(at).value]
      const found = plan.emitDense({ op: 'gather', function: 'nd', inputs, sizes, dims: [cells] }, [n, places, c])
      const weights = own.flatMap(({ weight }) => weight ?? [])
      if (weights.length === 0) return found
      const weight = weights.reduce((product, next) => a.of('multiply', product, next))
      return total === undefined ? a.of('multiply', found, weight) : a.of('multiply_add', found, weight, total)
    }, undefined)
    return [refOf(reshape(plan, transpose(sum as Dense, [0, 2, 1]), output))]
  }
}

/** One tap of each axis, in every way. */
function combinations(taps: readonly (readonly Tap[])[]): Tap[][] {
  return taps.reduce<Tap[][]>((found, own) => found.flatMap((before) => own.map((next) => [...before, next])), [[]])
}

export const gridSamples: readonly Operator[] = [gridSample]
