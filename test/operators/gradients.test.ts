import t from 'tap'
import { native } from '../../lib/native/binding.js'
import { operators } from '../../lib/operators/registry.js'
import { compile } from '../../lib/runtime/compile.js'
import { floatTensor, int64Tensor } from '../../lib/tensor.js'
import { gradientCases, gradientGraph } from '../helpers/gradient-cases.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'

/*
 * What docs/onnx.md says of gradients. That they are right is tested case by case in test/native/child/dense-gradients.ts.
 */

const ofGradient = (gradient: 'zero' | undefined): string[] =>
  [...operators.values()].filter((own) => own.gradient === gradient).map((own) => own.opType)

t.test('every operator with a gradient is in a case that compares it with a numerical one', async (t) => {
  const compared = new Set(gradientCases.flatMap((item) => gradientGraph(item, 'dense').graph.nodes.map(({ opType }) => opType)))
  const others = ofGradient(undefined).filter((opType) => !compared.has(opType))
  // If stands for the nodes of a branch.
  t.same(others, ['If'])
})

type Body = (b: NetworkBuilder, x: string) => string

/** A trained matrix before the operator and one behind it: their gradients, and the plan. */
async function trained(body: Body): Promise<readonly Float32Array[]> {
  const b = new NetworkBuilder(18, 5)
  const y = body(b, b.node('MatMul', [b.input([3, 4], 'x'), b.weight(4, 4)]))
  const logits = b.node('MatMul', [b.node('Reshape', [b.node('Cast', [y], { to: int(1) }), b.ints(3, -1)]), b.weight(4, 3)])
  const { spec } = compile(b.graph(logits), { training: true })
  const trainer = native().createTrainer(spec)
  const loss = { kind: 'cross_entropy' as const, output: 0, target: Int32Array.of(0, 1, 2) }
  const { gradients } = await trainer.gradients([b.random.normal(12)], [loss]).promise
  trainer.close()
  return gradients
}

const one =
  (opType: string): Body =>
  (b, x) =>
    b.node(opType, [x])
const comparison =
  (opType: string): Body =>
  (b, x) =>
    b.node(opType, [x, b.small(4)])
const logical =
  (opType: string): Body =>
  (b, x) => {
    const truth = (y: string): string => b.node('Cast', [y], { to: int(9) })
    return b.node(opType, [truth(x), ...(opType === 'Not' ? [] : [truth(b.node('Relu', [x]))])])
  }
const position =
  (opType: string): Body =>
  (b, x) =>
    b.node('Add', [b.node('Cast', [b.node(opType, [x], { axis: int(1) })], { to: int(1) }), b.small(4)])

t.test('"zero": nothing before the operator learns, and it is not refused', async (t) => {
  const bodies: Record<string, Body> = {
    ...Object.fromEntries(['Floor', 'Ceil', 'Round', 'Sign', 'IsNaN', 'IsInf', 'Hardmax'].map((opType) => [opType, one(opType)])),
    ...Object.fromEntries(['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].map((opType) => [opType, comparison(opType)])),
    ...Object.fromEntries(['And', 'Or', 'Xor', 'Not'].map((opType) => [opType, logical(opType)])),
    ...Object.fromEntries(['ArgMax', 'ArgMin'].map((opType) => [opType, position(opType)])),
    QuantizeLinear: (b, x) => b.node('QuantizeLinear', [x, b.scalar(0.1)])
  }
  for (const [opType, body] of Object.entries(bodies)) {
    const gradients = await trained(body)
    t.ok(
      gradients[0]?.every((value) => value === 0),
      opType
    )
  }
  // What follows from shapes and constants, and what takes or gives whole numbers alone.
  const known = [
    'Constant',
    'ConstantOfShape',
    'EyeLike',
    'NonZero',
    'Range',
    'Shape',
    'Size',
    'BlackmanWindow',
    'HammingWindow',
    'HannWindow'
  ]
  const whole = ['ConvInteger', 'MatMulInteger', 'QLinearConv', 'QLinearMatMul']
  t.same(ofGradient('zero').sort(), [...Object.keys(bodies), ...known, ...whole].sort())
})

t.test('scatters train what they are given, updates or data, where something trained meets it', async (t) => {
  const initializersTrained = (body: Body): string[] => {
    const b = new NetworkBuilder(18, 5)
    const { spec, parameters } = compile(b.graph(body(b, b.input([3, 4], 'x'))), { training: true })
    return parameters.flatMap(({ initializers }, i) => (spec.parameters[i]?.trainable === true ? initializers : []))
  }
  const scatter = (b: NetworkBuilder, data: string, updates: string): string =>
    b.node('ScatterND', [data, b.constant(int64Tensor([0, 1, 0], [3, 1])), updates], { reduction: 'add' })
  const named = (b: NetworkBuilder, name: string, values: (i: number) => number): string =>
    b.constant(
      floatTensor(
        Float32Array.from({ length: 12 }, (_, i) => values(i)),
        [3, 4]
      ),
      name
    )
  const learnt = (b: NetworkBuilder, x: string): string =>
    b.node('MatMul', [x, b.constant(floatTensor(b.random.normal(16), [4, 4]), 'before')])
  const table = (b: NetworkBuilder): string => named(b, 'table', (i) => Math.sin(i))
  t.same(initializersTrained((b, x) => scatter(b, learnt(b, x), table(b))).sort(), ['before', 'table'], 'updates')
  t.same(initializersTrained((b, x) => scatter(b, table(b), learnt(b, x))).sort(), ['before', 'table'], 'data')
  const begun = initializersTrained((b, x) =>
    scatter(
      b,
      named(b, 'zeros', () => 0),
      learnt(b, x)
    )
  )
  t.same(begun, ['before'], 'zeros to write into stay')
  const mask = initializersTrained((b, x) =>
    scatter(
      b,
      named(b, 'mask', (i) => -100 * (i % 2)),
      learnt(b, x)
    )
  )
  t.same(mask, ['before'], 'a mask stays')
  const prepared = initializersTrained((b, x) => learnt(b, scatter(b, x, table(b))))
  t.same(prepared, ['before'], 'what meets the input alone prepares it')
})
