import type { DenseStep } from './dense-spec.js'

/**
 * What TypeScript hands to native code: a network with every shape resolved and every decision about fusion taken.
 * Values are of two kinds. Blocked ones are 4-D, N×C×H×W (a matrix N×C has H = W = 1), and native code chooses their layout in memory:
 * convolutions and what stands between them work on these. Dense ones are the elements of a row-major tensor of any rank.
 */
export interface PlanSpec {
  readonly threads: number
  /** Keeps activations for the backward pass and allocates gradients. */
  readonly training: boolean
  /**
   * Images of the batch that go through the network at a time; where images depend on each other, all must. In training a divisor of the batch.
   * Default: what is expected to be fastest. The bits of every result are the same.
   */
  readonly slice?: number
  readonly values: readonly PlanValue[]
  readonly parameters: readonly PlanParameter[]
  /** In execution order. */
  readonly steps: readonly PlanStep[]
  /** Indices into `values`, in the caller's order. */
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
}

export interface PlanValue {
  readonly n: number
  readonly c: number
  readonly h: number
  readonly w: number
  /** Row-major; n, c and h are 1, w is the number of elements. Default: blocked. */
  readonly dense?: true
  /** Of a blocked value in inference: kept in bfloat16. Never a plan output. */
  readonly bf16?: true
  /** Of a dense value: the parameter that holds its elements, a constant or, in training, what may be trained. */
  readonly parameter?: number
}

/** Weights in ONNX layout; copied and packed when the plan is made. `trainable` is only read with `training`. */
export interface PlanParameter {
  readonly data: Float32Array
  readonly trainable: boolean
}

/** Two-axis window geometry, [H, W]; pads are [top, left, bottom, right] as in ONNX. */
export interface PlanWindow {
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  readonly pads: readonly [number, number, number, number]
  readonly dilations: readonly [number, number]
}

/**
 * An element-wise function. `relu`: max(x, 0). `leaky_relu`: x < 0 ? alpha·x : x. `clip`: min(max(x, alpha), beta).
 * `hard_sigmoid`: clip(alpha·x + beta, 0, 1). `hard_swish`: alpha·x·clip(x/6 + ½, 0, 1). `elu`: x < 0 ? alpha·(eˣ − 1) : x. `selu`: beta·elu(x).
 * `softplus`: ln(1 + eˣ). `swish`: x·sigmoid(alpha·x). `gelu`: x·Φ(x), `gelu_tanh` its approximation. `mish`: x·tanh(softplus(x)).
 * `softsign`: x/(1 + |x|). `thresholded_relu`: x > alpha ? x : 0. `affine`: alpha·x + beta. `scaled_tanh`: alpha·tanh(beta·x). `sigmoid`, `tanh`, `none`.
 */
export interface PlanActivation {
  readonly kind:
    | 'none'
    | 'relu'
    | 'leaky_relu'
    | 'clip'
    | 'sigmoid'
    | 'tanh'
    | 'hard_sigmoid'
    | 'hard_swish'
    | 'elu'
    | 'selu'
    | 'softplus'
    | 'swish'
    | 'gelu'
    | 'gelu_tanh'
    | 'mish'
    | 'softsign'
    | 'thresholded_relu'
    | 'affine'
    | 'scaled_tanh'
  readonly alpha?: number
  readonly beta?: number
}

/** One convolution: weight parameter [Cout, Cin/groups, kH, kW], bias parameter [Cout] or -1 for none. */
export interface PlanConvolution extends PlanWindow {
  readonly groups: number
  readonly weight: number
  readonly bias: number
}

/**
 * How a convolution is computed: directly, or, where it is 3×3 with stride and dilation 1, by Winograd's F(2×2, 3×3) or F(4×4, 3×3).
 * `automatic` takes what is expected to be fastest, by the shape of one image: neither batch nor threads change the choice.
 */
export type ConvolutionAlgorithm = 'automatic' | 'direct' | 'winograd2' | 'winograd4'

/**
 * How channels are grouped by maxout: output channel o is the maximum over j < pieces of input channel
 * o·pieces + j (`adjacent`) or j·C/pieces + o (`strided`).
 */
export interface PlanMaxout {
  readonly pieces: number
  readonly order: 'adjacent' | 'strided'
}

/** Where a step comes from, for people: native code does not read it. */
export interface StepOrigin {
  /** Names of the nodes that it computes. */
  readonly nodes?: readonly string[]
  /** Why it is not joined with the step before it. */
  readonly apart?: string
}

export type PlanStep = StepOrigin & StepKind

type StepKind =
  /** output = activation(maxout(conv(input) + bias)) [+ residual before the activation]. In training: only relu and a residual are fused. */
  | (PlanConvolution & {
      readonly op: 'convolution'
      readonly input: number
      readonly output: number
      /** By bfloat16 kernels, from an input in bfloat16. Inference only. */
      readonly bf16?: true
      readonly maxout?: PlanMaxout
      readonly activation?: PlanActivation
      readonly residual?: number
      /** Default: automatic. Training is always direct. */
      readonly algorithm?: ConvolutionAlgorithm
    })
  /**
   * A chain of convolutions whose intermediate values never reach memory: reduce 1×1 → depthwise kH×1 → depthwise
   * 1×kW → expand 1×1 or a part of it. Stages are in order; the last one is the expand, whose output takes the epilogue.
   * The first stage is either a pointwise (grouped) convolution or, for one input channel a group, a kH×1 one. Inference only.
   */
  | {
      readonly op: 'cp_block'
      readonly input: number
      readonly output: number
      /** By bfloat16 kernels; its input is in bfloat16, unless the first stage is a k×1 convolution of one input channel a group. */
      readonly bf16?: true
      readonly stages: readonly PlanConvolution[]
      readonly maxout?: PlanMaxout
      readonly activation?: PlanActivation
      readonly residual?: number
    }
  | { readonly op: 'activation'; readonly input: number; readonly output: number; readonly activation: PlanActivation }
  | ({ readonly op: 'maxout'; readonly input: number; readonly output: number } & PlanMaxout)
  | (PlanWindow & {
      readonly op: 'max_pool' | 'average_pool'
      readonly input: number
      readonly output: number
      readonly countIncludePad: boolean
    })
  | { readonly op: 'global_average_pool'; readonly input: number; readonly output: number }
  /** Element-wise over two values of the same shape. */
  | { readonly op: 'add' | 'multiply'; readonly inputs: readonly [number, number]; readonly output: number }
  /** y = scale[c]·x + shift[c], both parameters of C values (batch norm that could not be folded). */
  | { readonly op: 'affine'; readonly input: number; readonly output: number; readonly scale: number; readonly shift: number }
  /**
   * Training only: y = activation(scale·(x − mean)/√(variance + epsilon) + bias [+ residual]) by channel; the activation is relu or none.
   * `batchStatistics`: those of the batch in training passes, and the running ones follow: running ← momentum·running + (1 − momentum)·batch.
   */
  | {
      readonly op: 'batch_norm'
      readonly input: number
      readonly output: number
      readonly scale: number
      readonly bias: number
      readonly mean: number
      readonly variance: number
      readonly epsilon: number
      readonly momentum: number
      readonly batchStatistics: boolean
      readonly activation?: PlanActivation
      readonly residual?: number
    }
  /** Training only: keeps a value with probability 1 − ratio and divides it by that; nothing in evaluation. */
  | { readonly op: 'dropout'; readonly input: number; readonly output: number; readonly ratio: number }
  /** Over channels. */
  | { readonly op: 'softmax' | 'log_softmax'; readonly input: number; readonly output: number }
  /** N×C×H×W → N×(C·H·W)×1×1 in row-major (C, H, W) order. */
  | { readonly op: 'flatten'; readonly input: number; readonly output: number }
  /** Along channels. */
  | { readonly op: 'concat'; readonly inputs: readonly number[]; readonly output: number }
  /**
   * A transposed convolution: the backward pass to the data of a convolution from the output to the input. weight: Cin×Cout/groups×kH×kW.
   */
  | (PlanConvolution & { readonly op: 'conv_transpose'; readonly input: number; readonly output: number })
  /**
   * Rows and columns are sums over taps. sizes: taps a row, a column; tables: positions, `taps` for each row and each column of the output;
   * numbers: their weights, rows first.
   */
  | {
      readonly op: 'resample'
      readonly input: number
      readonly output: number
      readonly sizes: readonly [number, number]
      readonly tables: readonly [Int32Array, Int32Array]
      readonly numbers: Float32Array
    }
  /** Output channel c is input channel tables[0][c]. */
  | { readonly op: 'channels'; readonly input: number; readonly output: number; readonly tables: readonly [Int32Array] }
  /** The same value in bfloat16, or back in float32. Inference only. */
  | { readonly op: 'convert'; readonly input: number; readonly output: number }
  /** Local response normalisation over channels: y = x / (bias + alpha/size · Σ x²)^beta. */
  | {
      readonly op: 'lrn'
      readonly input: number
      readonly output: number
      readonly size: number
      readonly alpha: number
      readonly beta: number
      readonly bias: number
    }
  | DenseStep
