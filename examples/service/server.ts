import { Server as NetServer } from 'node:net'
import { setTimeout as startTimer } from 'node:timers'
import { setTimeout } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { classes } from '../charnet/dataset.js'
import { patch } from '../charnet/architecture.js'
import { cpu, type Graph, Session } from '../../lib/index.js'
import { Batcher, QueueFullError } from './batcher.js'
import { BadImageError, decodePatch } from './image.js'

export interface ServiceOptions {
  readonly graph: Graph
  /** Threads of a run. Default: 1. */
  readonly threads?: number
  /** Largest batch, a power of two. Default: 16. */
  readonly maxBatch?: number
  /** Requests that may wait for a batch; more get 503. Default: 256. */
  readonly maxQueue?: number
  /** Milliseconds after which a request is given up with 504. Default: 1000. */
  readonly timeout?: number
}

export interface Service {
  readonly app: FastifyInstance
  /** Says 503 on /health and closes connections after their answers, so that a load balancer goes elsewhere; then stops. */
  shutdown(grace: number): Promise<void>
}

const defaults = { threads: 1, maxBatch: 16, maxQueue: 256, timeout: 1000 }

/** CharNet behind HTTP: POST /classify, GET /health, GET /metrics. */
export async function createService(options: ServiceOptions): Promise<Service> {
  const { graph, threads, maxBatch, maxQueue, timeout } = { ...defaults, ...options }
  const session = await Session.create(graph, { threads, maxPlans: 1 + Math.log2(maxBatch) })
  const metrics = createMetrics()
  const batcher = new Batcher({
    session,
    dims: [1, patch, patch],
    maxBatch,
    maxQueue,
    onBatch: (size, seconds) => {
      metrics.batchSize.observe(size)
      metrics.batchSeconds.observe(seconds)
    }
  })
  const app = Fastify({ logger: false, bodyLimit: 1 << 20, forceCloseConnections: 'idle' })
  let draining = false

  app.addContentTypeParser(/^image\//, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close')
  })
  app.addHook('onResponse', async (request, reply) => {
    if (request.routeOptions.url !== '/classify') return
    metrics.requests.inc({ status: String(reply.statusCode) })
    metrics.seconds.observe(reply.elapsedTime / 1000)
  })

  app.post<{ Body: Buffer }>('/classify', async (request, reply) => {
    const controller = new AbortController()
    const timer = startTimer(() => controller.abort(new TooLateError('the request took too long')), timeout)
    reply.raw.once('close', () => reply.raw.writableFinished || controller.abort(new Error('the client has gone')))
    try {
      const image = await decodePatch(request.body)
      const scores = await batcher.classify(image, controller.signal)
      const best = scores.indexOf(Math.max(...scores))
      return { character: classes[best], probability: scores[best] }
    } catch (error) {
      return failure(reply, error)
    } finally {
      clearTimeout(timer)
    }
  })
  app.get('/health', async (_request, reply) => reply.code(draining ? 503 : 200).send({ status: draining ? 'draining' : 'ok', cpu: cpu() }))
  app.get('/metrics', async (_request, reply) => {
    metrics.queue.set(batcher.waiting)
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })

  return {
    app,
    async shutdown(grace) {
      draining = true
      await setTimeout(grace)
      // http.Server.close() would also drop connections whose request has arrived but not been read. So only the door is shut, and who is inside is
      // answered, each with `connection: close`.
      NetServer.prototype.close.call(app.server)
      for (let waited = 0; waited < timeout && (await openConnections(app)) > 0; waited += 20) await setTimeout(20)
      await app.close()
      await batcher.drained()
      session.close()
    }
  }
}

function openConnections(app: FastifyInstance): Promise<number> {
  return new Promise((resolve) => {
    app.server.getConnections((error, open) => resolve(error ? 0 : open))
  })
}

/** The time limit of a request. */
class TooLateError extends Error {}

function failure(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof BadImageError) return reply.code(400).send({ error: error.message })
  if (error instanceof QueueFullError) return reply.code(503).header('retry-after', '1').send({ error: error.message })
  if (error instanceof TooLateError) return reply.code(504).send({ error: error.message })
  throw error
}

function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
  return {
    registry,
    requests: new Counter({ name: 'classify_requests_total', help: 'Requests by status', labelNames: ['status'], registers }),
    seconds: new Histogram({ name: 'classify_seconds', help: 'Time of a request', buckets: seconds, registers }),
    queue: new Gauge({ name: 'classify_queue', help: 'Requests waiting for a batch', registers }),
    batchSize: new Histogram({ name: 'classify_batch_size', help: 'Requests in a batch', buckets: [1, 2, 4, 8, 16], registers }),
    batchSeconds: new Histogram({ name: 'classify_batch_seconds', help: 'Time of a batch', buckets: seconds, registers })
  }
}
