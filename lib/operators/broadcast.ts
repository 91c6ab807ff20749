import { show } from '../errors.js'
import { elementCount, type Tensor } from '../tensor.js'
import { type NodeContext, shapeError } from './operator.js'

/** The dims that several operands have together, by ONNX's (numpy's) rule. */
export function broadcastDims(context: NodeContext, operands: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...operands.map((dims) => dims.length))
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = operands.map((dims) => dims[axis - rank + dims.length] ?? 1)
    const size = sizes.find((value) => value !== 1) ?? 1
    if (sizes.some((value) => value !== 1 && value !== size)) {
      throw shapeError(context, `shapes ${operands.map((dims) => show([...dims])).join(' and ')} do not fit each other`)
    }
    return size
  })
}

/** `combine` applied element by element with broadcasting: for constants, which are small. */
export function broadcastNumbers(a: Tensor, b: Tensor, dims: readonly number[], combine: (a: number, b: number) => number): number[] {
  const [indexA, indexB] = [reader(a, dims), reader(b, dims)]
  return Array.from({ length: elementCount(dims) }, (_, i) => combine(Number(a.data[indexA(i)]), Number(b.data[indexB(i)])))
}

/** Maps a row-major position in `dims` to one in the operand. */
function reader(operand: Tensor, dims: readonly number[]): (position: number) => number {
  if (operand.data.length === 1) return () => 0
  if (operand.data.length === elementCount(dims)) return (position) => position
  const shift = dims.length - operand.dims.length
  return (position) => {
    let [index, rest, stride] = [0, position, 1]
    for (let axis = dims.length - 1; axis >= shift; axis--) {
      const [size, own] = [dims[axis] as number, operand.dims[axis - shift] as number]
      if (own !== 1) index += (rest % size) * stride
      rest = Math.floor(rest / size)
      stride *= own
    }
    return index
  }
}
