import { performance } from 'node:perf_hooks'
import type { NativePlan } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import { elementCount } from '../tensor.js'
import type { CompiledValue } from './compile.js'
import { draftCandidates, makePlan, type Plan, type PlanRequest, preparePlan } from './plan.js'

/** The plan to take in precision `auto`: both are run in turn, off this thread, and the other one is closed. */
export async function fasterPlan(request: PlanRequest): Promise<Plan> {
  const plans: Plan[] = []
  let best: Plan | undefined
  try {
    for (const draft of draftCandidates(request)) plans.push(await preparePlan(request, draft))
    const calls = contest(plans)
    let next = calls.next()
    for (; !next.done; next = calls.next()) {
      const { native, inputs, outputs } = next.value
      await runJob(() => native.run(inputs, outputs))
    }
    best = next.value
    return best
  } finally {
    closeAllBut(best, plans)
  }
}

/** As `fasterPlan`, on the calling thread. */
export function fasterPlanSync(request: PlanRequest): Plan {
  const plans: Plan[] = []
  let best: Plan | undefined
  try {
    for (const draft of draftCandidates(request)) plans.push(makePlan(request, draft))
    const calls = contest(plans)
    let next = calls.next()
    for (; !next.done; next = calls.next()) {
      const { native, inputs, outputs } = next.value
      fromNative(() => native.runSync(inputs, outputs))
    }
    best = next.value
    return best
  } finally {
    closeAllBut(best, plans)
  }
}

interface Call {
  readonly native: NativePlan
  readonly inputs: readonly Float32Array[]
  readonly outputs: readonly Float32Array[]
}

/** Less than this gained is within the noise of a measurement, and float32 is the more exact of the two. */
const worthwhile = 0.95
const limits = { rounds: 7, budgetMs: 200 }

/**
 * Yields the call to make next and is resumed when it has been made. Each plan runs once unmeasured, then they do in turn while the time
 * allows; their fastest runs are compared.
 */
function* contest(plans: readonly Plan[]): Generator<Call, Plan, void> {
  const runs = plans.map((plan) => ({ plan, call: callOf(plan), fastest: Infinity }))
  const begin = performance.now()
  for (let round = 0; plans.length > 1 && round <= limits.rounds; round++) {
    for (const run of runs) {
      const start = performance.now()
      yield run.call
      if (round > 0) run.fastest = Math.min(run.fastest, performance.now() - start)
    }
    if (round > 0 && performance.now() - begin > limits.budgetMs) break
  }
  return runs.reduce((a, b) => (b.fastest < worthwhile * a.fastest ? b : a)).plan
}

function closeAllBut(best: Plan | undefined, plans: readonly Plan[]): void {
  for (const plan of plans) if (plan !== best) plan.native.close()
}

/** With inputs of zeros: the time does not depend on what is computed. */
function callOf({ native, compiled }: Plan): Call {
  const zeros = ({ dims }: CompiledValue): Float32Array => new Float32Array(elementCount(dims))
  return { native, inputs: compiled.inputs.map(zeros), outputs: compiled.outputs.map(zeros) }
}
