// What becomes of work that the system has no thread or no memory for: run with refusals.c in front of the C library.
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import t from 'tap'
import { native } from '../../../lib/native/binding.js'
import { makeGraph, makeNode, Session } from '../../../lib/index.js'
import { bf16Spec } from '../../helpers/bf16.js'
import { manyLoops } from '../../helpers/many-loops.js'
import { generator, PlanBuilder } from '../../helpers/plan-builder.js'
import { sameBits } from '../../helpers/same-bits.js'

const relu = makeGraph({
  name: 'relu',
  opset: 17,
  inputs: [{ name: 'x', dtype: 'float32', dims: [4] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: [4] }],
  nodes: [makeNode({ name: 'relu', opType: 'Relu', inputs: ['x'], outputs: ['y'] })],
  initializers: new Map()
})

if (process.env.ALLOWED_THREADS === '0') {
  const refused = { code: 'POLYADIC_NATIVE', message: /the system gives no thread to compute on/ }
  for (let i = 0; i < 2; i++) await t.rejects(Session.create(relu), refused)
  // Its end must not need the thread that it did not get.
  const worker = new Worker(`import(${JSON.stringify(import.meta.resolve('../../../dist/lib/index.js'))}).then(({ cpu }) => cpu())`, {
    eval: true
  })
  t.strictSame(await once(worker, 'exit'), [0])
} else if (process.env.ALLOWED_THREADS === '1') {
  const [alone, together] = [manyLoops(1), manyLoops(4)]
  await alone.plan.run([alone.input], [alone.output]).promise
  for (let run = 0; run < 20; run++) {
    together.output.fill(Number.NaN)
    await together.plan.run([together.input], [together.output]).promise
    t.ok(sameBits(together.output, alone.output), `without helpers, run ${run}`)
  }
} else {
  let [made, refused] = [0, 0]
  for (let attempt = 0; attempt < 200 && (refused === 0 || made === 0); attempt++) {
    // A group is a part of the packing; each makes a list of its own, for which a helper is refused the memory.
    const b = new PlanBuilder(generator(attempt))
    const y = b.convolution(b.input(1, 1024, 4, 4), 1024, { kernel: [3, 3], pads: [1, 1, 1, 1], groups: 64 })
    try {
      native()
        .createPlan(bf16Spec(b.spec(y, refused > 0 ? 1 : 2)))
        .close()
      if (refused > 0) made++
    } catch (error) {
      t.match(error, { code: 'POLYADIC_MEMORY' })
      refused++
    }
  }
  t.ok(refused > 0, 'an exception on a helper reaches the caller')
  t.ok(made > 0, 'and the team is there for the next loop')
  const { plan, input, output } = manyLoops(2)
  await plan.run([input], [output]).promise
}
