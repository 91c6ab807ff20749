import { show } from '../errors.js'
import { floatAttribute, intAttribute } from '../graph/rewrite.js'
import { asFloatTensor, elementCount, type Tensor } from '../tensor.js'
import { pointwise } from './conv-spec.js'
import { apply, type Dense, matmul, refOf, reshape, scalar, transpose } from './dense.js'
import {
  type InputInfo,
  type NodeContext,
  type Operator,
  type PlanWriter,
  type ValueRef,
  allOpsets,
  emitShaped,
  floatInput,
  requiredInput,
  shapeError
} from './operator.js'
import { broadcastDims } from './broadcast.js'
import { planWindow } from './window.js'

/** A matrix product with a constant right side is a 1×1 convolution over N×K×1×1. */
interface Product {
  readonly rows: number
  readonly inner: number
  readonly columns: number
  /** Whether the right side is columns×inner, as a convolution's weight is. */
  readonly isTransposed: boolean
}

function emitProduct(context: NodeContext, plan: PlanWriter, product: Product, weight: number, bias: number): readonly ValueRef[] {
  const step = { op: 'convolution', input: plan.blocked(0), ...planWindow(pointwise(2, 1)), groups: 1, weight, bias } as const
  return emitShaped(context, plan, step, [product.rows, product.columns])
}

function isSet(context: NodeContext, name: 'transA' | 'transB'): boolean {
  return intAttribute(context.node, name, 0) !== 0
}

function gemmProduct(context: NodeContext): Product {
  const [left, right] = [requiredInput(context, 0), requiredInput(context, 1)]
  if (left.dims.length !== 2 || right.dims.length !== 2)
    throw shapeError(context, `matrices are needed, got ${show(left.dims)} and ${show(right.dims)}`)
  const [rows, inner] = (isSet(context, 'transA') ? left.dims.toReversed() : left.dims) as [number, number]
  const [other, columns] = (isSet(context, 'transB') ? right.dims.toReversed() : right.dims) as [number, number]
  if (inner === other) return { rows, inner, columns, isTransposed: isSet(context, 'transB') }
  throw shapeError(
    context,
    `input ${show(left.name)}: expected ${isSet(context, 'transA') ? `${other}×M` : `N×${other}`}, got ${left.dims.join('×')}`
  )
}

function scaled(tensor: Tensor, factor: number): Tensor {
  return { ...tensor, data: (tensor.data as Float32Array).map((value) => value * factor) }
}

function transposedData(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number)
}

/** A constant input as float32; `undefined` when it is computed or of another type. */
function constantFloats(input: InputInfo | undefined): Tensor | undefined {
  return input?.constant === undefined ? undefined : asFloatTensor(input.constant)
}

function gemmWeight(context: NodeContext, plan: PlanWriter, product: Product, weight: Tensor): number {
  const alpha = floatAttribute(context.node, 'alpha', 1)
  if (alpha === 1) return product.isTransposed ? plan.parameter(weight) : plan.transposed(weight)
  const data = scaled(weight, alpha).data as Float32Array
  return plan.derived(product.isTransposed ? data : transposedData(data, product.inner, product.columns))
}

/** C as one value a column, or one for all of them; `undefined`: it is something else. */
function gemmBias(context: NodeContext, columns: number): { readonly tensor: Tensor | undefined } | undefined {
  const beta = floatAttribute(context.node, 'beta', 1)
  if (context.inputs[2] === undefined || beta === 0) return { tensor: undefined }
  const bias = constantFloats(context.inputs[2])
  if (bias === undefined) return undefined
  if (bias.data.length === 1 && columns !== 1) {
    return { tensor: scaled({ ...bias, dims: [columns], data: new Float32Array(columns).fill(bias.data[0] as number) }, beta) }
  }
  if (bias.data.length !== columns || (bias.dims.at(-1) !== columns && columns !== 1)) return undefined
  return { tensor: beta === 1 ? bias : scaled(bias, beta) }
}

/** Of `gemmProduct` with constant B and C, B and C stay parameters of their own: beta·((alpha/beta)·A·B' + C). */
function gemmForTraining(context: NodeContext, plan: PlanWriter, product: Product, weight: Tensor): readonly ValueRef[] | undefined {
  const [alpha, beta] = [floatAttribute(context.node, 'alpha', 1), floatAttribute(context.node, 'beta', 1)]
  const bias = context.inputs[2]?.constant
  const { columns } = product
  const trains = bias === undefined || beta === 0 || bias.data.length === columns
  if ((alpha === 1 && beta === 1) || !trains) return undefined
  const parameter = product.isTransposed ? plan.parameter(weight) : plan.transposed(weight)
  const [{ value } = { value: 0 }] = emitProduct(context, plan, product, parameter, -1)
  const constant = (fill: number): number => plan.derived(new Float32Array(columns).fill(fill))
  const affine = (input: number, scale: number, shift: number): ValueRef =>
    plan.emit({ op: 'affine', input, scale: constant(scale), shift }, plan.shape(input))
  if (bias === undefined || beta === 0) return [affine(value, alpha, constant(0))]
  const sum = affine(value, alpha / beta, plan.parameter(floatInput(context, 2, 'matrix C')))
  return [beta === 1 ? sum : affine(sum.value, beta, constant(0))]
}

/** Y = alpha·A'·B' + beta·C */
const gemm: Operator = {
  opType: 'Gemm',
  opsets: allOpsets,
  parameters: [1, 2],
  dims(context) {
    const { rows, columns } = gemmProduct(context)
    return [[rows, columns]]
  },
  macs: (context, outputDims) => elementCount(outputDims) * gemmProduct(context).inner,
  lower(context, plan) {
    const product = gemmProduct(context)
    const [weight, bias] = [constantFloats(context.inputs[1]), gemmBias(context, product.columns)]
    if (weight === undefined || bias === undefined || isSet(context, 'transA') || requiredInput(context, 0).constant !== undefined)
      return [refOf(gemmDense(context, plan))]
    const trained = plan.training === undefined ? undefined : gemmForTraining(context, plan, product, weight)
    if (trained !== undefined) return trained
    const shift = bias.tensor === undefined ? -1 : plan.parameter(bias.tensor)
    return emitProduct(context, plan, product, gemmWeight(context, plan, product, weight), shift)
  }
}

function gemmDense(context: NodeContext, plan: PlanWriter): Dense {
  const matrix = (index: number, name: 'transA' | 'transB'): Dense =>
    isSet(context, name) ? transpose(plan.dense(index), [1, 0]) : plan.dense(index)
  const scaledBy = (x: Dense, factor: number): Dense => (factor === 1 ? x : apply(plan, 'multiply', [x, scalar(plan, factor)]))
  const product = scaledBy(matmul(plan, matrix(0, 'transA'), matrix(1, 'transB')), floatAttribute(context.node, 'alpha', 1))
  const beta = floatAttribute(context.node, 'beta', 1)
  if (context.inputs[2] === undefined || beta === 0) return product
  return apply(plan, 'add', [product, scaledBy(plan.dense(2), beta)])
}

/** NumPy's rule: vectors become matrices for the product, batches are broadcast. */
function matMulDims(context: NodeContext): {
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly dims: readonly number[]
} {
  const [left, right] = [requiredInput(context, 0).dims, requiredInput(context, 1).dims]
  if (left.length === 0 || right.length === 0) throw shapeError(context, 'a scalar has no product')
  const a = left.length === 1 ? [1, ...left] : left
  const b = right.length === 1 ? [...right, 1] : right
  if (a.at(-1) !== b.at(-2)) throw shapeError(context, `${show(left)} and ${show(right)} do not fit each other`)
  const batches = broadcastDims(context, [a.slice(0, -2), b.slice(0, -2)])
  const dims = [...batches, ...(left.length === 1 ? [] : [a.at(-2) as number]), ...(right.length === 1 ? [] : [b.at(-1) as number])]
  return { a, b, dims }
}

const matMul: Operator = {
  opType: 'MatMul',
  opsets: allOpsets,
  parameters: [1],
  dims: (context) => [matMulDims(context).dims],
  macs: (context, outputDims) => elementCount(outputDims) * (requiredInput(context, 0).dims.at(-1) as number),
  lower(context, plan) {
    const { a, b, dims } = matMulDims(context)
    const weight = constantFloats(context.inputs[1])
    const [rows = 1, inner = 1] = a
    if (weight?.dims.length === 2 && requiredInput(context, 0).dims.length === 2 && plan.isBlocked(0)) {
      const product = { rows, inner, columns: b[1] as number, isTransposed: false }
      return emitProduct(context, plan, product, plan.transposed(weight), -1)
    }
    const product = matmul(plan, reshape(plan, plan.dense(0), a), reshape(plan, plan.dense(1), b))
    return [refOf(reshape(plan, product, dims))]
  }
}

export const matrixProducts: readonly Operator[] = [gemm, matMul]
