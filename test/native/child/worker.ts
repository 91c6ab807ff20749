// Run in a worker thread: queues jobs, says so, and ends in the way it is told.
import { parentPort, workerData } from 'node:worker_threads'
import { native } from '../../../lib/native/binding.js'
import { PlanBuilder, generator } from '../../helpers/plan-builder.js'

const b = new PlanBuilder(generator(1))
const x = b.input(1, 32, 96, 96)
const plan = native().createPlan(b.spec(b.convolution(x, 64, { kernel: [5, 5], pads: [2, 2, 2, 2] }), 2))
const input = b.inputData()[0] as Float32Array
const { end, makes } = workerData as { end: 'finish' | 'exit' | 'terminate'; makes: boolean }
/** Weights that take a while to pack. */
function making(): readonly Promise<unknown>[] {
  const wide = new PlanBuilder(generator(2))
  const spec = wide.spec(wide.convolution(wide.input(1, 512, 14, 14), 512, { kernel: [3, 3], pads: [1, 1, 1, 1] }))
  const planner = native().createPlanner()
  return [planner.preparePlan(spec).promise, planner.preparePlan(spec).promise]
}
const jobs = [...(makes ? making() : []), ...Array.from({ length: 8 }, () => plan.run([input], [new Float32Array(64 * 96 * 96)]).promise)]
parentPort?.postMessage('running')
if (end === 'exit') setImmediate(() => process.exit(0))
await Promise.all(jobs)
