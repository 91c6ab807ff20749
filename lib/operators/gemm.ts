import { show } from '../errors.js'
import { floatAttribute, intAttribute } from '../graph/rewrite.js'
import { elementCount, type Tensor } from '../tensor.js'
import { pointwise } from './conv-spec.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  emitShaped,
  floatInput,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'
import { planWindow } from './window.js'

/** A matrix product with a constant right side is a 1×1 convolution over N×K×1×1. */
interface Product {
  readonly rows: number
  readonly inner: number
  readonly columns: number
  /** Whether the constant is columns×inner, as a convolution's weight is. */
  readonly isTransposed: boolean
}

function productOf(context: NodeContext, isTransposed: boolean): Product {
  const [left, right] = [requiredInput(context, 0), requiredInput(context, 1)]
  const [first = 0, second = 0] = right.dims
  const [inner, columns] = isTransposed ? [second, first] : [first, second]
  if (right.dims.length !== 2) throw unsupported(context, `a right side of shape ${show(right.dims)}`, 'a matrix is needed')
  if (left.dims.length !== 2)
    throw unsupported(context, `a left side of shape ${show(left.dims)}`, 'N×K is needed (a Flatten in front of it)')
  if (left.dims[1] !== inner) throw shapeError(context, `input ${show(left.name)}: expected N×${inner}, got ${left.dims.join('×')}`)
  return { rows: left.dims[0] as number, inner, columns, isTransposed }
}

function emitProduct(context: NodeContext, plan: PlanWriter, product: Product, weight: number, bias: number): readonly ValueRef[] {
  const step = { op: 'convolution', input: plan.plain(0), ...planWindow(pointwise(2, 1)), groups: 1, weight, bias } as const
  return emitShaped(context, plan, step, [product.rows, product.columns])
}

function gemmProduct(context: NodeContext): Product {
  if (intAttribute(context.node, 'transA', 0) !== 0) throw unsupported(context, 'transA=1', 'transA=0 is needed')
  return productOf(context, intAttribute(context.node, 'transB', 0) !== 0)
}

function scaled(tensor: Tensor, factor: number): Tensor {
  return { ...tensor, data: (tensor.data as Float32Array).map((value) => value * factor) }
}

function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number)
}

function gemmWeight(context: NodeContext, plan: PlanWriter, product: Product): number {
  const weight = floatInput(context, 1, 'matrix B')
  const alpha = floatAttribute(context.node, 'alpha', 1)
  if (alpha === 1) return product.isTransposed ? plan.parameter(weight) : plan.transposed(weight)
  const data = scaled(weight, alpha).data as Float32Array
  return plan.derived(product.isTransposed ? data : transpose(data, product.inner, product.columns))
}

/** C is added to each row: one value a column, or one for all of them. */
function gemmBias(context: NodeContext, plan: PlanWriter, columns: number): number {
  const beta = floatAttribute(context.node, 'beta', 1)
  if (context.inputs[2] === undefined || beta === 0) return -1
  const bias = floatInput(context, 2, 'matrix C')
  if (bias.data.length === 1 && columns !== 1) return plan.derived(new Float32Array(columns).fill(Number(bias.data[0]) * beta))
  if (bias.data.length !== columns || (bias.dims.at(-1) !== columns && columns !== 1)) {
    throw unsupported(context, `a C of shape ${show(bias.dims)}`, `${columns} elements, one a column, are needed`)
  }
  return beta === 1 ? plan.parameter(bias) : plan.derived(scaled(bias, beta).data as Float32Array)
}

function gemmForInference(context: NodeContext, plan: PlanWriter, product: Product): readonly ValueRef[] {
  return emitProduct(context, plan, product, gemmWeight(context, plan, product), gemmBias(context, plan, product.columns))
}

/** B and C stay parameters of their own: beta·((alpha/beta)·A·B' + C). */
function gemmForTraining(context: NodeContext, plan: PlanWriter, product: Product): readonly ValueRef[] {
  const [alpha, beta] = [floatAttribute(context.node, 'alpha', 1), floatAttribute(context.node, 'beta', 1)]
  const [weight, bias] = [floatInput(context, 1, 'matrix B'), context.inputs[2]?.constant]
  const { columns } = product
  const trains = bias === undefined || beta === 0 || bias.data.length === columns
  if ((alpha === 1 && beta === 1) || !trains) return gemmForInference(context, plan, product)
  const parameter = product.isTransposed ? plan.parameter(weight) : plan.transposed(weight)
  const [{ value } = { value: 0 }] = emitProduct(context, plan, product, parameter, -1)
  const constant = (fill: number): number => plan.derived(new Float32Array(columns).fill(fill))
  const affine = (input: number, scale: number, shift: number): ValueRef =>
    plan.emit({ op: 'affine', input, scale: constant(scale), shift }, plan.shape(input))
  if (bias === undefined || beta === 0) return [affine(value, alpha, constant(0))]
  const sum = affine(value, alpha / beta, plan.parameter(floatInput(context, 2, 'matrix C')))
  return [beta === 1 ? sum : affine(sum.value, beta, constant(0))]
}

/** Y = alpha·A·B' + beta·C with constant B and C. */
const gemm: Operator = {
  opType: 'Gemm',
  opsets: allOpsets,
  hasGradient: true,
  parameters: [1, 2],
  dims(context) {
    const { rows, columns } = gemmProduct(context)
    return [[rows, columns]]
  },
  macs: (context, outputDims) => elementCount(outputDims) * gemmProduct(context).inner,
  lower(context, plan) {
    const product = gemmProduct(context)
    return plan.training === undefined ? gemmForInference(context, plan, product) : gemmForTraining(context, plan, product)
  }
}

/** A·B with a constant matrix B. */
const matMul: Operator = {
  opType: 'MatMul',
  opsets: allOpsets,
  hasGradient: true,
  parameters: [1],
  dims(context) {
    const { rows, columns } = productOf(context, false)
    return [[rows, columns]]
  },
  macs: (context, outputDims) => elementCount(outputDims) * productOf(context, false).inner,
  lower(context, plan) {
    return emitProduct(context, plan, productOf(context, false), plan.transposed(floatInput(context, 1, 'right matrix')), -1)
  }
}

export const matrixProducts: readonly Operator[] = [gemm, matMul]
