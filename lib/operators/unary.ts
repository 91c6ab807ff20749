import { floatAttribute, intAttribute } from '../graph/rewrite.js'
import type { UnaryFunction } from '../runtime/dense-spec.js'
import { type DataType, type Tensor, arrayType } from '../tensor.js'
import { emitFunction } from './either.js'
import { type NodeContext, type Operator, allOpsets, everyOpset, newestOpset, requiredInput } from './operator.js'

interface Options {
  readonly first?: number
  readonly numbers?: (context: NodeContext) => readonly number[]
  /** Its results are constant but for jumps. */
  readonly isStepwise?: true
  /** The type of the output. Default: that of the input. */
  readonly dtype?: DataType
  /** For shape arithmetic. */
  readonly fold?: (value: number) => number
}

function unary(opType: string, name: UnaryFunction, options: Options = {}): Operator {
  const dtypeOf = (context: NodeContext): DataType => options.dtype ?? requiredInput(context, 0).dtype
  return {
    opType,
    opsets: [options.first ?? allOpsets[0], newestOpset],
    ...(options.isStepwise === true && { gradient: 'zero' }),
    dims: (context) => [requiredInput(context, 0).dims],
    dtypes: (context) => [dtypeOf(context)],
    fold: (context) => foldUnary(context, dtypeOf(context), options.fold),
    lower(context, plan) {
      const numbers = options.numbers === undefined ? {} : { numbers: options.numbers(context) }
      return [emitFunction(context, plan, name, 1, { dtype: dtypeOf(context), ...numbers })]
    }
  }
}

/** Of integers and booleans; floating-point constants are left to native code. */
function foldUnary(context: NodeContext, dtype: DataType, f: Options['fold']): readonly Tensor[] | undefined {
  const tensor = context.inputs[0]?.constant
  if (tensor === undefined || f === undefined || tensor.dtype.includes('float')) return undefined
  const values = Array.from(tensor.data as ArrayLike<number | bigint>, (value) => f(Number(value)))
  const data = dtype.endsWith('int64')
    ? BigInt64Array.from(values, BigInt)
    : (arrayType(dtype) as unknown as Int32ArrayConstructor).from(values)
  return [{ dtype, dims: tensor.dims, data }]
}

export const unaries: readonly Operator[] = [
  unary('Abs', 'abs', { fold: Math.abs }),
  unary('Neg', 'negate', { fold: (value) => -value }),
  unary('Floor', 'floor', { isStepwise: true }),
  unary('Ceil', 'ceil', { isStepwise: true }),
  unary('Round', 'round', { first: 11, isStepwise: true }),
  unary('Sign', 'sign', { first: 9, isStepwise: true, fold: Math.sign }),
  unary('Sqrt', 'sqrt'),
  unary('Reciprocal', 'reciprocal'),
  unary('Exp', 'exp'),
  unary('Log', 'log'),
  unary('Sin', 'sin'),
  unary('Cos', 'cos'),
  unary('Tan', 'tan'),
  unary('Asin', 'asin'),
  unary('Acos', 'acos'),
  unary('Atan', 'atan'),
  unary('Sinh', 'sinh', { first: 9 }),
  unary('Cosh', 'cosh', { first: 9 }),
  unary('Asinh', 'asinh', { first: 9 }),
  unary('Acosh', 'acosh', { first: 9 }),
  unary('Atanh', 'atanh', { first: 9 }),
  unary('Erf', 'erf', { first: 9 }),
  unary('Not', 'not', { first: everyOpset[0], dtype: 'bool', isStepwise: true, fold: (value) => (value === 0 ? 1 : 0) }),
  unary('IsNaN', 'is_nan', { first: 9, dtype: 'bool', isStepwise: true }),
  unary('IsInf', 'is_infinite', {
    first: 10,
    dtype: 'bool',
    isStepwise: true,
    numbers: ({ node }) => [intAttribute(node, 'detect_negative', 1), intAttribute(node, 'detect_positive', 1)]
  }),
  unary('Celu', 'celu', { first: 12, numbers: ({ node }) => [floatAttribute(node, 'alpha', 1)] }),
  unary('Shrink', 'shrink', {
    first: 9,
    numbers: ({ node }) => [floatAttribute(node, 'bias', 0), floatAttribute(node, 'lambd', 0.5)]
  })
]
