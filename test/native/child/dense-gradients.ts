import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import { compile } from '../../../lib/runtime/compile.js'
import { elementCount } from '../../../lib/tensor.js'
import { type GradientCase, gradientBatch } from '../../helpers/gradient-case.js'
import { gradientCases, gradientGraph } from '../../helpers/gradient-cases.js'
import { compareGradients, lossesOf } from '../../helpers/gradient-check.js'

async function check(item: GradientCase, kind: 'dense' | 'blocked', threads: number): Promise<void> {
  const { graph, b } = gradientGraph(item, kind)
  const { spec } = compile(graph, { training: true, threads })
  const x = b.random.normal(gradientBatch * elementCount(item.dims))
  await compareGradients(
    `${item.name}, ${kind}`,
    spec,
    spec.inputs.map(() => x),
    b.random
  )
}

for (const [i, item] of gradientCases.entries()) {
  await check(item, 'dense', 1 + (i % 2))
  if (item.dims.length === 3 || item.dims.length === 2) await check(item, 'blocked', 1 + ((i + 1) % 2))
}

t.test('the same bits with any number of threads', async (t) => {
  for (const item of gradientCases) {
    const run = async (threads: number): Promise<readonly Float32Array[]> => {
      const { graph, b } = gradientGraph(item, 'dense')
      const { spec } = compile(graph, { training: true, threads })
      const trainer = native().createTrainer(spec)
      const x = b.random.normal(gradientBatch * elementCount(item.dims))
      const { gradients } = await trainer.gradients(
        spec.inputs.map(() => x),
        lossesOf(Int32Array.of(0, 1, 2))
      ).promise
      trainer.close()
      return gradients
    }
    t.same(await run(3), await run(1), item.name)
  }
})
