import { arrayType, elementCount, type Tensor } from '../tensor.js'
import { type Dense, wholeValue } from './dense.js'

/*
 * Constants seen through the same views as values of a plan: folding of whatever moves elements, exact for every type.
 */

/** A constant as a view; only `readView` may look at its `value`. */
export function viewOf(tensor: Tensor): Dense {
  return wholeValue(-1, tensor.dims)
}

/** The elements of `tensor` that a view of it shows. */
export function readView(tensor: Tensor, { dims, offset, strides }: Dense): Tensor {
  const data = new (arrayType(tensor.dtype))(elementCount(dims))
  const position = dims.map(() => 0)
  let at = offset
  for (let i = 0; i < data.length; i++) {
    data[i] = tensor.data[at] as never
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += strides[axis] as number
      if (++(position[axis] as number) < (dims[axis] as number)) break
      at -= (dims[axis] as number) * (strides[axis] as number)
      position[axis] = 0
    }
  }
  return { dtype: tensor.dtype, dims, data }
}
