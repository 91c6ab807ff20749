import type { Graph } from '../graph/graph.js'
import type { NativePlan, NativePlanner } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'
import type { InputValues } from '../operators/infer.js'
import { type Compiled, compile } from './compile.js'
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

export function makePlan(request: PlanRequest, used: UsedPrecision): Plan {
  return planOf(request, compileFor(request, used.precision), used)
}

/** Plans in float32 and bf16, to be compared; one alone where the network has nothing to compute in bf16. */
export function makeCandidates(request: PlanRequest): readonly Plan[] {
  const half = compileFor(request, 'bf16')
  if (!usesBf16(half)) return [planOf(request, half, { precision: 'bf16' })]
  return [makePlan(request, { precision: 'f32', reason: 'measured: bf16 is not faster' }), planOf(request, half, { precision: 'bf16' })]
}

function compileFor({ graph, inputShapes, inputValues, threads }: PlanRequest, precision: Precision): Compiled {
  return compile(graph, { inputShapes: Object.fromEntries(inputShapes), inputValues, threads, precision })
}

function planOf({ graph, inputShapes, planner }: PlanRequest, compiled: Compiled, used: UsedPrecision): Plan {
  const names = graph.inputs.map(({ name }) => name)
  return {
    // Native code has its own copy of the weights: those made for this plan alone must not stay.
    compiled: { ...compiled, spec: { ...compiled.spec, parameters: [] } },
    inputDims: names.map((name) => inputShapes.get(name) as readonly number[]),
    feedOf: compiled.inputs.map(({ name }) => names.indexOf(name)),
    results: resultKinds(compiled),
    native: fromNative(() => planner.createPlan(compiled.spec)),
    used: used.precision === 'f32' || usesBf16(compiled) ? used : { precision: 'f32', reason: 'the network has no step with a bf16 kernel' }
  }
}

function usesBf16({ spec }: Compiled): boolean {
  return spec.steps.some((step) => 'bf16' in step && step.bf16 === true)
}
