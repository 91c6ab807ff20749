import t from 'tap'
import { compressWith } from '../../lib/replacement/compress.js'
import { kernelTensor } from '../../lib/replacement/kernel-tensor.js'
import { readConv } from '../../lib/replacement/layer.js'
import { elementCount } from '../../lib/tensor.js'
import type { Node } from '../../lib/graph/graph.js'
import { runConvChain } from '../helpers/reference-conv.js'
import { type ConvCase, convGraph, exactSolve, maps } from './helpers.js'

const cases: readonly (ConvCase & { readonly form: string; readonly roles: readonly string[] })[] = [
  { title: '3×3', input: [3, 7, 6], dims: [4, 3, 3, 3], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: '5×3 with strides [2, 1]', input: [2, 9, 8], dims: [3, 2, 5, 3], strides: [2, 1], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: '2×4 even kernel, asymmetric pads', input: [2, 6, 7], dims: [3, 2, 2, 4], pads: [0, 2, 1, 3], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'dilations [2, 3], strides [1, 2], pads', input: [2, 9, 11], dims: [3, 2, 3, 3], strides: [1, 2], dilations: [2, 3], pads: [2, 1, 0, 3], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'SAME_UPPER with strides', input: [2, 8, 7], dims: [3, 2, 3, 4], strides: [2, 3], autoPad: 'SAME_UPPER', form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'SAME_LOWER', input: [2, 8, 7], dims: [3, 2, 2, 4], autoPad: 'SAME_LOWER', form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'VALID beside pads that do not count', input: [2, 6, 7], dims: [3, 2, 3, 2], autoPad: 'VALID', form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'two groups', input: [6, 6, 6], dims: [4, 3, 3, 3], groups: 2, pads: [1, 1, 1, 1], form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'four groups', input: [8, 5, 6], dims: [8, 2, 3, 2], groups: 4, form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'no bias', input: [2, 6, 6], dims: [3, 2, 3, 3], bias: false, form: 'cp4', roles: ['reduce', 'vertical', 'horizontal', 'expand'] },
  { title: 'first layer, one channel', input: [1, 9, 9], dims: [6, 1, 5, 5], strides: [2, 2], pads: [1, 0, 2, 1], form: 'first-layer', roles: ['vertical', 'horizontal', 'expand'] },
  { title: 'depthwise with multiplier 2', input: [4, 6, 7], dims: [8, 1, 3, 3], groups: 4, pads: [1, 1, 1, 1], form: 'first-layer', roles: ['vertical', 'horizontal', 'expand'] },
  { title: 'depthwise, one filter a channel', input: [4, 6, 7], dims: [4, 1, 3, 2], groups: 4, form: 'first-layer', roles: ['vertical', 'horizontal', 'expand'] },
  { title: '1×5, stride and pads on both axes', input: [3, 6, 9], dims: [4, 3, 1, 5], strides: [2, 2], pads: [1, 2, 0, 1], form: 'one-axis', roles: ['reduce', 'horizontal', 'expand'] },
  { title: '5×1, two groups', input: [4, 9, 5], dims: [6, 2, 5, 1], groups: 2, strides: [1, 2], form: 'one-axis', roles: ['reduce', 'vertical', 'expand'] },
  { title: '1×3 on one channel, stride on the other axis', input: [1, 6, 7], dims: [3, 1, 1, 3], strides: [2, 1], pads: [1, 1, 1, 1], form: 'first-layer', roles: ['horizontal', 'expand'] },
  { title: '1×1 with stride 2 and pads', input: [4, 7, 6], dims: [5, 4, 1, 1], strides: [2, 2], pads: [1, 0, 0, 1], form: 'pointwise', roles: ['reduce', 'expand'] },
  { title: '1×1 SAME_UPPER with stride 2, two groups', input: [4, 7, 6], dims: [6, 2, 1, 1], groups: 2, strides: [2, 2], autoPad: 'SAME_UPPER', form: 'pointwise', roles: ['reduce', 'expand'] }
]

t.test('exact factors give exactly the layer', async (t) => {
  for (const one of cases) {
    await t.test(one.title, async (t) => {
      const graph = convGraph(one)
      const { dims } = kernelTensor(readConv(graph, graph.nodes[0] as Node))
      const rank = dims.slice(0, -1).reduce((a, b) => a * b, 1)
      const { graph: compressed, layers: [report] } = await compressWith(graph, { layers: { conv: rank } }, () => exactSolve)
      t.equal(report?.form, one.form)
      t.strictSame(compressed.nodes.map((node) => node.name), one.roles.map((role) => `conv/${role}`))
      t.strictSame(report?.nodes, compressed.nodes.map((node) => node.name))
      const input = maps(...one.input)
      const expected = runConvChain(graph, input)
      const actual = runConvChain(compressed, input)
      t.strictSame([actual.channels, actual.height, actual.width], [expected.channels, expected.height, expected.width])
      const largest = expected.data.reduce((most, value, i) => Math.max(most, Math.abs(value - (actual.data[i] as number))), 0)
      // Weights are rounded to float32 once, arithmetic is float64.
      t.ok(largest < 1e-5, `largest difference ${largest}`)
    })
  }
})

t.test('the layers of a chain have balanced norms', async (t) => {
  const graph = convGraph(cases[0] as ConvCase)
  const { graph: compressed } = await compressWith(graph, { layers: { conv: 36 } }, () => exactSolve)
  const norms = [...compressed.initializers].filter(([name]) => name.startsWith('conv/')).map(([, tensor]) => Math.hypot(...tensor.data as Float32Array))
  t.equal(norms.length, 4)
  for (const norm of norms) t.ok(Math.abs(norm / (norms[0] as number) - 1) < 1e-5, `norms ${norms.join(', ')}`)
})

t.test('one and three spatial axes: the chain\'s weights multiply out to the kernel', async (t) => {
  const shapes = [
    { dims: [4, 3, 5], roles: ['reduce', 'horizontal', 'expand'], form: 'one-axis' },
    { dims: [3, 2, 3, 2, 4], roles: ['reduce', 'depth', 'vertical', 'horizontal', 'expand'], form: 'cp5' },
    { dims: [3, 2, 1, 2, 4], roles: ['reduce', 'vertical', 'horizontal', 'expand'], form: 'cp4' }
  ]
  for (const { dims, roles, form } of shapes) {
    const graph = convGraph({ title: '', input: [3, 8, 8], dims, bias: false })
    const rank = elementCount(dims) / (dims.at(-1) as number)
    const { graph: compressed, layers: [report] } = await compressWith(graph, { layers: { conv: rank } }, () => exactSolve)
    t.strictSame(compressed.nodes.map((node) => node.name), roles.map((role) => `conv/${role}`))
    t.equal(report?.form, form)
    const weights = new Map(roles.map((role) => [role, compressed.initializers.get(`conv/${role}.weight`)?.data as Float32Array]))
    const kernel = graph.initializers.get('w')?.data as Float32Array
    const axes = ['depth', 'vertical', 'horizontal'].slice(-(dims.length - 2))
    kernel.forEach((value, flat) => {
      const index = indexOf(flat, dims)
      const [o = 0, s = 0] = index
      let sum = 0
      for (let r = 0; r < rank; r++) {
        const spatial = axes.reduce((product, role, axis) => product * (weights.get(role)?.[r * (dims[axis + 2] as number) + (index[axis + 2] as number)] ?? 1), 1)
        sum += (weights.get('expand')?.[o * rank + r] as number) * (weights.get('reduce')?.[r * (dims[1] as number) + s] as number) * spatial
      }
      if (Math.abs(sum - value) > 1e-5) t.fail(`${dims.join('×')} at ${index.join(', ')}: ${sum}, expected ${value}`)
    })
  }
})

function indexOf(flat: number, dims: readonly number[]): number[] {
  let rest = flat
  return dims.toReversed().map((dim) => {
    const index = rest % dim
    rest = Math.floor(rest / dim)
    return index
  }).reverse()
}
