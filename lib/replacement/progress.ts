import { elementCount } from '../tensor.js'
import type { OnSolveProgress } from './decompose.js'
import { mostSaving } from './exact.js'
import type { CompressOptions } from './options.js'
import type { Task } from './plan.js'

/** Told of a task: its group, and how far its decomposition is. */
export type TaskProgress = (task: Task, group: number, ...progress: Parameters<OnSolveProgress>) => void

/** Of the layers whose rank is searched for, which come first, and of the others. Layers count by the work of a sweep over their tensor. */
export function progressOf(tasks: readonly Task[], report: CompressOptions['onProgress']): TaskProgress {
  const workOf = ({ layer, shape, rank, bound }: Task): number =>
    elementCount(shape.dims) * (bound === undefined ? rank : mostSaving(shape.dims)) * layer.spec.groups
  const ordered = [...tasks.filter(({ bound }) => bound !== undefined), ...tasks.filter(({ bound }) => bound === undefined)]
  const names = ordered.map(({ layer }) => layer.node.name)
  const work = ordered.map(workOf)
  const total = work.reduce((sum, value) => sum + value, 0)
  return ({ layer }, group, done, iteration, error) => {
    const index = names.indexOf(layer.node.name)
    const before = work.slice(0, index).reduce((sum, value) => sum + value, 0)
    const within = (group + done) / layer.spec.groups
    report?.({
      fraction: Math.min(1, (before + within * (work[index] as number)) / total),
      layer: layer.node.name,
      group,
      iteration,
      error
    })
  }
}
