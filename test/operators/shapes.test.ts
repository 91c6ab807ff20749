import t from 'tap'
import type { ErrorCode } from '../../lib/errors.js'
import { float, int, makeNode } from '../../lib/graph/rewrite.js'
import { convSpecOf } from '../../lib/operators/convolution.js'
import { analyse, inferShapes } from '../../lib/operators/infer.js'
import { asIntegers, int64Tensor } from '../../lib/tensor.js'
import { throwsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

type Attributes = Parameters<NetworkBuilder['node']>[2]

/** Dims of a node's output for an input of `dims`. */
function dimsOf(
  opType: string,
  dims: readonly number[],
  attributes: Attributes,
  more: (b: NetworkBuilder) => string[] = () => [],
  opset = 17
): readonly number[] | undefined {
  const b = new NetworkBuilder(opset)
  const output = b.node(opType, [b.input(dims), ...more(b)], attributes)
  return inferShapes(b.graph(output)).get(output)
}

void t.test('windows', (t) => {
  const conv = (dims: readonly number[], weight: readonly number[], attributes: Attributes = {}): unknown =>
    dimsOf('Conv', dims, attributes, (b) => [b.weight(...weight)])
  t.same(conv([1, 3, 10, 9], [8, 3, 3, 2]), [1, 8, 8, 8])
  t.same(conv([2, 3, 10, 9], [8, 3, 3, 2], { strides: [2, 3], pads: [1, 0, 2, 1], dilations: [2, 1] }), [2, 8, 5, 3])
  t.same(conv([1, 3, 10, 11], [8, 3, 4, 3], { auto_pad: 'SAME_UPPER', strides: [3, 2] }), [1, 8, 4, 6])
  t.same(conv([1, 3, 10, 11], [8, 3, 4, 3], { auto_pad: 'VALID', pads: [9, 9, 9, 9] }), [1, 8, 7, 9], 'VALID ignores pads')
  t.same(conv([1, 4, 7], [6, 2, 3], { group: int(2) }), [1, 6, 5])
  const pool = { kernel_shape: [3, 3], strides: [2, 2] }
  t.same(dimsOf('MaxPool', [1, 4, 8, 7], pool), [1, 4, 3, 3])
  t.same(dimsOf('MaxPool', [1, 4, 8, 7], { ...pool, ceil_mode: int(1) }), [1, 4, 4, 3])
  t.same(dimsOf('MaxPool', [1, 4, 6, 6], { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: int(1) }), [1, 4, 3, 3])
  t.same(
    dimsOf('AveragePool', [1, 4, 5, 5], { kernel_shape: [1, 1], strides: [4, 4], pads: [0, 0, 1, 1], ceil_mode: int(1) }),
    [1, 4, 2, 2],
    'no window in the end padding alone'
  )
  t.same(dimsOf('GlobalAveragePool', [1, 4, 5, 5], {}), [1, 4, 1, 1])
  t.end()
})

void t.test('the geometry of a Conv node', (t) => {
  const node = makeNode({
    opType: 'Conv',
    inputs: ['x', 'w'],
    outputs: ['y'],
    attributes: { auto_pad: 'SAME_LOWER', strides: [2, 1], group: int(2) }
  })
  t.same(convSpecOf(node, [8, 3, 4, 3], [1, 6, 9, 9]), {
    kernel: [4, 3],
    strides: [2, 1],
    padsBegin: [2, 1],
    padsEnd: [1, 1],
    dilations: [1, 1],
    groups: 2
  })
  throwsError(t, () => convSpecOf(node, [8, 3, 4, 3]), 'POLYADIC_UNSUPPORTED', 'SAME_LOWER', 'height and width')
  throwsError(t, () => convSpecOf(node, [8, 3, 4, 3], [1, 5, 9, 9]), 'POLYADIC_SHAPE', '"x"', 'N×6×H×W', '1×5×9×9')
  throwsError(t, () => convSpecOf(node, [7, 3, 4, 3]), 'POLYADIC_GRAPH', 'group 2', '7 output channels')
  const wrong = makeNode({ opType: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { kernel_shape: [3, 3] } })
  throwsError(t, () => convSpecOf(wrong, [8, 3, 4, 3]), 'POLYADIC_GRAPH', 'kernel_shape', '[3, 3]')
  t.end()
})

void t.test('other shapes', (t) => {
  t.same(dimsOf('Flatten', [2, 3, 4, 5], { axis: int(2) }), [6, 20])
  t.same(dimsOf('Flatten', [2, 3, 4], { axis: int(0) }), [1, 24])
  t.same(
    dimsOf('Reshape', [2, 3, 4, 5], {}, (b) => [b.ints(0, -1, 10)]),
    [2, 6, 10]
  )
  t.same(dimsOf('Squeeze', [2, 3, 1, 1], {}), [2, 3])
  t.same(
    dimsOf('Squeeze', [2, 3, 1, 1], {}, (b) => [b.ints(-1)]),
    [2, 3, 1]
  )
  t.same(dimsOf('Unsqueeze', [2, 3], { axes: [0, -1] }, undefined, 11), [1, 2, 3, 1])
  t.same(
    dimsOf('Slice', [2, 9, 3, 3], {}, (b) => [b.ints(-1), b.ints(-100), b.ints(1), b.ints(-3)]),
    [2, 3, 3, 3]
  )
  t.same(dimsOf('ReduceMax', [2, 6, 3, 3], { axes: [1, -1], keepdims: int(0) }), [2, 3])
  t.same(
    dimsOf('Pad', [2, 6, 3, 3], {}, (b) => [b.ints(1, 2), b.scalar(0), b.ints(-1)], 18),
    [2, 6, 3, 6]
  )
  t.same(
    dimsOf('Gemm', [2, 6], {}, (b) => [b.weight(6, 9)]),
    [2, 9]
  )
  t.same(
    dimsOf('Concat', [2, 6, 3, 3], { axis: int(1) }, (b) => [b.weight(2, 5, 3, 3)]),
    [2, 11, 3, 3]
  )
  t.same(
    dimsOf('Mul', [2, 6, 3, 3], {}, (b) => [b.weight(6, 1, 1)]),
    [2, 6, 3, 3]
  )
  throwsError(t, () => dimsOf('Reshape', [2, 3], {}, (b) => [b.ints(4, -1)]), 'POLYADIC_SHAPE', '[4, -1]')
  throwsError(t, () => dimsOf('MaxPool', [1, 2, 3, 3], { kernel_shape: [5, 5] }), 'POLYADIC_SHAPE', 'larger than its input of 3×3')
  throwsError(t, () => dimsOf('Gemm', [2, 5], {}, (b) => [b.weight(6, 9)]), 'POLYADIC_SHAPE', 'N×6', '2×5')
  throwsError(t, () => dimsOf('Add', [2, 5], {}, (b) => [b.weight(6)]), 'POLYADIC_SHAPE', '[2, 5]', '[6]')
  t.end()
})

void t.test('shape arithmetic is folded', (t) => {
  const b = new NetworkBuilder()
  const shape = b.node('Shape', [b.input(['n', 6, 4, 5])])
  const at = (index: number): string => b.node('Gather', [shape, b.constant(int64Tensor([index], []))])
  const area = b.node('Mul', [at(2), at(-1)])
  const half = b.node('Div', [area, b.constant(int64Tensor([3], []))])
  const list = b.node('Concat', [b.node('Unsqueeze', [half, b.ints(0)]), b.node('Slice', [shape, b.ints(1), b.ints(100)])], {
    axis: int(0)
  })
  const cast = b.node('Cast', [b.node('Cast', [list], { to: int(1) })], { to: int(7) })
  const filled = b.node('ConstantOfShape', [b.ints(2, 2)], { value: int64Tensor([7]) })
  const turned = b.node('Transpose', [b.constant(int64Tensor([1, 2, 3, 4, 5, 6], [2, 3]))])
  const { constants, nodes } = analyse(b.graph(cast, filled, turned), { x0: [9, 6, 4, 5] })
  t.same(asIntegers(constants.get(cast)!, ''), [6, 6, 4, 5])
  t.same(asIntegers(constants.get(filled)!, ''), [7, 7, 7, 7])
  t.same(asIntegers(constants.get(turned)!, ''), [1, 4, 2, 5, 3, 6])
  t.same(nodes, [])
  t.end()
})

void t.test('input shapes', (t) => {
  const b = new NetworkBuilder()
  const y = b.node('Relu', [b.input(['batch', 3, 'height', 8], 'image')])
  const graph = b.graph(y)
  t.same(inferShapes(graph, { image: [4, 3, 7, 8] }).get(y), [4, 3, 7, 8])
  throwsError(t, () => inferShapes(graph), 'POLYADIC_SHAPE', '"image"', 'batch×3×height×8', 'inputShapes')
  throwsError(t, () => inferShapes(graph, { image: [4, 3, 7, 9] }), 'POLYADIC_SHAPE', '"image"', 'expected batch×3×height×8', 'got 4×3×7×9')
  throwsError(t, () => inferShapes(graph, { image: [3, 7, 8] }), 'POLYADIC_SHAPE', 'got 3×7×8')
  throwsError(t, () => inferShapes(graph, { image: [0, 3, 7, 8] }), 'POLYADIC_SHAPE', 'got 0×3×7×8')
  throwsError(t, () => inferShapes(graph, { picture: [1, 3, 7, 8] }), 'POLYADIC_SHAPE', '"picture"', '"image"')
  throwsError(
    t,
    () => inferShapes({ ...graph, inputs: [{ name: 'image', dtype: 'float32', dims: [1], opaque: true }] }),
    'POLYADIC_UNSUPPORTED',
    '"image"',
    'no tensor'
  )
  t.end()
})

void t.test('what is not supported says why', (t) => {
  const refuse = (opset: number, build: (b: NetworkBuilder, x: string) => string, ...parts: string[]): void => {
    const b = new NetworkBuilder(opset)
    throwsError(t, () => inferShapes(b.graph(build(b, b.input([1, 4, 6, 6])))), 'POLYADIC_UNSUPPORTED', ...parts)
  }
  refuse(17, (b, x) => b.node('Unique', [x]), '"unique0"', 'Unique, opset 17', 'supported are Abs')
  refuse(5, (b, x) => b.node('Relu', [x]), 'Relu, opset 5', '6 to')
  refuse(99, (b, x) => b.node('Relu', [x]), 'Relu, opset 99')
  refuse(17, (b, x) => b.nodeOf('AveragePool', [x], { kernel_shape: [2, 2] }, 2)[1] as string, 'AveragePool', 'output', 'first 1')
  refuse(17, (b, x) => b.node('Reshape', [x, b.node('Cast', [x], { to: int(7) })]), 'Reshape', 'computed')
  refuse(17, (b, x) => b.conv(x, [4, 4, 3, 3], { pads: [-1, 0, 0, 0] }), 'negative pads')
  const b = new NetworkBuilder()
  const dead = b.node('Unique', [b.input([1, 4])])
  t.same(inferShapes(b.graph(b.node('LeakyRelu', ['x0'], { alpha: float(1) }))).has(dead), false, 'nodes without effect do not matter')
  t.end()
})

void t.test('a few bytes cannot ask for terabytes', (t) => {
  const refuse = (code: ErrorCode, build: (b: NetworkBuilder, x: string) => string, ...parts: string[]): void => {
    const b = new NetworkBuilder(18)
    throwsError(t, () => inferShapes(b.graph(build(b, b.input([1, 1, 4, 4])))), code, ...parts)
  }
  const huge = 2 ** 40
  const half = { value: { dtype: 'uint8', dims: [1], data: Uint8Array.of(1) } } as const
  refuse('POLYADIC_SHAPE', (b) => b.node('ConstantOfShape', [b.ints(2, -3)]), 'ConstantOfShape', '[2, -3]')
  refuse('POLYADIC_UNSUPPORTED', (b) => b.node('ConstantOfShape', [b.ints(huge)]), 'ConstantOfShape', String(huge))
  const scalar = (b: NetworkBuilder, value: number): string => b.constant(int64Tensor([value], []))
  refuse('POLYADIC_UNSUPPORTED', (b) => b.node('Range', [scalar(b, 0), scalar(b, huge), scalar(b, 1)]), 'Range', String(huge))
  refuse('POLYADIC_UNSUPPORTED', (b) => b.node('HannWindow', [scalar(b, huge)]), 'HannWindow')
  refuse('POLYADIC_UNSUPPORTED', (b) => b.node('Expand', [b.ints(1), b.ints(huge)]), 'Expand', String(huge))
  refuse('POLYADIC_UNSUPPORTED', (b) => b.node('Tile', [b.ints(1), b.ints(huge)]), 'Tile', String(huge))
  refuse('POLYADIC_UNSUPPORTED', (b, x) => b.node('Resize', [x, '', '', b.ints(1, 1, 4, huge)]), 'Resize', String(huge))
  refuse('POLYADIC_UNSUPPORTED', (b, x) => b.node('Pad', [x, b.ints(0, 0, 0, 0, 0, 0, 0, huge)]), 'Pad', String(huge + 4))
  // Each is allowed, all are not; nodes without effect do not count.
  refuse(
    'POLYADIC_UNSUPPORTED',
    (b) =>
      b.node(
        'Concat',
        [0, 1, 2].map(() => b.node('ConstantOfShape', [b.ints(2 ** 14, 2 ** 14)], half)),
        { axis: int(0) }
      ),
    'computes so much'
  )
  t.end()
})
