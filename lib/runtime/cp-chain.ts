import { show } from '../errors.js'
import { countUses, type Draft } from './draft.js'
import type { PlanConvolution, PlanStep, PlanValue } from './plan-spec.js'

type Convolution = Extract<PlanStep, { op: 'convolution' }>

/** Depthwise stages in a block: one along each axis, or a single one. */
const maximumDepthwise = 2

/**
 * Joins every chain of convolutions that is a CP block, whoever made it: [reduce 1×1] → one or two depthwise → expand 1×1, or for a layer
 * of one input channel a group: k×1 → [depthwise] → expand 1×1. What lies between is read by the next stage only and has no
 * activation; biases may be anywhere.
 */
export function cpBlocks(draft: Draft): Draft {
  const uses = countUses(draft)
  const steps = new Map(draft.steps.map((step) => [step.output, step]))
  // Only steps that are still convolutions: a stage belongs to one block.
  const before = (step: Convolution): Link | undefined => {
    const producer = steps.get(step.input)
    if (producer?.op !== 'convolution') return undefined
    const count = uses[step.input]
    if (count !== 1) return { stage: producer, obstacle: `what lies between is read ${count} times` }
    return isPlain(producer) ? { stage: producer } : { stage: producer, obstacle: 'there is a function between them' }
  }
  for (const last of draft.steps) {
    if (last.op !== 'convolution' || !isPointwise(last)) continue
    const chain = chainTo(last, before, draft.values)
    if (typeof chain === 'string') {
      if (chain !== '') steps.set(last.output, { ...last, apart: chain })
      continue
    }
    for (const stage of chain) steps.delete(stage.output)
    steps.set(last.output, blockOf(chain, last))
  }
  return { ...draft, steps: draft.steps.flatMap((step) => steps.get(step.output) ?? []) }
}

/** The convolution before another, and why the two cannot be stages of one block. */
interface Link {
  readonly stage: Convolution
  readonly obstacle?: string
}

/** The stages in order, `last` included, walking back from it; or why there is no block, empty where nothing looks like one. */
function chainTo(
  last: Convolution,
  before: (step: Convolution) => Link | undefined,
  values: readonly PlanValue[]
): readonly Convolution[] | string {
  const chain = [last]
  let link = before(last)
  if (link?.obstacle !== undefined && isDepthwise(link.stage, values))
    return `no CP block with ${show(link.stage.nodes?.[0] ?? 'what is before')}: ${link.obstacle}`
  const free = (): Convolution | undefined => (link?.obstacle === undefined ? link?.stage : undefined)
  let stage = free()
  while (stage !== undefined && chain.length <= maximumDepthwise && isDepthwise(stage, values)) {
    chain.unshift(stage)
    link = before(stage)
    stage = free()
  }
  const depthwise = chain.length - 1
  const isReduce = stage !== undefined && isPointwise(stage) && depthwise > 0
  const isFirstLayer = stage !== undefined && depthwise < maximumDepthwise && isOneChannelPerGroup(stage, values) && isOneAxis(stage)
  if (stage !== undefined && (isReduce || isFirstLayer)) chain.unshift(stage)
  return depthwise > 0 || isFirstLayer ? chain : ''
}

function blockOf(chain: readonly Convolution[], last: Convolution): PlanStep {
  const { maxout, activation, residual, output } = last
  return {
    op: 'cp_block',
    nodes: chain.flatMap(({ nodes = [] }) => nodes),
    input: (chain[0] as Convolution).input,
    output,
    stages: chain.map(
      ({ kernel, strides, pads, dilations, groups, weight, bias }): PlanConvolution => ({
        kernel,
        strides,
        pads,
        dilations,
        groups,
        weight,
        bias
      })
    ),
    ...(maxout === undefined ? {} : { maxout }),
    ...(activation === undefined ? {} : { activation }),
    ...(residual === undefined ? {} : { residual })
  }
}

/** Nothing happens behind the sum. */
function isPlain(step: Convolution): boolean {
  return step.maxout === undefined && step.activation === undefined && step.residual === undefined
}

function isPointwise({ kernel, strides, pads }: Convolution): boolean {
  return kernel.every((k) => k === 1) && strides.every((stride) => stride === 1) && pads.every((pad) => pad === 0)
}

function isDepthwise(step: Convolution, values: readonly PlanValue[]): boolean {
  return !isPointwise(step) && isOneChannelPerGroup(step, values) && values[step.output]?.c === step.groups
}

function isOneChannelPerGroup(step: Convolution, values: readonly PlanValue[]): boolean {
  return !isPointwise(step) && values[step.input]?.c === step.groups
}

function isOneAxis({ kernel }: Convolution): boolean {
  return kernel.includes(1)
}
