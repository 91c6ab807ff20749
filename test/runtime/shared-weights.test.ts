import t from 'tap'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'

const image = (batch: number, channels: number, side: number): Tensor =>
  floatTensor(
    Float32Array.from({ length: batch * channels * side * side }, (_, i) => Math.sin(i % (channels * side * side))),
    [batch, channels, side, side]
  )

/** Every kind of packed weights: direct, Winograd, CP block, depthwise, transposed; 38 MB of them in the last one. */
function network(): ReturnType<NetworkBuilder['graph']> {
  const b = new NetworkBuilder()
  let x = b.input(['N', 64, 14, 14], 'x')
  x = b.conv(x, [64, 64, 3, 3], { pads: [1, 1, 1, 1] })
  x = b.conv(
    b.conv(b.conv(b.conv(x, [32, 64, 1, 1]), [32, 1, 3, 1], { group: int(32) }), [32, 1, 1, 3], { group: int(32) }),
    [64, 32, 1, 1]
  )
  x = b.conv(b.node('Relu', [b.conv(x, [64, 1, 3, 3], { group: int(64) })]), [64, 64, 1, 1])
  x = b.node('ConvTranspose', [x, b.weight(64, 64, 2, 2)], { strides: [2, 2] })
  return b.graph(b.conv(x, [736, 64, 14, 14], { strides: [14, 14] }))
}

void t.test('a second batch size adds no second copy of the weights', async (t) => {
  await using session = await Session.create(network())
  const [one, two] = [image(1, 64, 14), image(2, 64, 14)]
  await session.run(one)
  const { weightBytes, sharedWeightBytes } = session.describe({ x: one.dims })
  t.equal(sharedWeightBytes, 0, 'the first plan has none to share')
  t.ok(weightBytes > 36e6)
  const before = process.memoryUsage().rss
  await session.run(two)
  const grown = process.memoryUsage().rss - before
  const second = session.describe({ x: two.dims })
  t.equal(second.weightBytes, weightBytes)
  t.ok(second.sharedWeightBytes > 0.99 * weightBytes, `${second.sharedWeightBytes} of ${weightBytes} bytes are shared`)
  // Sanitizers keep what is freed for a while, to catch who still uses it.
  if (process.env.POLYADIC_SANITIZER === undefined) t.ok(grown < weightBytes / 2, `resident memory grew by ${grown} bytes`)
})

void t.test('plans outlive those that they share weights with', async (t) => {
  await using session = await Session.create(network(), { maxPlans: 1 })
  await using other = await Session.create(network())
  const [one, two] = [image(1, 64, 14), image(2, 64, 14)]
  const expected = [other.runSync(one), other.runSync(two)]
  // Each closes the plan before it, while runs of that may be under way.
  const runs = await Promise.all([one, two, one, two].map((x) => session.run(x)))
  t.same(runs, [...expected, ...expected])
  const last = session.run(one)
  session.close()
  t.same(await last, expected[0], 'a run under way when the session is closed')
})

void t.test('plans that are made on two threads at once', async (t) => {
  const graph = network()
  await using other = await Session.create(graph)
  const images = [1, 2, 3, 4].map((batch) => image(batch, 64, 14))
  const expected = images.map((x) => other.runSync(x))
  for (let repetition = 0; repetition < 2; repetition++) {
    await using session = await Session.create(graph)
    // The compute thread makes those for the first two while this one makes the others, and the first once more.
    const runs = images.slice(0, 2).map((x) => session.run(x))
    const here = [2, 3, 0].map((i) => session.runSync(images[i] as Tensor))
    t.same([...(await Promise.all(runs)), ...here], [...expected, expected[0]])
    const bytes = images.map(({ dims }) => session.describe({ x: dims })).map((plan) => [plan.weightBytes, plan.sharedWeightBytes])
    const own = bytes.reduce((sum, [all = 0, shared = 0]) => sum + all - shared, 0)
    t.ok(own < 1.05 * (bytes[0]?.[0] as number), `${own} bytes of weights for four plans of ${bytes[0]?.[0]}`)
  }
})

void t.test('the same weights are there once, those that differ in a bit are not', async (t) => {
  const shared = async (first: number, second: number): Promise<number> => {
    const b = new NetworkBuilder()
    const weight = (value: number): string => b.constant(floatTensor(new Float32Array(32 * 32).fill(value), [32, 32, 1, 1]))
    const inner = b.node('Conv', [b.input(['N', 32, 5, 5], 'x'), weight(first)])
    await using session = await Session.create(b.graph(b.node('Conv', [inner, weight(second)])))
    return session.describe({ x: [1, 32, 5, 5] }).sharedWeightBytes
  }
  t.equal(await shared(1, 1), 32 * 32 * 4, 'two layers with equal weights')
  t.equal(await shared(1, 1 + 2 ** -23), 0)
  t.equal(await shared(0, -0), 0)
})
