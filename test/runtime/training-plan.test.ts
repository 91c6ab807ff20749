import t from 'tap'
import { int } from '../../lib/graph/rewrite.js'
import { native } from '../../lib/native/binding.js'
import { compile } from '../../lib/runtime/compile.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor } from '../../lib/tensor.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

void t.test('a training plan has the loss of the network that it was made from, and learns', async (t) => {
  const b = new NetworkBuilder()
  const y = b.node('MaxPool', [b.conv(b.input(['n', 2, 9, 9], 'x'), [12, 2, 3, 3])], { kernel_shape: [2, 2], strides: [2, 2] })
  const z = b.node('ReduceMax', [b.node('Reshape', [b.norm(y, 12), b.ints(-1, 6, 2, 3, 3)])], { axes: [2], keepdims: int(0) })
  const logits = b.node('Add', [b.node('MatMul', [b.node('Flatten', [z]), b.weight(54, 4)]), b.weight(4)])
  const graph = b.graph(b.node('Softmax', [logits]))
  const x = floatTensor(b.random.normal(8 * 162), [8, 2, 9, 9])
  const target = Int32Array.from({ length: 8 }, (_, i) => i % 4)

  await using session = await Session.create(graph)
  const [probabilities] = Object.values(await session.run(x))
  const loss = target.reduce((sum, label, i) => sum - Math.log(probabilities?.data[i * 4 + label] as number), 0) / 8

  const losses = [{ kind: 'cross_entropy' as const, output: 0, target }]
  const { spec } = compile(graph, { inputShapes: { x: [8, 2, 9, 9] }, training: true })
  const trainer = native().createTrainer(spec)
  const before = await trainer.evaluate([x.data], losses, 8).promise
  t.ok(Math.abs(before.loss - loss) < 1e-5, `${before.loss} = ${loss}`)
  const sgd = {
    kind: 'sgd' as const,
    learningRate: 0.05,
    momentum: 0.9,
    nesterov: true,
    clipNorm: 0,
    weightDecay: new Float32Array(spec.parameters.length),
    rateScale: new Float32Array(spec.parameters.length).fill(1)
  }
  for (let i = 0; i < 40; i++) await trainer.step([x.data], losses, sgd).promise
  const after = await trainer.evaluate([x.data], losses, 8).promise
  t.ok(after.loss < before.loss / 4, `${before.loss} → ${after.loss}`)
  trainer.close()
})
