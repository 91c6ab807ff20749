import type { Graph } from '../graph/graph.js'
import type { NativePlan, NativePlanner } from '../native/binding.js'
import { fromNative, runJob } from '../native/jobs.js'
import type { InputValues } from '../operators/infer.js'
import { usesBf16 } from './bf16.js'
import { type Compiled, compile } from './compile.js'
import { readable } from './feeds.js'
import type { Precision, UsedPrecision } from './precision.js'
import { type ResultKinds, resultKinds } from './results.js'

/** What a session runs for input shapes. */
export interface Plan {
  /** Without parameters. */
  readonly compiled: Compiled
  /** Of the graph's inputs, in their order. */
  readonly inputDims: readonly (readonly number[])[]
  /** For each input of the plan, which of the graph's it is. */
  readonly feedOf: readonly number[]
  readonly results: ResultKinds
  readonly native: NativePlan
  readonly used: UsedPrecision
}

/** The shapes of all inputs, and the values of those that determine others. */
export interface PlanRequest {
  readonly graph: Graph
  readonly inputShapes: ReadonlyMap<string, readonly number[]>
  readonly inputValues: InputValues
  readonly threads: number
  /** Makes it, and shares its weights with the plans for other shapes. */
  readonly planner: NativePlanner
}

/** What native code is to make a plan of. */
export interface PlanDraft {
  readonly compiled: Compiled
  readonly used: UsedPrecision
}

export function draftPlan(request: PlanRequest, used: UsedPrecision): PlanDraft {
  return { compiled: compileFor(request, used.precision), used }
}

/** Plans in float32 and bf16, to be compared; one alone where the network has nothing to compute in bf16. */
export function draftCandidates(request: PlanRequest): readonly PlanDraft[] {
  const half = draftPlan(request, { precision: 'bf16' })
  return usesBf16(half.compiled.spec) ? [draftPlan(request, { precision: 'f32', reason: 'measured: bf16 is not faster' }), half] : [half]
}

/** Makes the plan on the calling thread. */
export function makePlan(request: PlanRequest, draft: PlanDraft): Plan {
  return planOf(
    request,
    draft,
    fromNative(() => request.planner.createPlan(draft.compiled.spec))
  )
}

/** As `makePlan`, but weights are packed on the compute thread. */
export async function preparePlan(request: PlanRequest, draft: PlanDraft): Promise<Plan> {
  const { spec } = draft.compiled
  // Memory that somebody else may change or take away is not read from another thread.
  const parameters = spec.parameters.map((parameter) => ({
    ...parameter,
    data: readable(() => 'a weight', 'float32', parameter.data) as Float32Array
  }))
  return planOf(request, draft, await runJob(() => request.planner.preparePlan({ ...spec, parameters })))
}

function compileFor({ graph, inputShapes, inputValues, threads }: PlanRequest, precision: Precision): Compiled {
  return compile(graph, { inputShapes: Object.fromEntries(inputShapes), inputValues, threads, precision })
}

function planOf({ graph, inputShapes }: PlanRequest, { compiled, used }: PlanDraft, native: NativePlan): Plan {
  const names = graph.inputs.map(({ name }) => name)
  return {
    // Native code has its own copy of the weights: those made for this plan alone must not stay.
    compiled: { ...compiled, spec: { ...compiled.spec, parameters: [] } },
    inputDims: names.map((name) => inputShapes.get(name) as readonly number[]),
    feedOf: compiled.inputs.map(({ name }) => names.indexOf(name)),
    results: resultKinds(compiled),
    native,
    used:
      used.precision === 'f32' || usesBf16(compiled.spec)
        ? used
        : { precision: 'f32', reason: 'the network has no step with a bf16 kernel' }
  }
}
