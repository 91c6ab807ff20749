import { performance } from 'node:perf_hooks'
import { leastRank, type RankSearch } from '../decomposition/rank-search.js'
import type { Moments } from './calibration.js'
import { decomposeKernel, type GroupReport, type LayerDecomposition, overallError, overallOutputError } from './decompose.js'
import { fullRank, mostSaving } from './exact.js'
import { kernelTensor } from './kernel-tensor.js'
import type { CompressOptions } from './options.js'
import type { Planned, Task } from './plan.js'
import type { TaskProgress } from './progress.js'
import type { MakeSolve } from './solver.js'

/** What was tried for one layer, and its decomposition. */
export interface LayerSearch extends RankSearch<LayerDecomposition> {
  readonly seconds: number
}

/** Decomposes the layers that an error is asked of, at the least rank that has it; by name. */
export async function searchRanks(
  { tasks }: Planned,
  options: CompressOptions,
  momentsFor: (tasks: readonly Task[]) => Promise<Moments | undefined>,
  makeSolve: MakeSolve,
  progress: TaskProgress
): Promise<ReadonlyMap<string, LayerSearch>> {
  const searching = tasks.filter(({ bound }) => bound !== undefined)
  const found = new Map<string, LayerSearch>()
  if (searching.length === 0) return found
  const moments = await momentsFor(searching)
  for (const task of searching) {
    const started = performance.now()
    const { node } = task.layer
    const kernel = kernelTensor(task.layer)
    const solve = makeSolve(task.solver, moments?.get(node.name))
    let tried = 0
    const search = await leastRank(
      options.whenSlower === 'keep' ? mostSaving(task.shape.dims) : fullRank(task.shape.dims),
      task.bound as number,
      async (rank) => {
        const result = await decomposeKernel(node.name, kernel, rank, solve, (group, done, ...reached) => {
          const part = tried + (group + done) / kernel.groups.length
          progress(task, 0, part / (part + usualTrials), ...reached)
        })
        options.signal?.throwIfAborted()
        tried++
        return result
      },
      ({ groups }) =>
        overallOutputError(groups) ??
        overallError(
          kernel,
          groups.map(({ relativeError }) => relativeError)
        )
    )
    const last = search.result.groups.at(-1) as GroupReport
    progress(task, task.layer.spec.groups - 1, 1, last.iterations, last.relativeError)
    found.set(node.name, { ...search, seconds: (performance.now() - started) / 1000 })
  }
  return found
}

/** After so many ranks half of a search is said to be done. */
const usualTrials = 6

/** The plan with the ranks that were found. */
export function withRanks({ prepared, tasks }: Planned, searched: ReadonlyMap<string, LayerSearch>): Planned {
  const ranked = tasks.map((task) => ({ ...task, rank: searched.get(task.layer.node.name)?.rank ?? task.rank }))
  return { prepared, tasks: ranked }
}
