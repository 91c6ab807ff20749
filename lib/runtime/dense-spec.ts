import type { PlanActivation } from './plan-spec.js'

/**
 * Steps over dense values: row-major tensors of any rank, kept as nothing but their elements. A step says how it reads them, so that
 * a reshape is no step at all. Values of every ONNX type are float32 in a plan: integers are refused where that would not be exact.
 */

/** Element (i0, i1, …) is at offset + Σ i·stride of the value's elements. Strides may be 0 (broadcasting) or negative. */
export interface DenseView {
  readonly offset: number
  readonly strides: readonly number[]
}

/** Elements that move from input number `input` to the output. */
export interface CopyPiece {
  readonly input: number
  readonly dims: readonly number[]
  readonly from: DenseView
  readonly to: DenseView
}

/** The integer type that results must fit: 8 and 16 bits wrap around, wider ones fail unless float32 holds them exactly. */
export interface IntegerType {
  readonly bits: number
  readonly signed: boolean
}

export type UnaryFunction =
  | 'identity'
  | 'abs'
  | 'negate'
  | 'floor'
  | 'ceil'
  | 'round'
  | 'truncate'
  | 'sign'
  | 'sqrt'
  | 'reciprocal'
  | 'exp'
  | 'log'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'erf'
  | 'not'
  | 'truth'
  | 'is_nan'
  /** numbers: whether −∞ and +∞ count (0 or 1). */
  | 'is_infinite'
  /** numbers: bias, lambda. */
  | 'shrink'
  /** numbers: alpha. */
  | 'celu'

export type BinaryFunction =
  | 'add'
  | 'subtract'
  | 'multiply'
  | 'divide'
  | 'divide_integer'
  | 'power'
  | 'power_integer'
  | 'fmod'
  | 'modulo'
  | 'minimum'
  | 'maximum'
  | 'equal'
  | 'less'
  | 'less_equal'
  | 'and'
  | 'or'
  | 'xor'
  /** x < 0 ? slope·x : x */
  | 'prelu'

export type TernaryFunction = 'where' | 'multiply_add' | 'clip'

export type ReduceFunction =
  | 'sum'
  | 'mean'
  | 'maximum'
  | 'minimum'
  | 'product'
  | 'l1'
  | 'l2'
  | 'log_sum'
  | 'log_sum_exp'
  | 'sum_square'
  | 'arg_max'
  | 'arg_min'

interface Inputs {
  readonly inputs: readonly number[]
  readonly output: number
}

/**
 * An element-wise function of one to three inputs. Over dense values `dims` are the output's and each input has a view; over blocked ones
 * both are left out: inputs have the output's channels, and its other extents or 1.
 */
export interface ElementwiseStep extends Inputs {
  readonly op: 'elementwise'
  readonly function: UnaryFunction | BinaryFunction | TernaryFunction
  readonly dims?: readonly number[]
  readonly views?: readonly DenseView[]
  /** Constants of the function. */
  readonly numbers?: Float32Array
  readonly integer?: IntegerType
}

export type DenseStep =
  /** Blocked N×C×H×W to dense and back. */
  | { readonly op: 'to_dense' | 'to_blocked'; readonly input: number; readonly output: number }
  /** Strided copies into the output, which `fill` is written to first where it is given. */
  | (Inputs & { readonly op: 'copy'; readonly pieces: readonly CopyPiece[]; readonly fill?: number })
  /** out[i0, i1, …] = in[t0[i0] + t1[i1] + …], `fill` where a table says −1. */
  | (Inputs & { readonly op: 'take'; readonly tables: readonly Int32Array[]; readonly fill?: number })
  /**
   * A sparse linear map along the middle axis. sizes: outer, size, inner, taps; tables: `taps` positions for each output along the axis;
   * numbers: their weights.
   */
  | (Inputs & {
      readonly op: 'interpolate'
      readonly sizes: readonly number[]
      readonly tables: readonly [Int32Array]
      readonly numbers: Float32Array
    })
  /** views: of the axes kept (dims), of those reduced. flags, for arg_max and arg_min: the last of equal elements. */
  | (Inputs & {
      readonly op: 'reduce'
      readonly function: ReduceFunction
      readonly dims: readonly number[]
      readonly reduced: readonly number[]
      readonly views: readonly [DenseView, DenseView]
      readonly flags?: readonly [boolean]
    })
  /** sizes: outer, size, inner; along the middle one. flags, for cumulative_sum: exclusive, reverse. */
  | (Inputs & {
      readonly op: 'along'
      readonly function: 'softmax' | 'log_softmax' | 'hardmax' | 'cumulative_sum'
      readonly sizes: readonly [number, number, number]
      readonly flags?: readonly [boolean, boolean]
    })
  /**
   * Rows to mean 0 and variance 1. sizes: rows, row; numbers: epsilon; flags: means and inverse deviations follow the output (`rows` each),
   * the mean is left in (RMS normalisation).
   */
  | (Inputs & {
      readonly op: 'normalise'
      readonly sizes: readonly [number, number]
      readonly numbers: Float32Array
      readonly flags: readonly [boolean, boolean]
    })
  /**
   * By computed indices; inputs: data, indices, for scatter updates. `axis`: sizes outer, size, inner, number of indices. `elements`: dims of
   * the indices, a view of the data, sizes axis and the data's size along it. `nd`: sizes batches, tuples of a batch, row; dims: the data's
   * axes that tuples address. names, for scatter: how updates are combined (add, multiply, minimum, maximum; none: the last one stays).
   */
  | (Inputs & {
      readonly op: 'gather' | 'scatter'
      readonly function: 'axis' | 'elements' | 'nd'
      readonly sizes: readonly number[]
      readonly dims?: readonly number[]
      readonly views?: readonly [DenseView]
      readonly names?: readonly string[]
    })
  /** sizes: outer, size, inner, k; flags: largest first. Output: values, then indices. */
  | (Inputs & { readonly op: 'top_k'; readonly sizes: readonly [number, number, number, number]; readonly flags: readonly [boolean] })
  /**
   * sizes: planes; tables: spatial extents of the input, of the output, kernel, strides, dilations, pads at the beginning, at the end; numbers:
   * p of a norm; flags: pads count in averages, indices follow the output, those are column-major.
   */
  | (Inputs & {
      readonly op: 'pool'
      readonly function: 'maximum' | 'average' | 'norm'
      readonly sizes: readonly [number]
      readonly tables: readonly Int32Array[]
      readonly numbers?: Float32Array
      readonly flags: readonly [boolean, boolean, boolean]
    })
  /** dims: batches; sizes: rows, columns, inner; views of both: strides by batch axis, then rows and columns. */
  | (Inputs & {
      readonly op: 'matmul'
      readonly dims: readonly number[]
      readonly sizes: readonly [number, number, number]
      readonly views: readonly [DenseView, DenseView]
    })
  /**
   * A recurrent layer over X T×B×I, W D×GH×I, R D×GH×H and the inputs that tables[0] places (−1: none): bias, lengths, initial h and c,
   * peepholes. sizes: T, B, I, H, D, 1 where the first direction is backwards; cell: activations by direction; numbers: clip (0: none); flags:
   * lstm couples its gates, gru resets behind the product. Output: Y T×D×B×H, last h, last c.
   */
  | (Inputs & {
      readonly op: 'recurrent'
      readonly function: 'lstm' | 'gru' | 'rnn'
      readonly sizes: readonly number[]
      readonly tables: readonly [Int32Array]
      readonly cell: readonly PlanActivation[]
      readonly numbers: Float32Array
      readonly flags: readonly [boolean]
    })
  | ElementwiseStep
