import type { Graph } from '../../lib/graph/graph.js'
import { int } from '../../lib/graph/rewrite.js'
import { type CompileOptions, compile } from '../../lib/runtime/compile.js'
import type { PlanStep } from '../../lib/runtime/plan-spec.js'
import { NetworkBuilder } from './network-builder.js'

export type Build = (b: NetworkBuilder, x: string) => string | string[]

export function graphOf(dims: readonly number[], build: Build): Graph {
  const b = new NetworkBuilder()
  return b.graph(...[build(b, b.input(dims))].flat())
}

export const stepsOf = (dims: readonly number[], build: Build, options?: CompileOptions): readonly PlanStep[] =>
  compile(graphOf(dims, build), options).spec.steps
export const opsOf = (dims: readonly number[], build: Build, options?: CompileOptions): string[] =>
  stepsOf(dims, build, options).map((step) => step.op)

/** reduce → 3×1 → 1×3 → `end`, by default an expand layer. */
export const chain = (
  b: NetworkBuilder,
  x: string,
  end: (b: NetworkBuilder, v: string) => string = (b, v) => b.conv(v, [7, 5, 1, 1])
): string => {
  const z = b.conv(b.conv(x, [5, 4, 1, 1], {}, false), [5, 1, 3, 1], { group: int(5) }, false)
  return end(b, b.conv(z, [5, 1, 1, 3], { group: int(5), strides: [1, 2] }, false))
}
