// A worker thread's own session: runs the network it is given in bf16 and posts the outputs.
import { parentPort, workerData } from 'node:worker_threads'
import { type Graph, Session, type Tensor } from '../../../lib/index.js'

const { graph, input } = workerData as { graph: Graph; input: Tensor }
await using session = await Session.create(graph, { precision: 'bf16', threads: 2 })
const outputs = await Promise.all(Array.from({ length: 4 }, () => session.run(input)))
parentPort?.postMessage([...outputs, session.runSync(input)])
