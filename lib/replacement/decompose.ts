import { PolyadicError, show } from '../errors.js'
import type { NativeCpdResult } from '../native/binding.js'
import { type Factors, liveComponents, selectColumns } from './balance.js'
import { exactDecomposition, fullRank } from './exact.js'
import type { KernelTensor } from './kernel-tensor.js'

/** How well one group's tensor was decomposed. */
export interface GroupReport {
  /** ‖T − M‖ / ‖T‖ recomputed from the factors. */
  readonly relativeError: number
  /** Relative error of the layer's output over the calibration inputs, and its power (squared norm a patch) without error. */
  readonly outputError?: number
  /** The same of the decomposition by weights alone, which the refinement began with. */
  readonly outputErrorBefore?: number
  readonly outputPower?: number
  /** Σ_n I_n Σ_r Π_{m≠n} ‖a_m,r‖², after and before the correction. */
  readonly sensitivity: number
  readonly sensitivityBefore: number
  /** Largest |cos| between two components; near 1 means that they cancel. */
  readonly congruence: number
  readonly iterations: number
  readonly stopReason: NativeCpdResult['stopReason']
  /** Relative error by iteration. */
  readonly trace: readonly number[]
}

/** What a solver gives for one tensor. */
export type Decomposition = Pick<
  NativeCpdResult,
  'factors' | 'relativeError' | 'iterations' | 'stopReason' | 'sensitivity' | 'sensitivityBefore' | 'congruence'
> & {
  readonly outputError?: number
  readonly outputErrorBefore?: number
  readonly outputPower?: number
  readonly trace: readonly { readonly error: number }[]
}

/** Called now and then with the part of one tensor's work that is done, the iteration and the relative error. */
export type OnSolveProgress = (fraction: number, iteration: number, error: number) => void

/** Decomposes one row-major tensor (that of group `group`) into `rank` components. */
export type Solve = (
  tensor: Float64Array,
  dims: readonly number[],
  rank: number,
  group: number,
  onProgress: OnSolveProgress
) => Promise<Decomposition>

/** Factors of all groups, at a rank they share, and the reports. */
export interface LayerDecomposition {
  /** No more than asked: components that vanish in every group are gone. */
  readonly rank: number
  readonly factors: readonly Factors[]
  readonly groups: readonly GroupReport[]
}

/**
 * Decomposes a layer's groups one by one. From full rank on nothing is solved: such a decomposition can be written down. Throws POLYADIC_NUMERIC naming the
 * layer when a result is not finite.
 */
export async function decomposeKernel(
  name: string,
  kernel: KernelTensor,
  rank: number,
  solve: Solve,
  onProgress: (group: number, ...progress: Parameters<OnSolveProgress>) => void
): Promise<LayerDecomposition> {
  const factors: Factors[] = []
  const groups: GroupReport[] = []
  const most = fullRank(kernel.dims)
  const used = Math.min(rank, most)
  for (const [g, tensor] of kernel.groups.entries()) {
    const result = tensor.every((value) => value === 0)
      ? zeroDecomposition(kernel.dims, used)
      : used === most
        ? exactDecomposition(tensor, kernel.dims)
        : await solve(tensor, kernel.dims, rank, g, (...progress) => onProgress(g, ...progress))
    if (!Number.isFinite(result.relativeError) || result.factors.some((factor) => !factor.every(Number.isFinite))) {
      throw new PolyadicError('POLYADIC_NUMERIC', `layer ${show(name)}: the decomposition of group ${g} at rank ${rank} is not finite`, {
        subject: name
      })
    }
    factors.push(result.factors)
    groups.push(groupReport(result))
  }
  return { ...withoutDead(factors, used), groups }
}

/** The error over all groups: √(Σ‖T_g − M_g‖² / Σ‖T_g‖²). */
export function overallError(kernel: KernelTensor, errors: readonly number[]): number {
  const squares = kernel.groups.map((tensor) => tensor.reduce((sum, value) => sum + value * value, 0))
  const total = squares.reduce((sum, square) => sum + square, 0)
  if (total === 0) return 0
  return Math.sqrt(errors.reduce((sum, error, g) => sum + error * error * (squares[g] as number), 0) / total)
}

/** An error of the output over all groups, whose outputs are apart; `undefined` without calibration. */
export function overallOutputError(
  groups: readonly GroupReport[],
  field: 'outputError' | 'outputErrorBefore' = 'outputError'
): number | undefined {
  if (groups.some((group) => group[field] === undefined)) return undefined
  const power = groups.reduce((sum, group) => sum + (group.outputPower ?? 0), 0)
  if (power === 0) return 0
  return Math.sqrt(groups.reduce((sum, group) => sum + (group[field] ?? 0) ** 2 * (group.outputPower ?? 0), 0) / power)
}

/** The overall error by iteration; a group that stopped early stays at its last value. */
export function overallTrace(kernel: KernelTensor, groups: readonly GroupReport[]): number[] {
  const length = Math.max(0, ...groups.map((group) => group.trace.length))
  return Array.from({ length }, (_, i) =>
    overallError(
      kernel,
      groups.map((group) => group.trace[i] ?? group.trace.at(-1) ?? group.relativeError)
    )
  )
}

function groupReport(result: Decomposition): GroupReport {
  const { relativeError, sensitivity, sensitivityBefore, congruence, iterations, stopReason, outputError, outputErrorBefore, outputPower } =
    result
  return {
    relativeError,
    ...(outputError !== undefined && { outputError }),
    ...(outputErrorBefore !== undefined && { outputErrorBefore }),
    ...(outputPower !== undefined && { outputPower }),
    sensitivity,
    sensitivityBefore,
    congruence,
    iterations,
    stopReason,
    trace: result.trace.map((entry) => entry.error)
  }
}

function withoutDead(factors: readonly Factors[], rank: number): Pick<LayerDecomposition, 'rank' | 'factors'> {
  const live = factors.map((group) => liveComponents(group, rank))
  const width = Math.max(1, ...live.map((components) => components.length))
  if (width === rank) return { rank, factors }
  return { rank: width, factors: factors.map((group, g) => group.map((factor) => selectColumns(factor, rank, live[g] as number[], width))) }
}

function zeroDecomposition(dims: readonly number[], rank: number): Decomposition {
  return {
    factors: dims.map((dim) => new Float64Array(dim * rank)),
    relativeError: 0,
    iterations: 0,
    stopReason: 'exact',
    sensitivity: 0,
    sensitivityBefore: 0,
    congruence: 0,
    trace: []
  }
}
