import { show } from '../errors.js'
import { intAttribute, stringAttribute } from '../graph/rewrite.js'
import { elementCount, type Tensor } from '../tensor.js'
import { broadcastDims } from './broadcast.js'
import { readView, viewOf } from './constant-view.js'
import { type Dense, expand, refOf, reshape, rowMajor, transpose } from './dense.js'
import {
  type NodeContext,
  type Operator,
  allOpsets,
  integersInput,
  maximumFolded,
  newestOpset,
  requiredInput,
  shapeError
} from './operator.js'

/*
 * Operators that move or repeat elements, as views through strides where that is possible.
 */

function expandedDims(context: NodeContext): number[] {
  return broadcastDims(context, [requiredInput(context, 0).dims, integersInput(context, 1, 'shape') ?? []])
}

const expanding: Operator = {
  opType: 'Expand',
  opsets: [8, newestOpset],
  constants: [1],
  dims: (context) => [expandedDims(context)],
  fold(context) {
    const tensor = context.inputs[0]?.constant
    // A weight that is repeated still is that weight, which training has to see.
    return tensor?.dtype === 'float32' ? undefined : foldView(tensor, (x) => expand(x, expandedDims(context)))
  },
  lower: (context, plan) => [refOf(expand(plan.dense(0), expandedDims(context)))]
}

function foldView(tensor: Tensor | undefined, view: (x: Dense) => Dense): readonly Tensor[] | undefined {
  if (tensor === undefined) return undefined
  const x = view(viewOf(tensor))
  // What would take much memory is left to the plan.
  return elementCount(x.dims) > maximumFolded ? undefined : [readView(tensor, x)]
}

function repeatsOf(context: NodeContext): number[] {
  const repeats = integersInput(context, 1, 'list of repeats') ?? []
  const { dims } = requiredInput(context, 0)
  if (repeats.length !== dims.length) throw shapeError(context, `repeats ${show(repeats)} do not fit ${show(dims)}`)
  return repeats
}

/** r×d elements an axis: an axis of r that does not move, then the axis itself. */
function repeated(x: Dense, repeats: readonly number[]): Dense {
  const dims = repeats.flatMap((count, axis) => [count, x.dims[axis] as number])
  return { ...x, dims, strides: repeats.flatMap((_, axis) => [0, x.strides[axis] as number]) }
}

function tiledDims(context: NodeContext): number[] {
  const { dims } = requiredInput(context, 0)
  return repeatsOf(context).map((count, axis) => count * (dims[axis] as number))
}

const tiling: Operator = {
  opType: 'Tile',
  opsets: allOpsets,
  constants: [1],
  dims: (context) => [tiledDims(context)],
  fold: (context) =>
    foldView(context.inputs[0]?.constant, (x) => repeated(x, repeatsOf(context)))?.map((tensor) => ({
      ...tensor,
      dims: tiledDims(context)
    })),
  lower: (context, plan) => [refOf(reshape(plan, repeated(plan.dense(0), repeatsOf(context)), tiledDims(context)))]
}

interface Blocks {
  readonly size: number
  /** The input split into blocks, how its axes change places, and what comes out. */
  readonly split: readonly number[]
  readonly perm: readonly number[]
  readonly dims: readonly number[]
}

function depthToSpace(context: NodeContext): Blocks {
  const [n = 1, c = 1, h = 1, w = 1] = requiredInput(context, 0).dims
  const size = intAttribute(context.node, 'blocksize')
  const depth = c / size ** 2
  const dims = [n, depth, h * size, w * size]
  if (!Number.isInteger(depth)) throw shapeError(context, `blocks of ${size}×${size} do not divide ${c} channels`)
  return stringAttribute(context.node, 'mode', 'DCR') === 'DCR'
    ? { size, split: [n, size, size, depth, h, w], perm: [0, 3, 4, 1, 5, 2], dims }
    : { size, split: [n, depth, size, size, h, w], perm: [0, 1, 4, 2, 5, 3], dims }
}

function spaceToDepth(context: NodeContext): Blocks {
  const [n = 1, c = 1, h = 1, w = 1] = requiredInput(context, 0).dims
  const size = intAttribute(context.node, 'blocksize')
  const [rows, columns] = [h / size, w / size]
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) throw shapeError(context, `blocks of ${size}×${size} do not divide ${h}×${w}`)
  // The mode is there since opset 28.
  const perm = stringAttribute(context.node, 'mode', 'DCR') === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]
  return { size, split: [n, c, rows, size, columns, size], perm, dims: [n, c * size ** 2, rows, columns] }
}

function rearranging(opType: string, blocks: (context: NodeContext) => Blocks): Operator {
  const dimsOf = (context: NodeContext): readonly number[] => {
    const { dims } = requiredInput(context, 0)
    if (dims.length !== 4) throw shapeError(context, `expected N×C×H×W, got ${show(dims)}`)
    return blocks(context).dims
  }
  return {
    opType,
    opsets: allOpsets,
    dims: (context) => [dimsOf(context)],
    lower(context, plan) {
      const { split, perm, dims } = blocks(context)
      const x = plan.contiguous(plan.dense(0))
      return [refOf(reshape(plan, transpose({ ...x, dims: split, strides: rowMajor(split) }, perm), dims))]
    }
  }
}

export const copies: readonly Operator[] = [
  expanding,
  tiling,
  rearranging('DepthToSpace', depthToSpace),
  rearranging('SpaceToDepth', spaceToDepth)
]
