import type { NetworkBuilder } from './network-builder.js'

export const gradientBatch = 3

export type Body = (b: NetworkBuilder, x: string) => string

/** An operator whose gradients are compared with numerical ones, behind something that is trained. */
export interface GradientCase {
  readonly name: string
  /** Of an example. */
  readonly dims: readonly number[]
  readonly body: Body
  readonly opset?: number
}

/** A list of cases, and what adds one. */
export function caseList(): {
  readonly cases: readonly GradientCase[]
  readonly add: (name: string, dims: readonly number[], body: Body, opset?: number) => void
} {
  const cases: GradientCase[] = []
  return { cases, add: (name, dims, body, opset) => void cases.push({ name, dims, body, ...(opset !== undefined && { opset }) }) }
}
