import { once } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { native, type NativePlan } from '../../lib/native/binding.js'
import { runJob } from '../../lib/native/jobs.js'
import { rejectsError } from '../helpers/expect-error.js'
import { PlanBuilder, generator } from '../helpers/plan-builder.js'
import { sameBits } from '../helpers/same-bits.js'

/** A plan that takes some tens of milliseconds on one core. */
function heavyPlan(): { plan: NativePlan; input: Float32Array; output: Float32Array } {
  const b = new PlanBuilder(generator(1))
  const x = b.input(1, 32, 96, 96)
  const y = b.convolution(b.convolution(x, 64, { kernel: [5, 5], pads: [2, 2, 2, 2] }), 32, { kernel: [5, 5], pads: [2, 2, 2, 2] })
  const plan = native().createPlan(b.spec(y))
  return { plan, input: b.inputData()[0] as Float32Array, output: new Float32Array(32 * 96 * 96) }
}

t.test('a timer keeps firing while native code runs', async (t) => {
  const { plan, input, output } = heavyPlan()
  let done = false
  let ticks = 0
  let runs = 0
  const timer = setInterval(() => {
    if (!done) ticks++
  }, 5)
  // Run until the timer has fired often or it is plain that it does not: counted, not timed.
  while (ticks < 40 && runs < 400) {
    await plan.run([input], [output]).promise
    runs++
  }
  done = true
  clearInterval(timer)
  t.ok(ticks >= 40, `${ticks} ticks during ${runs} runs`)
})

t.test('64 concurrent runs of one plan give the same result', async (t) => {
  const { plan, input, output } = heavyPlan()
  await plan.run([input], [output]).promise
  const outputs = Array.from({ length: 64 }, () => new Float32Array(output.length))
  await Promise.all(outputs.map((o) => plan.run([input], [o]).promise))
  t.ok(outputs.every((o) => sameBits(o, output)))
})

t.test('abort before, while queued and while running', async (t) => {
  const { plan, input, output } = heavyPlan()
  const start = () => plan.run([input], [output])
  const reason = new Error('enough')
  await t.rejects(runJob(start, AbortSignal.abort(reason)), reason)
  const controller = new AbortController()
  const jobs = Array.from({ length: 4 }, () => runJob(start, controller.signal))
  const settled = Promise.allSettled(jobs)
  setImmediate(() => controller.abort(reason))
  const results = await settled
  t.ok(
    results.some((r) => r.status === 'rejected'),
    'at least the queued ones are rejected'
  )
  t.ok(
    results.every((r) => r.status === 'fulfilled' || r.reason === reason),
    "with the signal's reason"
  )
  await plan.run([input], [output]).promise
})

t.test('inputs are views with an offset', async (t) => {
  const { plan, input, output } = heavyPlan()
  await plan.run([input], [output]).promise
  const shifted = new Float32Array(input.length + 3)
  shifted.set(input, 3)
  const other = new Float32Array(output.length + 5)
  await plan.run([shifted.subarray(3)], [other.subarray(5)]).promise
  t.ok(sameBits(other.subarray(5), output))
  t.same(other.subarray(0, 5), new Float32Array(5))
})

t.test('a plan that is made on the compute thread', async (t) => {
  const b = new PlanBuilder(generator(1))
  const spec = b.spec(b.convolution(b.input(1, 32, 24, 24), 64, { kernel: [3, 3], pads: [1, 1, 1, 1] }))
  const planner = native().createPlanner()
  const inputs = b.inputData()
  const results = [planner.createPlan(spec), await planner.preparePlan(spec).promise].map((plan) => {
    const output = new Float32Array(64 * 24 * 24)
    plan.runSync(inputs, [output])
    return { output, shared: plan.describe().sharedWeightBytes }
  })
  t.ok(sameBits(results[1]?.output as Float32Array, results[0]?.output as Float32Array))
  t.ok((results[1]?.shared as number) > 0, 'shares its weights with those of the same planner')
  await rejectsError(
    t,
    runJob(() => planner.preparePlan({ ...spec, outputs: [17] })),
    'POLYADIC_ARGUMENT',
    'unknown value'
  )
  t.throws(() => planner.preparePlan({ ...spec, training: true }), { code: 'POLYADIC_ARGUMENT' })
  const reason = new Error('enough')
  const controller = new AbortController()
  // Behind a run that lasts, so that none of them is made before the abort.
  const { plan, input, output } = heavyPlan()
  const running = plan.run([input], [output]).promise
  const made = Array.from({ length: 4 }, () => runJob(() => planner.preparePlan(spec), controller.signal))
  controller.abort(reason)
  const settled = await Promise.allSettled(made)
  t.ok(
    settled.every((one) => one.status === 'rejected' && one.reason === reason),
    'and can be aborted'
  )
  await running
})

t.test('closing while a run is under way lets it finish', async (t) => {
  const { plan, input, output } = heavyPlan()
  const running = plan.run([input], [output]).promise
  plan.close()
  await running
  t.throws(() => plan.run([input], [output]), { code: 'POLYADIC_ARGUMENT' })
})

t.test('workers may end at any moment', async (t) => {
  // Compiled, this test runs on other processors: test/package/30-arm64.test.ts.
  const file = fileURLToPath(new URL(`./child/worker${path.extname(import.meta.url)}`, import.meta.url))
  const ends = ['finish', 'exit', 'terminate', 'finish', 'terminate', 'exit'].map((end) => ({ end, makes: false }))
  for (const workerData of [...ends, { end: 'exit', makes: true }, { end: 'terminate', makes: true }]) {
    const worker = new Worker(file, { workerData, execArgv: [...process.execArgv] })
    await once(worker, 'message')
    if (workerData.end === 'terminate') await worker.terminate()
    else await once(worker, 'exit')
    t.pass(`${workerData.end} while ${workerData.makes ? 'plans are made' : 'they run'}`)
  }
  const { plan, input, output } = heavyPlan()
  await plan.run([input], [output]).promise
  t.ok(output.every(Number.isFinite), 'and the process still works')
})
