import type { ConvCase } from './helpers.js'

export interface FormCase extends ConvCase {
  readonly form: string
  readonly roles: readonly string[]
}

/** Two-axis convolutions of every form, with the chain each becomes. */
export const convCases: readonly FormCase[] = [
  { title: '3×3', input: [3, 7, 6], dims: [4, 3, 3, 3], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  {
    title: '5×3 with strides [2, 1]',
    input: [2, 9, 8],
    dims: [3, 2, 5, 3],
    strides: [2, 1],
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: '2×4 even kernel, asymmetric pads',
    input: [2, 6, 7],
    dims: [3, 2, 2, 4],
    pads: [0, 2, 1, 3],
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'dilations [2, 3], strides [1, 2], pads',
    input: [2, 9, 11],
    dims: [3, 2, 3, 3],
    strides: [1, 2],
    dilations: [2, 3],
    pads: [2, 1, 0, 3],
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'SAME_UPPER with strides',
    input: [2, 8, 7],
    dims: [3, 2, 3, 4],
    strides: [2, 3],
    autoPad: 'SAME_UPPER',
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'SAME_LOWER',
    input: [2, 8, 7],
    dims: [3, 2, 2, 4],
    autoPad: 'SAME_LOWER',
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'VALID',
    input: [2, 6, 7],
    dims: [3, 2, 3, 2],
    autoPad: 'VALID',
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'two groups',
    input: [6, 6, 6],
    dims: [4, 3, 3, 3],
    groups: 2,
    pads: [1, 1, 1, 1],
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'four groups',
    input: [8, 5, 6],
    dims: [8, 2, 3, 2],
    groups: 4,
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'no bias',
    input: [2, 6, 6],
    dims: [3, 2, 3, 3],
    bias: false,
    form: 'cp4',
    roles: ['reduce', 'vertical', 'horizontal', 'expand']
  },
  {
    title: 'first layer, one channel',
    input: [1, 9, 9],
    dims: [6, 1, 5, 5],
    strides: [2, 2],
    pads: [1, 0, 2, 1],
    form: 'first-layer',
    roles: ['vertical', 'horizontal', 'expand']
  },
  {
    title: 'depthwise with multiplier 2',
    input: [4, 6, 7],
    dims: [8, 1, 3, 3],
    groups: 4,
    pads: [1, 1, 1, 1],
    form: 'first-layer',
    roles: ['vertical', 'horizontal', 'expand']
  },
  {
    title: 'depthwise, one filter a channel',
    input: [4, 6, 7],
    dims: [4, 1, 3, 2],
    groups: 4,
    form: 'first-layer',
    roles: ['vertical', 'horizontal', 'expand']
  },
  {
    title: '1×5, stride and pads on both axes',
    input: [3, 6, 9],
    dims: [4, 3, 1, 5],
    strides: [2, 2],
    pads: [1, 2, 0, 1],
    form: 'one-axis',
    roles: ['reduce', 'horizontal', 'expand']
  },
  {
    title: '5×1, two groups',
    input: [4, 9, 5],
    dims: [6, 2, 5, 1],
    groups: 2,
    strides: [1, 2],
    form: 'one-axis',
    roles: ['reduce', 'vertical', 'expand']
  },
  {
    title: '1×3 on one channel, stride on the other axis',
    input: [1, 6, 7],
    dims: [3, 1, 1, 3],
    strides: [2, 1],
    pads: [1, 1, 1, 1],
    form: 'first-layer',
    roles: ['horizontal', 'expand']
  },
  {
    title: '1×1 with stride 2 and pads',
    input: [4, 7, 6],
    dims: [5, 4, 1, 1],
    strides: [2, 2],
    pads: [1, 0, 0, 1],
    form: 'pointwise',
    roles: ['reduce', 'expand']
  },
  {
    title: '1×1 SAME_UPPER with stride 2, two groups',
    input: [4, 7, 6],
    dims: [6, 2, 1, 1],
    groups: 2,
    strides: [2, 2],
    autoPad: 'SAME_UPPER',
    form: 'pointwise',
    roles: ['reduce', 'expand']
  }
]
