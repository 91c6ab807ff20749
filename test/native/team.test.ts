// The team of threads that parallel loops are shared out to: one for the process, asked by several threads at once.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { manyLoops } from '../helpers/many-loops.js'
import { sameBits } from '../helpers/same-bits.js'

void t.test('the same bits with any number of threads, also more than there are cores or indices', async (t) => {
  const { plan, input, output } = manyLoops(1)
  await plan.run([input], [output]).promise
  for (const threads of [2, 3, 4, 8, 64]) {
    const other = manyLoops(threads)
    for (let run = 0; run < 20; ++run) {
      other.output.fill(Number.NaN)
      await other.plan.run([input], [other.output]).promise
      t.ok(sameBits(other.output, output), `${threads} threads, run ${run}`)
    }
    other.plan.close()
  }
})

void t.test('loops of several threads at once: whoever finds the helpers lent does without', async (t) => {
  const file = fileURLToPath(new URL('./child/team.ts', import.meta.url))
  const workers = [2, 3, 8].map((threads) => new Worker(file, { workerData: { threads, runs: 200 }, execArgv: [...process.execArgv] }))
  const answers = workers.map((worker) => once(worker, 'message'))
  const { plan, input, output } = manyLoops(1)
  await plan.run([input], [output]).promise
  const shared = manyLoops(4)
  // On the compute thread and on this one, while the workers are at it.
  for (let run = 0; run < 50; ++run) {
    const first = new Float32Array(output.length)
    const running = shared.plan.run([input], [first]).promise
    const own = manyLoops(2)
    own.plan.runSync([input], [own.output])
    own.plan.close()
    await running
    t.ok(sameBits(first, output) && sameBits(own.output, output), `run ${run}`)
  }
  for (const [differing] of await Promise.all(answers)) t.equal(differing, 0)
})

void t.test('helpers that have gone to sleep come back', async (t) => {
  const { plan, input, output } = manyLoops(1)
  await plan.run([input], [output]).promise
  const other = manyLoops(2)
  for (let pause = 0; pause < 8; ++pause) {
    await new Promise((resolve) => setTimeout(resolve, pause))
    other.output.fill(Number.NaN)
    await other.plan.run([input], [other.output]).promise
    t.ok(sameBits(other.output, output), `after ${pause} ms`)
  }
})
