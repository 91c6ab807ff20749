// A worker thread's own session: runs the network it is given in bf16 and posts the outputs. By the compiled package: the loader of
// TypeScript took ten times as long in each worker as what they are there for.
import { parentPort, workerData } from 'node:worker_threads'
import { Session } from '../../../dist/lib/index.js'

const { graph, input } = workerData
const session = await Session.create(graph, { precision: 'bf16', threads: 2 })
const outputs = await Promise.all(Array.from({ length: 4 }, () => session.run(input)))
parentPort.postMessage([...outputs, session.runSync(input)])
session.close()
