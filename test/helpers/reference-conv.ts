import type { Graph, Node } from '../../lib/graph/graph.js'
import { type ConvSpec, outputExtent } from '../../lib/operators/conv-spec.js'

/** An image batch of one: C×H×W row-major. */
export interface Maps {
  readonly data: Float64Array
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** A plain two-axis convolution in float64, written to be read: the reference that everything else is compared with. */
export function referenceConv(
  input: Maps,
  weight: ArrayLike<number>,
  dims: readonly number[],
  spec: ConvSpec,
  bias?: ArrayLike<number>
): Maps {
  const [outputs = 0, perGroup = 0, kH = 0, kW = 0] = dims
  const height = outputExtent(spec, 0, input.height)
  const width = outputExtent(spec, 1, input.width)
  const data = new Float64Array(outputs * height * width)
  const at = (values: readonly number[], axis: number): number => values[axis] as number
  for (let o = 0; o < outputs; o++) {
    const group = Math.floor(o / (outputs / spec.groups))
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let sum = bias?.[o] ?? 0
        for (let c = 0; c < perGroup; c++) {
          for (let i = 0; i < kH; i++) {
            for (let j = 0; j < kW; j++) {
              const row = y * at(spec.strides, 0) + i * at(spec.dilations, 0) - at(spec.padsBegin, 0)
              const column = x * at(spec.strides, 1) + j * at(spec.dilations, 1) - at(spec.padsBegin, 1)
              if (row < 0 || row >= input.height || column < 0 || column >= input.width) continue
              const pixel = input.data[((group * perGroup + c) * input.height + row) * input.width + column] as number
              sum += pixel * (weight[((o * perGroup + c) * kH + i) * kW + j] as number)
            }
          }
        }
        data[(o * height + y) * width + x] = sum
      }
    }
  }
  return { data, channels: outputs, height, width }
}

/** Runs a graph that is a chain of Conv nodes with constant weights. */
export function runConvChain(graph: Graph, input: Maps): Maps {
  return graph.nodes.reduce((maps, node) => runConv(graph, node, maps), input)
}

function runConv(graph: Graph, node: Node, input: Maps): Maps {
  const weight = graph.initializers.get(node.inputs[1] as string)
  if (weight === undefined) throw new Error(`no weights for ${node.name}`)
  const bias = graph.initializers.get(node.inputs[2] ?? '')
  const ints = (name: string): readonly number[] | undefined => {
    const attribute = node.attributes.get(name)
    return attribute?.kind === 'ints' ? attribute.value : undefined
  }
  const group = node.attributes.get('group')
  const kernel = weight.dims.slice(2)
  const strides = ints('strides') ?? [1, 1]
  const dilations = ints('dilations') ?? [1, 1]
  const auto = node.attributes.get('auto_pad')
  const pads =
    auto?.kind === 'string' ? samePads(auto.value, [input.height, input.width], kernel, strides, dilations) : (ints('pads') ?? [0, 0, 0, 0])
  const spec = {
    kernel,
    strides,
    dilations,
    padsBegin: pads.slice(0, 2),
    padsEnd: pads.slice(2),
    groups: group?.kind === 'int' ? group.value : 1
  }
  return referenceConv(input, weight.data as Float32Array, weight.dims, spec, bias?.data as Float32Array | undefined)
}

/** [top, left, bottom, right] of ONNX's SAME padding; zeros for VALID. */
export function samePads(
  mode: string,
  extents: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[]
): number[] {
  if (mode === 'VALID' || mode === 'NOTSET') return [0, 0, 0, 0]
  const total = extents.map((extent, axis) => {
    const stride = strides[axis] as number
    const window = (dilations[axis] as number) * ((kernel[axis] as number) - 1) + 1
    return Math.max(0, (Math.ceil(extent / stride) - 1) * stride + window - extent)
  })
  const begin = total.map((sum) => (mode === 'SAME_UPPER' ? Math.floor(sum / 2) : Math.ceil(sum / 2)))
  return [...begin, ...total.map((sum, axis) => sum - (begin[axis] as number))]
}
