import { getEventListeners } from 'node:events'
import { get } from 'node:http'
import t from 'tap'
import { Batcher, type BatcherOptions, QueueFullError } from '../../examples/service/batcher.js'
import { classify, newAgent, pound, type Running, sampleImages, startService } from '../../examples/service/client.js'
import { createService } from '../../examples/service/server.js'
import { charnetFile } from '../../examples/charnet/paths.js'
import { readOnnx, Session } from '../../lib/index.js'
import { charNet } from '../helpers/charnet.js'

const example = (seed: number): Float32Array => Float32Array.from({ length: 576 }, (_, i) => Math.sin(i * seed))
// Every request has a signal of its own, as in the service.
const never = (): AbortSignal => new AbortController().signal

t.test('batches give each request its own answer', async (t) => {
  const session = await Session.create(charNet(), { maxPlans: 5 })
  const sizes: number[] = []
  const batcher = new Batcher({ session, dims: [1, 24, 24], maxBatch: 8, maxQueue: 100, onBatch: (size) => sizes.push(size) })
  const alone = await Promise.all([1, 2, 3].map((seed) => batcher.classify(example(seed), never())))
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => batcher.classify(example(1 + (i % 3)), never())))
  for (const [i, scores] of answers.entries()) t.same(scores, alone[i % 3], `request ${i}`)
  t.equal(
    sizes.reduce((a, b) => a + b),
    43
  )
  t.ok(
    sizes.every((size) => [1, 2, 4, 8].includes(size)),
    sizes.join(' ')
  )
  await batcher.drained()
  session.close()
})

t.test('a full queue refuses, an abort frees its place', async (t) => {
  const session = await Session.create(charNet(), { maxPlans: 5 })
  const batcher = new Batcher({ session, dims: [1, 24, 24], maxBatch: 1, maxQueue: 2 })
  const running = batcher.classify(example(1), never())
  const controller = new AbortController()
  const reason = new Error('gone')
  const waiting = batcher.classify(example(2), controller.signal)
  const last = batcher.classify(example(3), never())
  await t.rejects(batcher.classify(example(4), never()), QueueFullError)
  controller.abort(reason)
  await t.rejects(waiting, reason)
  const again = batcher.classify(example(4), never())
  t.equal((await Promise.all([running, last, again])).length, 3)
  session.close()
})

t.test('nothing listens to the signal of a request that has ended', async (t) => {
  const session = await Session.create(charNet(), { maxPlans: 5 })
  const batcher = new Batcher({ session, dims: [1, 24, 24], maxBatch: 2, maxQueue: 4 })
  const controllers = Array.from({ length: 5 }, () => new AbortController())
  const answers = controllers.map(({ signal }, i) => batcher.classify(example(1 + i), signal))
  for (const { signal } of controllers.slice(0, 4)) t.equal(getEventListeners(signal, 'abort').length, 1, 'while it waits')
  controllers[3]?.abort(new Error('gone'))
  const settled = await Promise.allSettled(answers)
  t.same(
    settled.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']
  )
  await batcher.drained()
  const refused = new AbortController()
  const full = Array.from({ length: 6 }, () => batcher.classify(example(1), refused.signal))
  t.equal((await Promise.allSettled(full)).filter(({ status }) => status === 'rejected').length, 1)
  for (const { signal } of [...controllers, refused]) t.same(getEventListeners(signal, 'abort'), [], 'when it has ended')
  session.close()
})

t.test('a batch is aborted when all of its requests have given up, not before', async (t) => {
  const signals: AbortSignal[] = []
  // Runs until it is aborted.
  const session: BatcherOptions['session'] = {
    run: (_feeds, { signal } = {}) =>
      new Promise((_resolve, reject) => {
        signals.push(signal as AbortSignal)
        signal?.addEventListener('abort', () => reject(signal.reason as Error))
      })
  }
  const batcher = new Batcher({ session, dims: [1, 24, 24], maxBatch: 2, maxQueue: 2 })
  const controllers = [1, 2, 3].map(() => new AbortController())
  const [first, second, third] = controllers.map(({ signal }, i) => batcher.classify(example(1 + i), signal))
  const reason = new Error('gone')
  controllers[0]?.abort(reason)
  await t.rejects(first as Promise<Float32Array>, reason, 'it ran alone')
  while (signals.length < 2) await new Promise(setImmediate)
  controllers[1]?.abort(reason)
  await t.rejects(second as Promise<Float32Array>, reason, 'at once, although its batch goes on')
  t.same(
    signals.map(({ aborted }) => aborted),
    [true, false]
  )
  controllers[2]?.abort(reason)
  await t.rejects(third as Promise<Float32Array>, reason)
  t.ok(signals[1]?.aborted)
  await batcher.drained()
})

t.test('answers, metrics and errors', async (t) => {
  const { app, shutdown } = await createService({ graph: await readOnnx(charnetFile) })
  const [image] = await sampleImages(1)
  const post = (payload: Buffer, type = 'image/png') =>
    app.inject({ method: 'POST', url: '/classify', payload, headers: { 'content-type': type } })
  const answer = await post(image as Buffer)
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), { character: /^[0-9A-Z]$/, probability: Number })
  t.equal((await post(Buffer.from('no image'))).statusCode, 400)
  t.equal((await post(Buffer.from('{}'), 'application/yaml')).statusCode, 415)
  t.equal((await post(Buffer.alloc(2 << 20))).statusCode, 413)
  t.match((await app.inject('/health')).json(), { status: 'ok', cpu: { isa: String } })
  const metrics = (await app.inject('/metrics')).body
  t.match(metrics, /classify_requests_total\{status="200"\} 1\n/)
  t.match(metrics, /classify_requests_total\{status="400"\} 1\n/)
  t.match(metrics, /classify_batch_size_count 1\n/)
  await shutdown(0)
})

t.test('a request that takes too long gets 504, one too many 503', async (t) => {
  const graph = await readOnnx(charnetFile)
  const [image] = await sampleImages(1)
  const send = (service: Awaited<ReturnType<typeof createService>>, n: number): Promise<number[]> =>
    Promise.all(
      Array.from({ length: n }, async () => {
        const reply = await service.app.inject({
          method: 'POST',
          url: '/classify',
          payload: image as Buffer,
          headers: { 'content-type': 'image/png' }
        })
        return reply.statusCode
      })
    )
  const hasty = await createService({ graph, timeout: 1, maxQueue: 1000 })
  const late = await send(hasty, 64)
  t.ok(late.includes(504) && late.every((status) => status === 200 || status === 504), late.join(' '))
  await hasty.shutdown(0)
  const small = await createService({ graph, maxQueue: 1, maxBatch: 1, timeout: 60_000 })
  const refused = await send(small, 64)
  t.ok(refused.includes(503) && refused.includes(200) && refused.every((status) => status === 200 || status === 503), refused.join(' '))
  await small.shutdown(0)
})

t.test('SIGTERM under load: every request has its answer', async (t) => {
  const images = await sampleImages(8)
  const service: Running = await startService(charnetFile, ['--grace', '200'])
  const outcomes = pound(service.url, images, 16)
  const agent = newAgent(1)
  t.equal((await classify(service.url, images[0] as Buffer, agent)).outcome, 200)
  agent.destroy()
  const stopping = service.stop()
  const counts = await outcomes
  const { code, output } = await stopping
  t.equal(code, 0, output)
  t.match(output, /every request has its answer/)
  t.ok((counts.get(200) ?? 0) > 0)
  // On a busy machine some may take too long (504): an answer all the same.
  t.same(
    [...counts.keys()].filter((outcome) => outcome !== 200 && outcome !== 504),
    [],
    JSON.stringify([...counts])
  )
  await t.rejects(new Promise((_, reject) => get(`${service.url}/health`).on('error', reject)), { code: 'ECONNREFUSED' })
})
