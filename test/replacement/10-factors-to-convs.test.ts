import t from 'tap'
import { compressWith } from '../../lib/replacement/compress.js'
import { kernelTensor } from '../../lib/replacement/kernel-tensor.js'
import { readLayer } from '../../lib/replacement/layer.js'
import { elementCount } from '../../lib/tensor.js'
import type { Node } from '../../lib/graph/graph.js'
import { runConvChain } from '../helpers/reference-conv.js'
import { type ConvCase, convGraph, exactSolve, maps } from './helpers.js'
import { convCases } from './conv-cases.js'

t.test('exact factors give exactly the layer', async (t) => {
  for (const one of convCases) {
    await t.test(one.title, async (t) => {
      const graph = convGraph(one)
      const { dims } = kernelTensor(readLayer(graph, graph.nodes[0] as Node))
      const rank = dims.slice(0, -1).reduce((a, b) => a * b, 1)
      const {
        graph: compressed,
        layers: [report]
      } = await compressWith(graph, { layers: { conv: rank } }, () => exactSolve)
      t.equal(report?.form, one.form)
      t.strictSame(
        compressed.nodes.map((node) => node.name),
        one.roles.map((role) => `conv/${role}`)
      )
      t.strictSame(
        report?.nodes,
        compressed.nodes.map((node) => node.name)
      )
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
  const graph = convGraph(convCases[0] as ConvCase)
  const { graph: compressed } = await compressWith(graph, { layers: { conv: 36 } }, () => exactSolve)
  const norms = [...compressed.initializers]
    .filter(([name]) => name.startsWith('conv/'))
    .map(([, tensor]) => Math.hypot(...(tensor.data as Float32Array)))
  t.equal(norms.length, 4)
  for (const norm of norms) t.ok(Math.abs(norm / (norms[0] as number) - 1) < 1e-5, `norms ${norms.join(', ')}`)
})

t.test("one and three spatial axes: the chain's weights multiply out to the kernel", async (t) => {
  const shapes = [
    { dims: [4, 3, 5], roles: ['reduce', 'horizontal', 'expand'], form: 'one-axis' },
    { dims: [3, 2, 3, 2, 4], roles: ['reduce', 'depth', 'vertical', 'horizontal', 'expand'], form: 'cp5' },
    { dims: [3, 2, 1, 2, 4], roles: ['reduce', 'vertical', 'horizontal', 'expand'], form: 'cp4' }
  ]
  for (const { dims, roles, form } of shapes) {
    const graph = convGraph({ title: '', input: [3, 8, 8], dims, bias: false })
    const rank = elementCount(dims) / (dims.at(-1) as number)
    const {
      graph: compressed,
      layers: [report]
    } = await compressWith(graph, { layers: { conv: rank } }, () => exactSolve)
    t.strictSame(
      compressed.nodes.map((node) => node.name),
      roles.map((role) => `conv/${role}`)
    )
    t.equal(report?.form, form)
    const weights = new Map(roles.map((role) => [role, compressed.initializers.get(`conv/${role}.weight`)?.data as Float32Array]))
    const kernel = graph.initializers.get('w')?.data as Float32Array
    const axes = ['depth', 'vertical', 'horizontal'].slice(-(dims.length - 2))
    kernel.forEach((value, flat) => {
      const index = indexOf(flat, dims)
      const [o = 0, s = 0] = index
      let sum = 0
      for (let r = 0; r < rank; r++) {
        const spatial = axes.reduce(
          (product, role, axis) => product * (weights.get(role)?.[r * (dims[axis + 2] as number) + (index[axis + 2] as number)] ?? 1),
          1
        )
        sum +=
          (weights.get('expand')?.[o * rank + r] as number) * (weights.get('reduce')?.[r * (dims[1] as number) + s] as number) * spatial
      }
      if (Math.abs(sum - value) > 1e-5) t.fail(`${dims.join('×')} at ${index.join(', ')}: ${sum}, expected ${value}`)
    })
  }
})

function indexOf(flat: number, dims: readonly number[]): number[] {
  let rest = flat
  return dims
    .toReversed()
    .map((dim) => {
      const index = rest % dim
      rest = Math.floor(rest / dim)
      return index
    })
    .reverse()
}
