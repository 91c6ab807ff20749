import type { PlanConvolution } from '../../lib/runtime/plan-spec.js'
import type { PlanBuilder, Random } from './plan-builder.js'

/** A window of any geometry that fits an image of nine rows and columns. */
export function anyWindow(r: Random): Parameters<PlanBuilder['conv']>[2] & object {
  const pad = (): number => r.integer(0, 3)
  return {
    kernel: [r.integer(1, 5), r.integer(1, 5)],
    strides: [r.integer(1, 3), r.integer(1, 3)],
    pads: [pad(), pad(), pad(), pad()],
    dilations: [r.integer(1, 2), r.integer(1, 2)],
    bias: r.next() < 0.7
  }
}

/** Every form of CPD.md's table: with and without reduce, one axis only, groups, strides, pads, dilations. */
export function cpStages(
  b: PlanBuilder,
  r: Random,
  channels: number,
  groups: number,
  rank: number,
  outputs: number,
  form: string
): PlanConvolution[] {
  const pad = (): number => r.integer(0, 2)
  const vertical = {
    kernel: [r.integer(1, 9), 1] as const,
    strides: [r.integer(1, 2), 1] as const,
    pads: [pad(), 0, pad(), 0] as const,
    dilations: [r.integer(1, 2), 1] as const
  }
  const horizontal = {
    kernel: [1, r.integer(1, 9)] as const,
    strides: [1, r.integer(1, 2)] as const,
    pads: [0, pad(), 0, pad()] as const,
    dilations: [1, r.integer(1, 2)] as const
  }
  const width = rank * groups
  const stages: PlanConvolution[] = []
  if (form === 'first') stages.push(b.conv(channels, width, { ...vertical, groups, bias: false }))
  else {
    stages.push(b.conv(channels, width, { groups, bias: r.next() < 0.3 }))
    if (form !== 'horizontal') stages.push(b.conv(width, width, { ...vertical, groups: width, bias: false }))
  }
  if (form !== 'vertical') stages.push(b.conv(width, width, { ...horizontal, groups: width, bias: false }))
  stages.push(b.conv(width, outputs, { groups }))
  return stages
}
