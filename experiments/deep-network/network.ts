import { GraphBuilder } from '../../bench/graphs.js'
import { classCount } from '../../examples/charnet/architecture.js'
import { type Graph, initialise, int } from '../../lib/index.js'

export const side = 32
/** Channels of the three stages; each halves the maps, the first has those of the stem. */
const stages = [24, 48, 96] as const
const blocks = 2

/** A residual network of 13 3×3 convolutions with batch normalisation (He et al.), and two 1×1 ones where a stage begins; input N×1×32×32. */
export function residualNetwork(seed: number): Graph {
  const b = new GraphBuilder('dense')
  const layer = (name: string, x: string, inputs: number, outputs: number, kernel: number, stride: number): string =>
    b.norm(name, b.convolution(name, x, { inputs, outputs, kernel, stride, pad: kernel >> 1 }), outputs)
  let inputs: number = stages[0]
  let x = b.node('Relu', [layer('stem', b.input, 1, inputs, 3, 2)])
  stages.forEach((outputs, stage) => {
    for (let block = 0; block < blocks; block++) {
      const name = `stage${stage + 1}.${block + 1}`
      const stride = stage > 0 && block === 0 ? 2 : 1
      const inner = b.node('Relu', [layer(`${name}.conv1`, x, inputs, outputs, 3, stride)])
      const outer = layer(`${name}.conv2`, inner, outputs, outputs, 3, 1)
      const skip = inputs === outputs && stride === 1 ? x : layer(`${name}.skip`, x, inputs, outputs, 1, stride)
      x = b.node('Relu', [b.node('Add', [outer, skip])])
      inputs = outputs
    }
  })
  x = b.node('Flatten', [b.node('GlobalAveragePool', [x])], { axis: int(1) })
  return initialise(b.graph('residual', b.dense('fc', x, inputs, classCount), [1, side, side], [classCount]), { seed })
}

/** Every 3×3 convolution but the stem, at a part of the fewer of its channels. */
export function residualRanks(part: number): Readonly<Record<string, number>> {
  let before: number = stages[0]
  return Object.fromEntries(
    stages.flatMap((outputs, stage) =>
      Array.from({ length: blocks }, (_, block) => block).flatMap((block) => {
        const inputs = block === 0 ? before : outputs
        before = outputs
        const name = `stage${stage + 1}.${block + 1}`
        return [
          [layerName(`${name}.conv1`), Math.round(part * Math.min(inputs, outputs))],
          [layerName(`${name}.conv2`), Math.round(part * outputs)]
        ]
      })
    )
  )
}

/** A layer is found by its weights. */
function layerName(name: string): string {
  return `${name}.weight`
}
