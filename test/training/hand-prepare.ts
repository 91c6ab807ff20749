import type { Graph } from '../../lib/graph/graph.js'
import { native } from '../../lib/native/binding.js'
import type { PlanSpec, PlanStep } from '../../lib/runtime/plan-spec.js'
import { rateScales } from '../../lib/training/parameters.js'
import type { PrepareTraining } from '../../lib/training/trainer.js'
export const handPrepare: PrepareTraining = (graph: Graph, { batchSize: n, threads = 1, frozen }) => {
  const p = (name: string) => graph.initializers.get(name)?.data as Float32Array
  const fc = p('fc.weight'); const t = new Float32Array(36)
  for (let i = 0; i < 12; i++) for (let j = 0; j < 3; j++) t[j * 12 + i] = fc[i * 3 + j] as number
  const unit = { strides: [1, 1], dilations: [1, 1], groups: 1 } as const
  const steps: PlanStep[] = [
    { op: 'convolution', input: 0, output: 1, kernel: [3, 3], pads: [1, 1, 1, 1], ...unit, weight: 0, bias: 1 },
    { op: 'activation', input: 1, output: 2, activation: { kind: 'relu' } },
    { op: 'convolution', input: 2, output: 3, kernel: [3, 3], pads: [0, 0, 0, 0], ...unit, weight: 2, bias: 3 },
    { op: 'activation', input: 3, output: 4, activation: { kind: 'relu' } },
    { op: 'global_average_pool', input: 4, output: 5 },
    { op: 'convolution', input: 5, output: 6, kernel: [1, 1], pads: [0, 0, 0, 0], ...unit, weight: 4, bias: 5 }
  ]
  const spec: PlanSpec = { threads, training: true, steps, inputs: [0], outputs: [6],
    values: [{ n, c: 1, h: 10, w: 10 }, { n, c: 8, h: 10, w: 10 }, { n, c: 8, h: 10, w: 10 }, { n, c: 12, h: 8, w: 8 }, { n, c: 12, h: 8, w: 8 }, { n, c: 12, h: 1, w: 1 }, { n, c: 3, h: 1, w: 1 }],
    parameters: [p('conv1.weight'), p('conv1.bias'), p('conv2.weight'), p('conv2.bias'), t, p('fc.bias')].map((data) => ({ data, trainable: true })) }
  const parameters = ['conv1', 'conv2', 'fc'].flatMap((node) => [
    { initializer: `${node}.weight`, node, role: 'weight' as const, transposed: node === 'fc' }, { initializer: `${node}.bias`, node, role: 'bias' as const, transposed: false }])
  return { trainer: native().createTrainer(spec), exampleSize: 100, classes: 3, parameters, rateScale: rateScales(parameters, frozen) }
}
