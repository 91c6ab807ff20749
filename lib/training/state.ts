import type { NativeState, NativeTrainer } from '../native/binding.js'

const kinds = ['weights', 'first', 'second', 'average'] as const satisfies readonly NativeState[]

/** All that a trainer holds at one moment, by kind and in the order of the plan's parameters. */
export type TrainerState = Readonly<Record<(typeof kinds)[number], readonly Float32Array[]>>

export function takeState(trainer: NativeTrainer): TrainerState {
  return Object.fromEntries(kinds.map((kind) => [kind, trainer.getParameters(kind)])) as unknown as TrainerState
}

export function giveState(trainer: NativeTrainer, state: TrainerState): void {
  for (const kind of kinds) trainer.setParameters(kind, state[kind])
}

/** The weights that count: their moving average where one is kept. */
export function finalWeights(trainer: NativeTrainer): Float32Array[] {
  const averages = trainer.getParameters('average')
  return trainer
    .getParameters('weights')
    .map((weights, i) => (averages[i]?.length === weights.length ? (averages[i] as Float32Array) : weights))
}
