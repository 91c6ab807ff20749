// How far CharNet goes: all three large convolutions decomposed, ranks chosen by layer, tuned for longer, with and without a teacher.

import { type Ranks, ranksText, type Tuning } from '../common/charnet.js'
import { type Experiment, type Scale, seedsOf } from '../framework/experiment.js'
import { type LongTuning, type PastConfig, type PastResult, type Recipe, run } from './compute.js'
import { report } from './report.js'

const plain: Tuning = { images: 30_000, epochs: 2, learningRate: 0.005, weightDecay: 1e-4 }
const teacher = { temperature: 2, weight: 0.5, labels: 0.5 }

/** Tried at one set of ranks, each against the first by one change. */
const recipes = {
  plain: { start: 'nls', tuning: plain },
  'rate × 4': { start: 'nls', tuning: { ...plain, learningRate: 0.02 } },
  AdamW: { start: 'nls', tuning: { ...plain, optimiser: 'adamw', learningRate: 0.002, weightDecay: 0.01 } },
  'data-aware start': { start: 'data-aware nls', tuning: plain },
  'random start': { start: 'random', tuning: plain },
  distilled: { start: 'nls', tuning: { ...plain, distillation: teacher } },
  'data-aware start, AdamW': { start: 'data-aware nls', tuning: { ...plain, optimiser: 'adamw', learningRate: 0.002, weightDecay: 0.01 } }
} as const satisfies Readonly<Record<string, Recipe>>

/** What the recipes are compared at. */
const trialRanks: Ranks = { conv1: 16, conv2: 32, conv3: 32 }

/** Where longer tuning has to help. */
const lowRanks: Ranks = { conv1: 8, conv2: 16, conv3: 32 }

/** From the paper's choice downwards. */
const curve: readonly Ranks[] = [
  { conv2: 64, conv3: 64 },
  { conv1: 24, conv2: 48, conv3: 48 },
  trialRanks,
  { conv1: 12, conv2: 24, conv3: 32 },
  { conv1: 8, conv2: 24, conv3: 32 },
  lowRanks,
  { conv1: 8, conv2: 16, conv3: 24 },
  { conv1: 6, conv2: 16, conv3: 24 },
  { conv1: 6, conv2: 12, conv3: 16 }
]

/** From the two changes that the validation set favoured, tuned for ten times as long. */
const favoured: Recipe = recipes['data-aware start, AdamW']
const lasting = (changes: Partial<LongTuning>): Recipe => ({
  ...favoured,
  tuning: { ...favoured.tuning, images: 300_000, epochs: 2, ...changes }
})

/** As many images each, at the low ranks; against the curve's own cell there. */
const longRecipes: Readonly<Record<string, Recipe>> = {
  '100,000 images, 6 times': lasting({ images: 100_000, epochs: 6 }),
  'twice, label smoothing': lasting({ labelSmoothing: 0.1 }),
  'twice, averaged weights': lasting({ averageDecay: 0.999 }),
  'twice, distilled': lasting({ distillation: teacher })
}
const long = lasting({})

export const pastThePaper: Experiment<PastConfig, PastResult> = {
  name: 'past-the-paper',
  title: 'CharNet past the paper: accuracy against speed-up',
  components: ({ kind }) =>
    kind === 'time' ? ['dense CharNet', 'inference', 'peer runtimes'] : ['character data', 'dense CharNet', 'decomposition', 'training'],
  cells,
  key,
  run,
  report
}

function cells(scale: Scale): PastConfig[] {
  const isQuick = scale === 'quick'
  const seeds = seedsOf(scale)
  const small = (recipe: Recipe): Recipe => (isQuick ? { ...recipe, tuning: { ...recipe.tuning, images: 640, epochs: 1 } } : recipe)
  const tried = isQuick ? curve.slice(2, 4) : curve
  return [
    { kind: 'dense' },
    ...Object.entries(recipes).map(
      ([recipe, settings]): PastConfig => ({ kind: 'recipe', recipe, ranks: trialRanks, seed: 1, settings: small(settings) })
    ),
    ...Object.entries(isQuick ? {} : longRecipes).map(
      ([recipe, settings]): PastConfig => ({ kind: 'recipe', recipe, ranks: lowRanks, seed: 1, settings })
    ),
    ...seeds.flatMap((seed) => tried.map((ranks): PastConfig => ({ kind: 'ranks', ranks, seed, settings: small(long) }))),
    ...seeds.map((seed): PastConfig => ({ kind: 'dense, tuned', seed, tuning: small(long).tuning })),
    ...[1, 64].map((batch): PastConfig => ({ kind: 'time', batch, ranks: tried }))
  ]
}

function key(config: PastConfig): string {
  switch (config.kind) {
    case 'dense':
      return 'dense'
    case 'dense, tuned':
      return `dense, tuned as long, seed ${config.seed}`
    case 'recipe':
      return `recipe: ${config.recipe}, seed ${config.seed}`
    case 'ranks':
      return `ranks: ${ranksText(config.ranks)}, seed ${config.seed}`
    case 'time':
      return `time: batch ${config.batch}`
  }
}
