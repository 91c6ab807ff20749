// Work that does not come to its end: aborted, or refused a thread or memory. What is done afterwards must not be touched by it.
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { floatTensor, makeGraph, makeNode, Session } from '../../lib/index.js'
import { native } from '../../lib/native/binding.js'
import { runJob } from '../../lib/native/jobs.js'
import { noise } from '../helpers/networks.js'
import { manyLoops } from '../helpers/many-loops.js'
import { generator, PlanBuilder } from '../helpers/plan-builder.js'
import { preloadLibrary } from '../helpers/preload.js'
import { sameBits } from '../helpers/same-bits.js'

t.setTimeout(0)

t.test('an abort in the first run leaves no half of the weights packed', async (t) => {
  const [inner, columns] = [512, 2048]
  const graph = makeGraph({
    name: 'product',
    opset: 17,
    inputs: [{ name: 'x', dtype: 'float32', dims: [1, 3, inner] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: [1, 3, columns] }],
    nodes: [makeNode({ name: 'product', opType: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] })],
    initializers: new Map([['w', floatTensor(noise(inner * columns, 1), [inner, columns])]])
  })
  const x = floatTensor(noise(3 * inner, 2), [1, 3, inner])
  await using whole = await Session.create(graph)
  const expected = (await whole.run({ x })).y?.data as Float32Array
  let aborted = 0
  // From before it has begun to after it has ended, however long it takes here.
  for (let pause = 0; pause < 24; pause++) {
    await using session = await Session.create(graph, { threads: 1 + (pause % 2) })
    const controller = new AbortController()
    const first = session.run({ x }, { signal: controller.signal }).catch(() => aborted++)
    const until = performance.now() + pause / 4
    while (performance.now() < until);
    controller.abort()
    await first
    const { y } = await session.run({ x })
    t.ok(sameBits(y?.data as Float32Array, expected), `aborted after ${pause / 4} ms`)
  }
  t.ok(aborted > 0, 'some were aborted')
})

t.test('nor does it in training', async (t) => {
  const b = new PlanBuilder(generator(4), true)
  let value = b.input(1, 512, 2, 2)
  for (let layer = 0; layer < 3; layer++) value = b.convolution(value, 512, { kernel: [1, 1] })
  const spec = b.spec(value)
  const [input] = b.inputData() as [Float32Array]
  const losses = [{ kind: 'mean_squared', output: 0, target: new Float32Array(512 * 4) }] as never
  const gradientsOf = async (cancelAfter?: number): Promise<Float32Array[]> => {
    const trainer = native().createTrainer(spec, [])
    const clear = (): Promise<{ gradients: Float32Array[] }> => trainer.gradients([input], losses, 1).promise as never
    if (cancelAfter !== undefined) {
      const job = trainer.gradients([input], losses, 1)
      setTimeout(() => job.cancel(), cancelAfter)
      await job.promise.catch(() => undefined)
    }
    const { gradients } = await clear()
    trainer.close()
    return gradients
  }
  const expected = await gradientsOf()
  for (let after = 0; after < 12; after++) {
    const gradients = await gradientsOf(after)
    t.ok(
      gradients.every((gradient, i) => sameBits(gradient, expected[i] as Float32Array)),
      `cancelled after ${after} ms`
    )
  }
})

t.test('what is aborted in the queue does not wait for what is in front of it', async (t) => {
  const { plan, input, output } = manyLoops(1)
  let isOver = false
  const long = plan.timeSteps(1_000_000)
  const ended = long.promise.then(
    () => (isOver = true),
    () => (isOver = true)
  )
  const controller = new AbortController()
  const queued = [0, 1, 2].map((i) => runJob(() => plan.run([input], [output]), i === 1 ? controller.signal : undefined))
  controller.abort(new Error('enough'))
  await t.rejects(queued[1] as Promise<unknown>, /enough/)
  t.notOk(isOver, 'the one in front is still at it')
  long.cancel()
  await ended
  await Promise.all([queued[0], queued[2]])
  t.pass('its neighbours in the queue have run')
})

const cases = {
  'no compute thread': { ALLOWED_THREADS: '0' },
  'no helpers': { ALLOWED_THREADS: '1' },
  'no memory on a helper': { REFUSED_BYTES: '1024' }
}
const refusals = preloadLibrary('refusals.c', t.testdir())

if (typeof refusals === 'string') {
  t.pass(refusals, { skip: true })
} else {
  const child = fileURLToPath(new URL('child/refusals.ts', import.meta.url))
  for (const [name, settings] of Object.entries(cases)) {
    const env = { ...process.env, ...settings, LD_PRELOAD: refusals.library }
    t.spawn(process.execPath, [...process.execArgv, child], { env }, name)
  }
}
