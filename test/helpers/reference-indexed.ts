import type { DenseStep, DenseView } from '../../lib/runtime/dense-spec.js'
import { eachPosition, place } from './reference-views.js'

/*
 * Steps by indices, computed or given, in float64 with the plainest loops, for `runDense`.
 */

type IndexedStep = Extract<DenseStep, { op: 'gather' | 'scatter' }>
type TopKStep = Extract<DenseStep, { op: 'top_k' }>
type Inputs = readonly Float64Array[]

export function gather(step: IndexedStep, [data, indices]: Inputs, out: Float64Array): void {
  eachIndexed(step, indices as Float64Array, (at, index) => {
    out[index] = (data as Float64Array)[at] as number
  })
}

export function scatter(step: IndexedStep, [data, indices, updates]: Inputs, out: Float64Array): void {
  const combine = reductions[step.names?.[0] ?? 'none'] as (value: number, update: number) => number
  out.set(data as Float64Array)
  eachIndexed(step, indices as Float64Array, (at, index) => {
    out[at] = combine(out[at] as number, (updates as Float64Array)[index] as number)
  })
}

const reductions: Readonly<Record<string, (value: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (value, update) => value + update,
  multiply: (value, update) => value * update,
  minimum: Math.min,
  maximum: Math.max
}

/** f(element of the data, element of the output or the updates) for each that the indices mean, in their order. */
function eachIndexed(step: IndexedStep, indices: Float64Array, f: (at: number, index: number) => void): void {
  const resolve = (index: number, size: number): number => (index < 0 ? index + size : index)
  if (step.function === 'axis') {
    const [outer = 1, size = 1, inner = 1, many = 1] = step.sizes
    eachPosition([outer, many, inner], ([o, k, i], index) => {
      const at = resolve(indices[k as number] as number, size)
      f(((o as number) * size + at) * inner + (i as number), index)
    })
  } else if (step.function === 'elements') {
    const [axis = 0, size = 1] = step.sizes
    eachPosition(step.dims ?? [], (position, index) => {
      const source = [...position].with(axis, resolve(indices[index] as number, size))
      f(place(step.views?.[0] as DenseView, source), index)
    })
  } else {
    const [batch = 1, many = 1, row = 1] = step.sizes
    const dims = step.dims ?? []
    const image = dims.reduce((product, dim) => product * dim, 1)
    eachPosition([batch, many, row], ([n, i, j], index) => {
      const tuple = ((n as number) * many + (i as number)) * dims.length
      const at = dims.reduce((total, dim, k) => total * dim + resolve(indices[tuple + k] as number, dim), 0)
      f(((n as number) * image + at) * row + (j as number), index)
    })
  }
}

export function topK({ sizes: [outer, size, inner, k], flags: [largest] }: TopKStep, x: Float64Array, out: Float64Array): void {
  eachPosition([outer, inner], ([o, i]) => {
    const value = (at: number): number => x[((o as number) * size + at) * inner + (i as number)] as number
    const order = Array.from({ length: size }, (_, at) => at).sort((a, b) => (largest ? value(b) - value(a) : value(a) - value(b)))
    order.slice(0, k).forEach((at, rank) => {
      const to = ((o as number) * k + rank) * inner + (i as number)
      out[to] = value(at)
      out[outer * k * inner + to] = at
    })
  })
}
