import { elementCount, int64Tensor } from '../../lib/tensor.js'
import { caseList, type GradientCase, gradientBatch } from './gradient-case.js'
import { int, type NetworkBuilder } from './network-builder.js'

/*
 * What goes by indices, for gradient-cases.ts. None compares two elements that are alike, where there is no numerical gradient: those are in
 * test/runtime/indexed-gradients.test.ts.
 */

const image = [5, 4, 6]
const rank3 = [4, 6]
const { cases, add } = caseList()

/** Indices of an axis of `size`, from both of its ends. More of them than the axis has elements are not all different. */
const indices = (b: NetworkBuilder, dims: readonly number[], size: number): string =>
  b.constant(
    int64Tensor(
      Array.from({ length: elementCount(dims) }, (_, i) => ((7 * i + Math.floor(i / 4)) % (2 * size)) - size),
      dims
    )
  )

add('Gather', image, (b, x) => b.node('Gather', [x, b.ints(2, 0, 2, -1)], { axis: int(2) }))
add('GatherElements', rank3, (b, x) =>
  b.node('GatherElements', [x, b.node('Reshape', [b.ints(0, 1, 1, 3, 2, 0, 1, 1, 2), b.ints(3, 3, 1)])], { axis: int(1) })
)
add('GatherND', rank3, (b, x) => b.node('GatherND', [x, b.node('Reshape', [b.ints(2, 1, 1, 1, 0, 3, 2, 1, 2, 1, 1, 1), b.ints(3, 2, 2)])]))

for (const reduction of ['none', 'add', 'mul', 'min', 'max']) {
  const attributes = { reduction }
  const repeated = [gradientBatch, 9, 5]
  const updates: Readonly<Record<string, (b: NetworkBuilder, x: string) => string>> = {
    'trained updates': (b) => b.weight(...repeated),
    // By a product of their own, so that none equals the element that it meets.
    'computed updates': (b, x) => b.node('MatMul', [b.weight(9, 4), b.node('MatMul', [x, b.weight(6, 5)])])
  }
  for (const [kind, made] of Object.entries(updates))
    add(`ScatterElements ${reduction} of ${kind}, repeated`, rank3, (b, x) =>
      b.node('ScatterElements', [x, indices(b, repeated, 4), made(b, x)], { ...attributes, axis: int(1) })
    )
  for (const axis of [0, 1, 2, 3])
    add(`ScatterElements ${reduction} along ${axis}`, image, (b, x) => {
      const dims = [2, 3, 2, 4]
      const places = indices(b, dims, [gradientBatch, ...image][axis] as number)
      return b.node('ScatterElements', [x, places, b.weight(...dims)], { ...attributes, axis: int(axis) })
    })
  add(`ScatterElements ${reduction} into trained data`, rank3, (b, x) =>
    b.node('ScatterElements', [b.weight(gradientBatch, 7, 6), indices(b, [gradientBatch, 4, 6], 7), x], { ...attributes, axis: int(-2) })
  )
  add(`ScatterElements ${reduction} of a value into itself`, rank3, (b, x) => {
    // The element before; all of them are moved, so that none meets itself.
    const places = b.constant(
      int64Tensor(
        Array.from({ length: 72 }, (_, i) => ((i + 5) % 6) - 6),
        [gradientBatch, 4, 6]
      )
    )
    return b.node('ScatterElements', [x, places, x], { ...attributes, axis: int(2) })
  })
  add(`ScatterND ${reduction} of rows`, rank3, (b, x) =>
    b.node('ScatterND', [x, indices(b, [5, 1], gradientBatch), b.weight(5, 4, 6)], attributes)
  )
  add(`ScatterND ${reduction} of rows of rows`, rank3, (b, x) =>
    b.node('ScatterND', [x, indices(b, [4, 2, 2], gradientBatch), b.node('MatMul', [b.weight(4, 2, 4), b.weight(4, 6)])], attributes)
  )
  add(`ScatterND ${reduction} of elements`, image, (b, x) =>
    b.node('ScatterND', [x, indices(b, [40, 4], gradientBatch), b.weight(40)], attributes)
  )
  add(`ScatterND ${reduction} into trained data`, rank3, (b, x) =>
    b.node('ScatterND', [b.weight(2, gradientBatch, 6), indices(b, [gradientBatch, 4, 2], 2), x], attributes)
  )
}
add(
  'Scatter',
  rank3,
  (b, x) => b.node('Scatter', [x, indices(b, [gradientBatch, 5, 6], 4), b.weight(gradientBatch, 5, 6)], { axis: int(1) }),
  10
)
add('ScatterElements of no updates', rank3, (b, x) =>
  b.node('ScatterElements', [x, indices(b, [gradientBatch, 0, 6], 4), b.weight(gradientBatch, 0, 6)], { axis: int(1) })
)
add('ScatterND at computed indices', rank3, (b, x) => {
  const [largest] = b.nodeOf('TopK', [b.node('ReduceMean', [x, b.ints(0, 2)], { keepdims: int(0) }), b.ints(2)], {}, 2) as [string]
  const rows = b.node('Cast', [b.node('Greater', [largest, b.scalar(0)])], { to: int(7) })
  return b.node('ScatterND', [x, b.node('Unsqueeze', [rows, b.ints(1)]), b.weight(2, 4, 6)], { reduction: 'add' })
})

for (const [axis, size] of [gradientBatch, ...image].entries())
  for (const k of [1, Math.ceil(size / 2), size])
    for (const largest of [0, 1]) {
      add(`TopK, ${k} ${largest === 1 ? 'largest' : 'smallest'} along ${axis}`, image, (b, x) => {
        const attributes = { axis: int(axis), largest: int(largest) }
        return b.nodeOf('TopK', [x, b.ints(k)], attributes, 2)[0] as string
      })
    }
add('TopK with its indices', rank3, (b, x) => {
  const [values, places] = b.nodeOf('TopK', [x, b.ints(3)], {}, 2) as [string, string]
  const gathered = b.node('GatherElements', [b.node('Sin', [x]), places], { axis: int(2) })
  return b.node('Add', [b.node('Mul', [values, gathered]), b.node('Cast', [places], { to: int(1) })])
})
add('TopK as it was', rank3, (b, x) => b.nodeOf('TopK', [x], { k: int(2) }, 2)[0] as string, 9)

export const indexedGradientCases: readonly GradientCase[] = cases
