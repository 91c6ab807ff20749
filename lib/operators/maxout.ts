import type { PlanMaxout } from '../runtime/plan-spec.js'
import type { PlanWriter, ValueRef } from './operator.js'

/*
 * Maxout is not an ONNX operator. Exporters write it as Max over Slices (or the outputs of a Split) of the channels, or as a
 * Reshape that splits the channel axis followed by ReduceMax over one of the halves.
 */

function emitMaxout(plan: PlanWriter, value: number, maxout: PlanMaxout): ValueRef {
  if (maxout.pieces === 1) return { value }
  const shape = plan.shape(value)
  return plan.emit({ op: 'maxout', input: value, ...maxout }, { ...shape, c: shape.c / maxout.pieces })
}

/**
 * Max over k slices that together are all channels of one value: contiguous ones (`strided`) or every k-th (`adjacent`); `undefined` when it
 * is something else.
 */
export function maxoutOfSlices(plan: PlanWriter, refs: readonly (ValueRef | undefined)[]): ValueRef | undefined {
  const pieces = refs.length
  const value = refs[0]?.value
  const channels = value === undefined ? 0 : plan.shape(value).c
  const size = channels / pieces
  const starts = new Set<number>()
  const steps = new Set<number>()
  for (const ref of refs) {
    if (ref === undefined || ref.value !== value || ref.view?.kind !== 'channels' || ref.view.count !== size) continue
    starts.add(ref.view.start)
    steps.add(ref.view.step)
  }
  const covers = (first: (piece: number) => number, step: number): boolean =>
    starts.size === pieces && (size === 1 || (steps.size === 1 && steps.has(step))) && refs.every((_, piece) => starts.has(first(piece)))
  if (value !== undefined && covers((piece) => piece * size, 1)) return emitMaxout(plan, value, { pieces, order: 'strided' })
  if (value !== undefined && covers((piece) => piece, pieces)) return emitMaxout(plan, value, { pieces, order: 'adjacent' })
  return undefined
}

/**
 * ReduceMax over axis 1 (`strided`) or 2 (`adjacent`) of N×a×b×…, where a·b are the channels of the plan value; `undefined` when it
 * is not that.
 */
export function maxoutOfSplit(plan: PlanWriter, ref: ValueRef, dims: readonly number[], axes: readonly number[]): ValueRef | undefined {
  const shape = plan.shape(ref.value)
  const [n, a = 0, b = 0, ...spatial] = dims
  const isSplit = n === shape.n && a * b === shape.c && spatial.reduce((product, dim) => product * dim, 1) === shape.h * shape.w
  if (ref.view !== undefined || shape.dense || !isSplit || axes.length !== 1) return undefined
  if (axes[0] === 1) return emitMaxout(plan, ref.value, { pieces: a, order: 'strided' })
  return axes[0] === 2 ? emitMaxout(plan, ref.value, { pieces: b, order: 'adjacent' }) : undefined
}
