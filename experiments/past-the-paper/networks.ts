// What the measured cells say: networks over their seeds, times by batch size, and which network is picked.

import { ranksText } from '../common/charnet.js'
import type { Timing } from '../common/latency.js'
import { fastestDense } from '../common/speed-section.js'
import type { Finished } from '../framework/experiment.js'
import { groupBy, mean } from '../framework/statistics.js'
import type { Dense, PastConfig, PastResult, Timed, Trained } from './compute.js'

export type Cell = Finished<PastConfig, PastResult>

/** The times of one batch size, milliseconds an image. */
export interface Times {
  readonly batch: number
  readonly timings: readonly Timing[]
  /** Of polyadic. */
  readonly ours: (name: string) => number
  readonly fastestDense: Timing | undefined
  readonly onnxruntimeDense: number
}

export function timesOf(cells: readonly Cell[], batch: number): Times | undefined {
  const found = cells.find(({ config }) => config.kind === 'time' && config.batch === batch)?.result as Timed | undefined
  if (found === undefined) return undefined
  const { timings } = found
  const at = (name: string, runtime: string): number =>
    (timings.find((one) => one.name === name && one.runtime === runtime)?.ms ?? Number.NaN) / batch
  return {
    batch,
    timings,
    fastestDense: fastestDense(timings),
    ours: (name) => at(name, 'polyadic'),
    onnxruntimeDense: at('dense', 'onnxruntime')
  }
}

/** The dense network as it is, and tuned with the budget of the decomposed ones. */
export interface Baselines extends Dense {
  readonly tuned: readonly Trained[]
  readonly tunedOn: number
}

export function baselinesOf(plain: Dense, cells: readonly Cell[]): Baselines {
  const tuned = cells.flatMap(({ config, result }) => (config.kind === 'dense, tuned' ? [{ config, result: result as Trained }] : []))
  const { images = 0, epochs = 0 } = tuned[0]?.config.tuning ?? {}
  return { ...plain, tuned: tuned.map(({ result }) => result), tunedOn: images * epochs }
}

/** Ranks, over their seeds. */
export interface Network {
  /** As the times call it. */
  readonly name: string
  readonly images: number
  readonly results: readonly Trained[]
}

export function networksOf(cells: readonly Cell[]): Network[] {
  const trained = cells.flatMap(({ config, result }) => (config.kind === 'ranks' ? [{ config, result: result as Trained }] : []))
  return [...groupBy(trained, ({ config }) => ranksText(config.ranks)).values()].map((group) => {
    const [{ config }] = group as [(typeof group)[number]]
    const { images, epochs } = config.settings.tuning
    return { name: ranksText(config.ranks), images: images * epochs, results: group.map(({ result }) => result) }
  })
}

export function tunedTest({ tuned }: Baselines): number {
  return mean(tuned.map(({ test }) => test))
}

/** Against the fastest float32 engine's dense network. */
export function speedUp(name: string, times: Times): number {
  return (times.fastestDense?.ms ?? Number.NaN) / times.batch / times.ours(name)
}

/** The fastest network that on the validation set is at most one point behind the dense one as it is. */
export function chosenOf(networks: readonly Network[], dense: Baselines, times: Times): Network | undefined {
  const within = networks.filter(({ results }) => dense.validation - mean(results.map(({ best }) => best)) <= 1)
  return within.reduce<Network | undefined>((a, b) => (a !== undefined && times.ours(a.name) <= times.ours(b.name) ? a : b), undefined)
}
