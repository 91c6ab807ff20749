import type { DenseView } from '../../lib/runtime/dense-spec.js'

/** f(position) for each position of `dims`, in row-major order. */
export function eachPosition(dims: readonly number[], f: (position: readonly number[], index: number) => void): void {
  const count = dims.reduce((product, dim) => product * dim, 1)
  const position = dims.map(() => 0)
  for (let index = 0; index < count; index++) {
    f(position, index)
    for (let axis = dims.length - 1; axis >= 0 && ++(position[axis] as number) === dims[axis]; axis--) position[axis] = 0
  }
}

/** Where a view has the element of a position. */
export const place = ({ offset, strides }: DenseView, position: readonly number[]): number =>
  position.reduce((sum, at, axis) => sum + at * (strides[axis] as number), offset)
