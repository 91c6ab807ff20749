// Worker threads that end in every way, some in the middle of a run, some with a queue, some before anything was set up.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { count, prepared, same } from './common.mjs'

const modes = ['finish', 'exit', 'terminate running', 'terminate with a queue', 'throw', 'terminate at once', 'close and exit']

async function inWorker() {
  const { session, x, expected } = await prepared({ size: 48 })
  const runs = Array.from({ length: workerData === 'terminate running' ? 1 : 16 }, () => session.run({ x }))
  parentPort.postMessage('running')
  if (workerData === 'exit') setImmediate(() => process.exit(0))
  if (workerData === 'throw')
    setImmediate(() => {
      throw new Error('on purpose')
    })
  if (workerData === 'close and exit') {
    session.close()
    process.exit(0)
  }
  for (const { y } of await Promise.all(runs)) assert(same(y.data, expected))
}

async function one(mode) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: mode })
  // Not events.once, which rejects on an error of the worker.
  const event = (name) => new Promise((resolve) => worker.on(name, resolve))
  const exit = event('exit')
  const errors = []
  worker.on('error', (error) => errors.push(error.message))
  if (mode === 'terminate at once') await worker.terminate()
  else await Promise.race([event('message'), exit])
  if (mode.startsWith('terminate ')) await worker.terminate()
  await exit
  assert.deepEqual(errors, mode === 'throw' ? ['on purpose'] : [], mode)
}

async function main() {
  const total = count(100)
  const { session, x, expected } = await prepared({ size: 48 })
  const done = Object.fromEntries(modes.map((mode) => [mode, 0]))
  let started = 0
  const lane = async () => {
    while (started < total) {
      const mode = modes[started++ % modes.length]
      await one(mode)
      done[mode]++
      // The main thread's own work goes on between them.
      assert(same((await session.run({ x })).y.data, expected))
    }
  }
  await Promise.all(Array.from({ length: 6 }, lane))
  console.log(JSON.stringify(done))
}

await (isMainThread ? main() : inWorker())
