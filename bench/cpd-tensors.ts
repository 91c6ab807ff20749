import path from 'node:path'
import { charnetFile, root } from '../examples/charnet/paths.js'
import { type Factor, reconstruct } from '../lib/decomposition/factors.js'
import { readOnnx, type Tensor } from '../lib/index.js'
import { elementCount } from '../lib/tensor.js'
import { gaussian } from './harness.js'

/** One tensor at one rank. */
export interface CpdProblem {
  readonly name: string
  readonly rank: number
  readonly tensor: () => Promise<Tensor>
  /** Relative error at which an exact problem counts as solved; without it, 0.1 % above the best error of any solver. */
  readonly target?: number
}

/** Trained and smooth kernels, swamps and noise: what readers ask of a CP solver. */
export const cpdProblems: readonly CpdProblem[] = [
  ...['conv2', 'conv3'].flatMap((layer) =>
    [16, 64, 128].map((rank) => ({ name: `${layer} R=${rank}`, rank, tensor: () => trainedKernel(layer) }))
  ),
  ...[16, 48].map((rank) => ({ name: `detector 24×96×3×3 R=${rank}`, rank, tensor: detectorKernel })),
  ...[256, 512].flatMap((channels) =>
    [128, 256].map((rank) => ({
      name: `smooth ${channels}×${channels}×3×3 R=${rank}`,
      rank,
      tensor: async () => smoothKernel(channels)
    }))
  ),
  { name: 'noise 128×48×9×9 R=64', rank: 64, tensor: async () => noise([128, 48, 9, 9]) },
  { name: 'swamp 40×40×40 R=8', rank: 8, tensor: async () => swamp([40, 40, 40], 8, 0.95), target: 1e-6 },
  { name: 'swamp 20×20×20×20 R=8', rank: 8, tensor: async () => swamp([20, 20, 20, 20], 8, 0.9), target: 1e-6 },
  { name: 'noisy 12×12×12×12×12 R=10', rank: 10, tensor: async () => noisy([12, 12, 12, 12, 12], 10, 0.1) }
]

async function trainedKernel(layer: string): Promise<Tensor> {
  const tensor = (await readOnnx(charnetFile)).initializers.get(`${layer}.weight`)
  if (tensor === undefined) throw new TypeError(`CharNet has no ${layer}.weight`)
  return tensor
}

// The largest kernel that is no 1×1 and no depthwise one of PP-OCR's text detector.
async function detectorKernel(): Promise<Tensor> {
  const file = path.join(root, 'node_modules', '@gutenye', 'ocr-models', 'assets', 'ch_PP-OCRv4_det_infer.onnx')
  const node = (await readOnnx(file)).nodes.find(({ outputs }) => outputs[0] === 'conv2d_159.w_0')
  const value = node?.attributes.get('value')
  if (value?.kind !== 'tensor') throw new TypeError('the text detector has no conv2d_159.w_0')
  return value.value
}

// What no decomposition fits: the hardest for second-order methods, whose model of the objective is wrong there.
function noise(dims: readonly number[]): Tensor {
  return { dtype: 'float32', dims, data: gaussian(elementCount(dims), 3) }
}

/** A start of normal columns, scaled to fit the tensor as well as its directions can. */
export function startOf(tensor: Tensor, rank: number, seed: number): Factor[] {
  const factors = tensor.dims.map(
    (dim, n): Factor => ({
      data: Float64Array.from(gaussian(dim * rank, 1000 * seed + n + 1)),
      dims: [dim, rank]
    })
  )
  const model = reconstruct(factors).data as Float64Array
  const data = tensor.data as Float32Array | Float64Array
  let inner = 0
  let norm = 0
  for (let i = 0; i < model.length; i++) {
    inner += (model[i] as number) * (data[i] as number)
    norm += (model[i] as number) ** 2
  }
  const share = (Math.abs(inner) / norm) ** (1 / factors.length)
  return factors.map(({ data: values, dims }, n) => ({
    data: Float64Array.from(values, (value) => value * share * (n === 0 && inner < 0 ? -1 : 1)),
    dims
  }))
}

/** Columns whose cosine is `cosine` in every mode: collinear terms, where alternating least squares creeps. */
export function swamp(dims: readonly number[], rank: number, cosine: number, seed = 7): Tensor {
  const factors = dims.map((dim, n): Factor => {
    const random = gaussian(dim * (rank + 1), seed + n)
    const data = new Float64Array(dim * rank)
    for (let i = 0; i < dim; i++) {
      for (let r = 0; r < rank; r++) {
        const common = random[i * (rank + 1) + rank] as number
        data[i * rank + r] = Math.sqrt(cosine) * common + Math.sqrt(1 - cosine) * (random[i * (rank + 1) + r] as number)
      }
    }
    return { data, dims: [dim, rank] }
  })
  return reconstruct(factors)
}

function noisy(dims: readonly number[], rank: number, level: number): Tensor {
  const factors = dims.map((dim, n): Factor => ({ data: Float64Array.from(gaussian(dim * rank, 31 + n)), dims: [dim, rank] }))
  const { data } = reconstruct(factors) as { data: Float64Array }
  const noise = gaussian(data.length, 99)
  const size = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length)
  return { dtype: 'float64', dims, data: data.map((value, i) => value + level * size * (noise[i] as number)) }
}

// Decaying terms, smooth over space, and a little noise: no kernel of this size comes with any package.
function smoothKernel(channels: number): Tensor {
  const terms = 300
  const dims = [channels, channels, 3, 3]
  const factors = dims.map((dim, n): Factor => {
    const data = Float64Array.from(gaussian(dim * terms, 61 + n))
    for (let i = 0; i < dim; i++) {
      for (let r = 0; r < terms; r++) {
        if (n === 0) data[i * terms + r] = (data[i * terms + r] as number) * (r + 1) ** -0.7
        if (n >= 2) data[i * terms + r] = Math.cos(0.6 * i * ((r * 7) % 5) + r * r)
      }
    }
    return { data, dims: [dim, terms] }
  })
  const { data } = reconstruct(factors) as { data: Float64Array }
  const noise = gaussian(elementCount(dims), 5)
  const size = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length)
  return { dtype: 'float32', dims, data: Float32Array.from(data, (value, i) => value + 0.2 * size * (noise[i] as number)) }
}
