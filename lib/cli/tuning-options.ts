import { show } from '../errors.js'
import type { FineTuneOptions } from '../training/fine-tune.js'
import type { FeaturePair } from '../training/objective.js'
import type { NamePattern, ParameterGroup } from '../training/parameters.js'
import { choice, flag, integer, list, number, numbers, text } from './arguments.js'
import { type Arguments, type Command, UsageError } from './command.js'
import { loadNetwork } from './network.js'
import { given, type TrainingSettings } from './training.js'

/** What `finetune` takes beside the options of everything that trains: the rest of `FineTuneOptions`. */
export const tuningOptions: Command['options'] = {
  steps: { type: 'string' },
  optimiser: { type: 'string' },
  'no-nesterov': { type: 'boolean' },
  betas: { type: 'string' },
  epsilon: { type: 'string' },
  'decay-biases': { type: 'boolean' },
  group: { type: 'string', multiple: true },
  'average-decay': { type: 'string' },
  'clip-norm': { type: 'string' },
  'warm-up': { type: 'string' },
  plateau: { type: 'string' },
  'batch-norm': { type: 'string' },
  'no-dropout': { type: 'boolean' },
  sensitivity: { type: 'string' },
  'scale-rates': { type: 'boolean' },
  'no-balance': { type: 'boolean' },
  teacher: { type: 'string' },
  temperature: { type: 'string' },
  'label-weight': { type: 'string' },
  feature: { type: 'string', multiple: true },
  logits: { type: 'string' },
  'teacher-logits': { type: 'string' },
  shape: { type: 'string', multiple: true },
  'max-rollbacks': { type: 'string' },
  'spike-factor': { type: 'string' },
  checkpoint: { type: 'string' },
  'checkpoint-every': { type: 'string' },
  resume: { type: 'boolean' }
}

export const tuningHelp = `  --steps N              ends training after so many steps, if --epochs has not
  --optimiser NAME       sgd or adamw (sgd); adamw learns at 0.001 by default
  --no-nesterov          plain momentum
  --betas B1,B2          of adamw (0.9,0.999); --epsilon X (1e-8)
  --decay-biases         weight decay of biases, too
  --group PATTERN=RATE   a factor on the learning rate of layers, RATE,DECAY also their weight decay; may be repeated
  --average-decay X      a moving average of the weights, which is what is written (0: none)
  --clip-norm X          largest norm of all gradients together (1; 0: not clipped)
  --warm-up PART         part of the training that warms up (0; 0.3 with one-cycle)
  --plateau FACTOR,N     instead of a schedule: the rate times FACTOR when N epochs have brought nothing
  --batch-norm NAME      frozen statistics, or those of each batch: frozen or batch (frozen)
  --no-dropout           Dropout nodes let everything through
  --sensitivity X        weight in the loss of the decomposed layers' CP sensitivity (0)
  --scale-rates          divides the learning rate of each decomposed convolution by the stiffness of its factors, so that they
                         bear the dense network's rate (sgd only)
  --no-balance           factors are not balanced first
  --teacher MODEL.onnx   learn from this network's outputs, without the labels;
                         --temperature X (2), --label-weight X: weight of the labels' loss beside it (0),
                         --feature NAME: its value NAME is to be matched, too, by the value of that name; STUDENT=NAME
                         by another; may be repeated; --teacher-logits NAME: the value that holds the teacher's logits
  --logits NAME          the value that holds the logits (the first output, before a softmax)
  --shape DIMS           of an example, as in 3x224x224 or image=1x3x224x224, where the network leaves it open and the data do
                         not say it (images)
  --max-rollbacks N      how often training may go back and slow down (6); --spike-factor X: a smoothed loss so many
                         times its best counts as divergence (2)
  --checkpoint FILE      written every --checkpoint-every N steps (500), at every epoch's end and on Ctrl-C;
                         --resume: go on from it
  PATTERN and LAYER are names of nodes or weights, or /regular expressions/.`

/** Reads them. */
export async function tuningSettings(args: Arguments, settings: TrainingSettings): Promise<TrainingSettings> {
  checkDependent(args)
  return {
    ...settings,
    frozen: list(args, 'freeze').map(namePattern),
    ...given('steps', integer(args, 'steps', 1)),
    ...given('optimiser', choice(args, 'optimiser', ['sgd', 'adamw'] as const)),
    ...(flag(args, 'no-nesterov') && { nesterov: false }),
    ...given('betas', pair(args, 'betas')),
    ...given('epsilon', number(args, 'epsilon', 0)),
    ...(flag(args, 'decay-biases') && { decayBiases: true }),
    groups: list(args, 'group').map(group),
    ...given('averageDecay', number(args, 'average-decay', 0)),
    ...given('clipNorm', number(args, 'clip-norm', 0)),
    ...given('warmUp', number(args, 'warm-up', 0)),
    ...given('schedule', plateau(args)),
    ...given('batchNorm', choice(args, 'batch-norm', ['frozen', 'batch'] as const)),
    ...(flag(args, 'no-dropout') && { dropout: false }),
    ...given('sensitivity', number(args, 'sensitivity', 0)),
    ...(flag(args, 'scale-rates') && { scaleRates: true }),
    ...(flag(args, 'no-balance') && { balance: false }),
    ...given('distillation', await distillation(args)),
    ...given('logits', text(args, 'logits')),
    ...given('maxRollbacks', integer(args, 'max-rollbacks', 0)),
    ...given('spikeFactor', number(args, 'spike-factor', 1)),
    ...given('checkpoint', checkpoint(args))
  }
}

/** Options that say how something is done that another option asks for. */
const dependent: Readonly<Record<string, readonly string[]>> = {
  teacher: ['temperature', 'label-weight', 'feature', 'teacher-logits'],
  checkpoint: ['checkpoint-every', 'resume']
}

function checkDependent(args: Arguments): void {
  for (const [needed, names] of Object.entries(dependent)) {
    const alone = args.values[needed] === undefined && names.find((name) => args.values[name] !== undefined)
    if (alone) throw new UsageError(`--${alone} needs --${needed}`)
  }
  if (args.values.plateau !== undefined && args.values.schedule !== undefined)
    throw new UsageError('--plateau takes the place of --schedule: give one of them')
}

function namePattern(value: string): NamePattern {
  const pattern = /^\/(.+)\/$/.exec(value)?.[1]
  if (pattern === undefined) return value
  try {
    return new RegExp(pattern, 'u')
  } catch {
    throw new UsageError(`${show(value)} is no regular expression`)
  }
}

function group(value: string): ParameterGroup {
  const at = value.lastIndexOf('=')
  const [learningRate, weightDecay] = value
    .slice(at + 1)
    .split(',')
    .map(Number)
  const wrong = (x: number | undefined): boolean => x !== undefined && !(Number.isFinite(x) && x >= 0)
  if (at < 1 || learningRate === undefined || wrong(learningRate) || wrong(weightDecay))
    throw new UsageError(`--group: expected PATTERN=RATE or PATTERN=RATE,DECAY, got ${show(value)}`)
  return { match: [namePattern(value.slice(0, at))], learningRate, ...given('weightDecay', weightDecay) }
}

/** `--name A,B` as two finite numbers. */
function pair(args: Arguments, name: string): readonly [number, number] | undefined {
  const given = numbers(args, name)
  if (given === undefined) return undefined
  const [a, b, ...more] = given
  if (a !== undefined && b !== undefined && more.length === 0) return [a, b]
  throw new UsageError(`--${name}: expected two numbers with a comma between, got ${show(args.values[name])}`)
}

function plateau(args: Arguments): FineTuneOptions['schedule'] {
  const [factor, patience] = pair(args, 'plateau') ?? []
  return factor === undefined || patience === undefined ? undefined : { factor, patience }
}

async function distillation(args: Arguments): Promise<FineTuneOptions['distillation']> {
  const teacher = text(args, 'teacher')
  if (teacher === undefined) return undefined
  const features = list(args, 'feature').map((item): FeaturePair => {
    const at = item.indexOf('=')
    return at < 0 ? { teacher: item } : { student: item.slice(0, at), teacher: item.slice(at + 1) }
  })
  return {
    teacher: await loadNetwork(teacher),
    features,
    ...given('logits', text(args, 'teacher-logits')),
    ...given('temperature', number(args, 'temperature', 0)),
    ...given('labels', number(args, 'label-weight', 0))
  }
}

function checkpoint(args: Arguments): TrainingSettings['checkpoint'] {
  const path = text(args, 'checkpoint')
  if (path === undefined) return undefined
  return { path, resume: flag(args, 'resume'), ...given('everySteps', integer(args, 'checkpoint-every', 1)) }
}
