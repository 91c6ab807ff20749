import type { Attribute, Body, Node } from '../graph/graph.js'
import { int, intAttribute, makeNode } from '../graph/rewrite.js'
import { type DataType, elementCount, floatTensor, int64Tensor, type Tensor } from '../tensor.js'
import { dataType } from './casting.js'
import { apply, type Dense, refOf, reshape, scalar, take } from './dense.js'
import { dequantized, quantized, ranges } from './quantised-constants.js'
import { type NodeContext, type Operator, type PlanWriter, axisOf, newestOpset, nodeError, requiredInput, unsupported } from './operator.js'

/*
 * Quantisation, computed in float32. Weights that are dequantised are computed once, when a plan is made.
 */

/** A scale or zero point as it is broadcast: one for all, one for each position of the axis, or one for each block of positions. */
function spreadOut(context: NodeContext, plan: PlanWriter, index: number): Dense {
  const { dims } = requiredInput(context, 0)
  const x = plan.dense(index)
  if (x.dims.length === 0 || (x.dims.length === 1 && x.dims[0] === 1 && dims.length !== 1)) return reshape(plan, x, [])
  const axis = axisOf(context, intAttribute(context.node, 'axis', 1), dims.length)
  const block = intAttribute(context.node, 'block_size', 0)
  if (block === 0) {
    if (x.dims.length !== 1 || x.dims[0] !== dims[axis]) throw nodeError(context, `a scale of [${x.dims}] for axis ${axis} of [${dims}]`)
    return reshape(plan, x, [x.dims[0] as number, ...dims.slice(axis + 1).map(() => 1)])
  }
  const positions = dims.map((dim, other) => Array.from({ length: dim }, (_, i) => (other === axis ? Math.floor(i / block) : i)))
  return take(plan, x, positions)
}

const dequantize: Operator = {
  opType: 'DequantizeLinear',
  opsets: [10, newestOpset],
  dims: (context) => [requiredInput(context, 0).dims],
  dtypes: (context) => [requiredInput(context, 1).dtype],
  fold: dequantized,
  lower(context, plan) {
    const x = context.inputs[2] === undefined ? plan.dense(0) : apply(plan, 'subtract', [plan.dense(0), spreadOut(context, plan, 2)])
    return [refOf(apply(plan, 'multiply', [x, spreadOut(context, plan, 1)]))]
  }
}

function quantizedType(context: NodeContext): DataType {
  const code = intAttribute(context.node, 'output_dtype', 0)
  return context.inputs[2]?.dtype ?? (code === 0 ? 'uint8' : dataType(context, code))
}

const quantize: Operator = {
  opType: 'QuantizeLinear',
  opsets: [10, newestOpset],
  gradient: 'zero',
  dims: (context) => [requiredInput(context, 0).dims],
  dtypes: (context) => [quantizedType(context)],
  fold: quantized,
  lower(context, plan) {
    const dtype = quantizedType(context)
    const range = ranges[dtype]
    if (range === undefined) throw unsupported(context, `quantisation to ${dtype}`, `one of ${Object.keys(ranges).join(', ')} is needed`)
    const rounded = apply(plan, 'round', [apply(plan, 'divide', [plan.dense(0), spreadOut(context, plan, 1)])])
    const shifted = context.inputs[2] === undefined ? rounded : apply(plan, 'add', [rounded, spreadOut(context, plan, 2)])
    return [refOf(apply(plan, 'clip', [shifted, scalar(plan, range[0]), scalar(plan, range[1])]))]
  }
}

interface FormOptions {
  readonly first?: number
  readonly passesGradients?: true
}

/** An operator that nodes stand for. */
function quantizedForm(opType: string, limits: string, bodyOf: (context: NodeContext) => Body, options: FormOptions = {}): Operator {
  return {
    opType,
    limits,
    opsets: [options.first ?? 10, newestOpset],
    ...(options.passesGradients === undefined && { gradient: 'zero' as const }),
    body: bodyOf,
    // Never asked: the body stands for the node.
    dims: () => [],
    lower: () => []
  }
}

/*
 * Operators of quantised values as what they mean: dequantised inputs, the operator itself, a quantised output. Inputs: value, scale and zero
 * point of each operand, scale and zero point of the output, of a convolution its bias, of the product of the scales.
 */
const operands = ['x', 'x_scale', 'x_zero', 'w', 'w_scale', 'w_zero', 'y_scale', 'y_zero'] as const

function quantizedConvolution({ node }: NodeContext): Body {
  const axis = { axis: int(0) }
  const bias = (node.inputs[8] ?? '') === '' ? [] : ['b']
  const scaled = [
    makeNode({ opType: 'Mul', inputs: ['x_scale', 'w_scale'], outputs: ['b_scale'] }),
    makeNode({ opType: 'DequantizeLinear', inputs: ['bias', 'b_scale'], outputs: ['b'], attributes: axis })
  ]
  return {
    inputs: [...operands, 'bias'],
    outputs: ['y'],
    initializers: new Map(),
    nodes: [
      makeNode({ opType: 'DequantizeLinear', inputs: ['x', 'x_scale', 'x_zero'], outputs: ['dx'] }),
      makeNode({ opType: 'DequantizeLinear', inputs: ['w', 'w_scale', 'w_zero'], outputs: ['dw'], attributes: axis }),
      ...(bias.length === 0 ? [] : scaled),
      makeNode({ opType: 'Conv', inputs: ['dx', 'dw', ...bias], outputs: ['c'], attributes: Object.fromEntries(node.attributes) }),
      makeNode({ opType: 'QuantizeLinear', inputs: ['c', 'y_scale', 'y_zero'], outputs: ['y'] })
    ]
  }
}

/** Scales may be one a row of the left side, and one a column of the right. */
function quantizedProduct(context: NodeContext): Body {
  const last = (index: number, from: number): Record<string, Attribute> => ({
    axis: int(Math.max(0, requiredInput(context, index).dims.length - from))
  })
  return {
    inputs: operands,
    outputs: ['y'],
    initializers: new Map(),
    nodes: [
      makeNode({ opType: 'DequantizeLinear', inputs: ['x', 'x_scale', 'x_zero'], outputs: ['dx'], attributes: last(0, 2) }),
      makeNode({ opType: 'DequantizeLinear', inputs: ['w', 'w_scale', 'w_zero'], outputs: ['dw'], attributes: last(3, 1) }),
      makeNode({ opType: 'MatMul', inputs: ['dx', 'dw'], outputs: ['c'] }),
      makeNode({ opType: 'QuantizeLinear', inputs: ['c', 'y_scale', 'y_zero'], outputs: ['y'], attributes: last(0, 2) })
    ]
  }
}

/** Of TensorProto.DataType, for Cast. */
const [toFloat32, toUint8, toInt32] = [{ to: int(1) }, { to: int(2) }, { to: int(6) }] as const

/**
 * An operator of whole numbers as what it means: operands less their zero points, the operator itself, whole numbers. Inputs: both operands, then
 * their zero points, each of which is given the dims that `zeroDims` says, for those of x and w to broadcast.
 */
function integerForm(context: NodeContext, opType: string, zeroDims: (index: number, dims: readonly number[]) => readonly number[]): Body {
  const initializers = new Map<string, Tensor>()
  const nodes = ['x', 'w'].flatMap((name, index) => {
    const cast = makeNode({ opType: 'Cast', inputs: [name], outputs: [`${name}_float`], attributes: toFloat32 })
    const zero = context.inputs[2 + index]
    if (zero === undefined) return [cast]
    const dims = elementCount(zero.dims) === 1 ? [] : zeroDims(index, zero.dims)
    initializers.set(`${name}_dims`, int64Tensor(dims, [dims.length]))
    return [
      cast,
      makeNode({ opType: 'Cast', inputs: [`${name}_zero`], outputs: [`${name}_zero_float`], attributes: toFloat32 }),
      makeNode({ opType: 'Reshape', inputs: [`${name}_zero_float`, `${name}_dims`], outputs: [`${name}_spread`] }),
      makeNode({ opType: 'Sub', inputs: [`${name}_float`, `${name}_spread`], outputs: [`${name}_shifted`] })
    ]
  })
  const operand = (name: string, index: number): string => (context.inputs[2 + index] === undefined ? `${name}_float` : `${name}_shifted`)
  const inputs = ['x', 'w'].map(operand)
  return {
    inputs: ['x', 'w', 'x_zero', 'w_zero'],
    outputs: ['y'],
    initializers,
    nodes: [
      ...nodes,
      makeNode({ opType, inputs, outputs: ['products'], attributes: Object.fromEntries(context.node.attributes) }),
      makeNode({ opType: 'Cast', inputs: ['products'], outputs: ['y'], attributes: toInt32 })
    ]
  }
}

/** The zero point of the weights may be one for each output channel. */
function integerConvolution(context: NodeContext): Body {
  const spatial = requiredInput(context, 1).dims.slice(1)
  return integerForm(context, 'Conv', (index, dims) => (index === 1 ? [...dims, ...spatial.map(() => 1)] : dims))
}

/** Zero points may be one for each row of the left side, or each column of the right: vectors, or of the rank of their side. */
function integerProduct(context: NodeContext): Body {
  return integerForm(context, 'MatMul', (index, dims) => (index === 0 && dims.length === 1 ? [...dims, 1] : dims))
}

/** x by 255 steps from its least to its greatest element, 0 among them. Outputs: the levels, their scale and their zero point. */
function dynamicQuantization(): Body {
  const node = (opType: string, inputs: readonly string[], output: string, attributes: Record<string, Attribute> = {}): Node =>
    makeNode({ opType, inputs, outputs: [output], attributes })
  return {
    inputs: ['x'],
    outputs: ['y', 'scale', 'zero'],
    initializers: new Map([0, 1, 255].map((value) => [String(value), floatTensor(Float32Array.of(value), [])])),
    nodes: [
      node('ReduceMin', ['x'], 'min', { keepdims: int(0) }),
      node('ReduceMax', ['x'], 'max', { keepdims: int(0) }),
      node('Min', ['min', '0'], 'low'),
      node('Max', ['max', '0'], 'high'),
      node('Sub', ['high', 'low'], 'range'),
      node('Div', ['range', '255'], 'step'),
      // Of nothing but zeros; any scale does.
      node('Equal', ['range', '0'], 'is_flat'),
      node('Where', ['is_flat', '1', 'step'], 'scale'),
      node('Div', ['low', 'scale'], 'below'),
      node('Neg', ['below'], 'above'),
      node('Round', ['above'], 'level'),
      node('Cast', ['level'], 'zero', toUint8),
      node('QuantizeLinear', ['x', 'scale', 'zero'], 'y')
    ]
  }
}

export const quantisations: readonly Operator[] = [
  dequantize,
  quantize,
  quantizedForm('QLinearConv', 'computed as DequantizeLinear, Conv and QuantizeLinear', quantizedConvolution),
  quantizedForm('QLinearMatMul', 'computed as DequantizeLinear, MatMul and QuantizeLinear', quantizedProduct),
  quantizedForm('ConvInteger', 'computed in float32', integerConvolution),
  quantizedForm('MatMulInteger', 'computed in float32', integerProduct),
  // Its scale follows from the largest and least element.
  quantizedForm('DynamicQuantizeLinear', '', dynamicQuantization, { first: 11, passesGradients: true })
]
