import t from 'tap'
import { Session, type StepDescription } from '../../lib/runtime/session.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'

type Build = (b: NetworkBuilder, x: string) => string | readonly string[]

async function stepsOf(dims: readonly number[], build: Build): Promise<readonly StepDescription[]> {
  const b = new NetworkBuilder()
  const outputs = build(b, b.input(['N', ...dims], 'x'))
  await using session = await Session.create(b.graph(...(typeof outputs === 'string' ? [outputs] : outputs)))
  return session.describe({ x: [1, ...dims] }).steps
}

void t.test('a step tells which nodes it computes', async (t) => {
  const [step] = await stepsOf([16, 8, 8], (b, x) =>
    b.node('Relu', [b.node('Add', [b.conv(x, [16, 16, 3, 3], { pads: [1, 1, 1, 1] }), x])])
  )
  t.same(step?.nodes, ['conv0', 'add1', 'relu2'])
  const [gated] = await stepsOf([4, 8, 8], (b, x) => {
    const y = b.conv(x, [6, 4, 1, 1])
    return b.node('Mul', [y, b.node('Sigmoid', [y])])
  })
  t.same(gated?.nodes, ['conv0', 'sigmoid1', 'mul2'])
  const [block] = await stepsOf([4, 9, 9], (b, x) =>
    b.conv(b.conv(b.conv(b.conv(x, [5, 4, 1, 1]), [5, 1, 3, 1], { group: int(5) }), [5, 1, 1, 3], { group: int(5) }), [6, 5, 1, 1])
  )
  t.same([block?.op, block?.nodes], ['cp_block', ['conv0', 'conv1', 'conv2', 'conv3']])
  t.match(block?.why, [/of input fit L2's \d+ KiB/])
})

void t.test('why steps are not joined', async (t) => {
  const [, twice] = await stepsOf([4, 8, 8], (b, x) => {
    const y = b.conv(x, [4, 4, 1, 1])
    return [b.node('Relu', [y]), b.node('MaxPool', [y], { kernel_shape: [2, 2] })]
  })
  t.same(twice?.why, ['not joined: the output of "conv0" is read 2 times'])
  const [, output] = await stepsOf([4, 8, 8], (b, x) => {
    const y = b.conv(x, [4, 4, 1, 1])
    return [b.node('Relu', [y]), y]
  })
  t.same(output?.why, ['not joined: the output of "conv0" is one of the network\'s'])
  const [, pooled] = await stepsOf([4, 8, 8], (b, x) => b.node('Relu', [b.node('MaxPool', [x], { kernel_shape: [2, 2] })]))
  t.same(pooled?.why, ['not joined: it follows a step "max_pool"'])
  const [, second] = await stepsOf([4, 8, 8], (b, x) => b.node('Tanh', [b.node('Relu', [b.conv(x, [4, 4, 1, 1])])]))
  t.same(second?.why, ['not joined: "conv0" has an activation'])
  const [, mobile] = await stepsOf([4, 8, 8], (b, x) => b.conv(b.node('Relu', [b.conv(x, [4, 1, 3, 3], { group: int(4) })]), [6, 4, 1, 1]))
  t.match(mobile?.why[0], 'not joined: no CP block with "conv0": there is a function between them')
})

void t.test('why a convolution has its kernel', async (t) => {
  const conv = async (dims: readonly number[], weight: readonly number[], attributes = {}): Promise<StepDescription | undefined> =>
    (await stepsOf(dims, (b, x) => b.conv(x, weight, attributes)))[0]
  const fast = await conv([64, 56, 56], [64, 64, 3, 3])
  t.match(fast?.kernel, /^Winograd F\(4x4, 3x3\)/)
  t.match(fast?.why[0], /^modelled cycles an image: direct \d+k, F\(2x2\) \d+k, F\(4x4\) \d+k; \d+ KiB of weights/)
  t.match((await conv([64, 3, 3], [16, 64, 3, 3]))?.kernel, /^direct 3x3, tiles of \d+ pixels x \d+ channels/)
  const reasons = [
    [[64, 9, 9], [64, 64, 5, 5], {}, 'it is not 3x3'],
    [[64, 9, 9], [64, 64, 3, 3], { strides: [2, 2] }, 'it has strides'],
    [[64, 9, 9], [64, 64, 3, 3], { dilations: [2, 2] }, 'it is dilated'],
    [[3, 9, 9], [64, 3, 3, 3], {}, 'its input lies in planes'],
    [[64, 9, 9], [36, 16, 3, 3], { group: int(4) }, "a group's outputs are no multiple of"]
  ] as const
  for (const [dims, weight, attributes, reason] of reasons) t.match((await conv(dims, weight, attributes))?.why[0], reason)
  t.match((await conv([64, 9, 9], [64, 1, 3, 3], { group: int(64) }))?.why, ['each channel by itself: there is nothing to sum over'])
})

void t.test('why so many images at a time', async (t) => {
  const b = new NetworkBuilder()
  const x = b.input(['N', 64, 28, 28], 'x')
  await using session = await Session.create(b.graph(b.conv(b.conv(x, [64, 64, 1, 1]), [64, 64, 1, 1])))
  t.equal(session.describe({ x: [1, 64, 28, 28] }).imagesReason, '')
  const { imagesAtATime, imagesReason } = session.describe({ x: [64, 64, 28, 28] })
  t.ok(imagesAtATime < 64)
  t.match(imagesReason, /^modelled traffic an image \d+ KiB, with the whole batch at a time \d+ KiB/)
})
