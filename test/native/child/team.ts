// Run in a worker thread: computes on its own thread, with helpers when it gets them, and says whether the bits were always the same.
import { parentPort, workerData } from 'node:worker_threads'
import { manyLoops } from '../../helpers/many-loops.js'
import { sameBits } from '../../helpers/same-bits.js'

const { threads, runs } = workerData as { readonly threads: number; readonly runs: number }
const { plan, input, output } = manyLoops(threads)
const alone = manyLoops(1)
alone.plan.runSync([alone.input], [alone.output])
let differing = 0
for (let run = 0; run < runs; ++run) {
  output.fill(Number.NaN)
  plan.runSync([input], [output])
  if (!sameBits(output, alone.output)) differing++
}
parentPort?.postMessage(differing)
