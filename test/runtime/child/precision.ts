// Sessions in every precision, on the bfloat16 kernels that POLYADIC_BF16 names.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { cpu, type Graph, Session, type Tensor, floatTensor } from '../../../lib/index.js'
import { charNet } from '../../helpers/charnet.js'
import { rejectsError } from '../../helpers/expect-error.js'
import { NetworkBuilder } from '../../helpers/network-builder.js'
import { generator } from '../../helpers/plan-builder.js'

const wanted = process.env.POLYADIC_BF16
const has = wanted !== 'off'

// Each of a few layers rounds what it reads and its weights by 2⁻⁹ of themselves at most.
const tolerance = 2 ** -6

t.setTimeout(0)

// Enough for F(4×4, 3×3), no more than the twin and an emulator need.
const side = 12

/** 3×3 layers of stride 1, which float32 computes by Winograd's algorithm, with all that may follow a convolution. */
function residual(): Graph {
  const b = new NetworkBuilder()
  const x = b.node('Relu', [b.conv(b.input(['batch', 3, side, side], 'x'), [64, 3, 3, 3], { pads: [1, 1, 1, 1] })])
  const y = b.node('Relu', [b.conv(x, [64, 64, 3, 3], { pads: [1, 1, 1, 1] })])
  const z = b.node('Relu', [b.node('Add', [b.conv(y, [64, 64, 3, 3], { pads: [1, 1, 1, 1] }), x])])
  const pooled = b.node('Flatten', [b.node('GlobalAveragePool', [b.node('MaxPool', [z], { kernel_shape: [2, 2], strides: [2, 2] })])])
  return b.graph(b.node('Softmax', [b.node('Gemm', [pooled, b.weight(64, 10)])]), z)
}

function images(batch: number, seed = 1): Tensor {
  return floatTensor(generator(seed).normal(batch * 3 * side * side), [batch, 3, side, side])
}

function worst(a: Tensor, b: Tensor): number {
  const [x, y] = [a.data as Float32Array, b.data as Float32Array]
  const scale = y.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)
  return x.reduce((largest, v, i) => Math.max(largest, Math.abs(v - (y[i] as number))), 0) / scale
}

void t.test('what there is, is told', async (t) => {
  const { bf16, bf16Reason } = cpu()
  t.equal(bf16, has ? wanted : undefined)
  t.equal(bf16Reason, has ? undefined : 'POLYADIC_BF16=off')
})

for (const [name, graph, input] of [
  ['residual', residual(), images(3)],
  ['CharNet', charNet(), floatTensor(generator(2).normal(2 * 576), [2, 1, 24, 24])]
] as const) {
  void t.test(`${name}: bf16 against float32`, async (t) => {
    await using single = await Session.create(graph)
    await using half = await Session.create(graph, { precision: 'bf16' })
    await using auto = await Session.create(graph, { precision: 'auto' })
    const shapes = { [graph.inputs[0]?.name as string]: input.dims }
    const [exact, rounded, either] = [await single.run(input), await half.run(input), await auto.run(input)]
    for (const key of Object.keys(exact)) {
      const difference = worst(rounded[key] as Tensor, exact[key] as Tensor)
      t.ok(difference <= tolerance, `${key}: ${difference.toExponential(1)}`)
      if (has) t.not(difference, 0, 'something was rounded')
      else t.equal(difference, 0)
    }
    t.same(half.runSync(input), rounded)
    t.equal(single.describe(shapes).precision, 'f32')
    const described = half.describe(shapes)
    t.equal(described.precision, has ? 'bf16' : 'f32')
    t.equal(described.precisionReason, has ? undefined : 'no bf16: POLYADIC_BF16=off')
    t.equal(
      described.steps.some(({ kernel }) => kernel.startsWith(`bf16 (${wanted})`)),
      has
    )
    for (const { kernel, why } of described.steps.filter(({ kernel }) => kernel.startsWith('bf16 ('))) t.ok(why.length > 0, kernel)
    const chosen = auto.describe(shapes)
    t.same(either, chosen.precision === 'bf16' ? rounded : exact, 'auto computes as one of them')
    if (chosen.precision === 'f32') t.match(chosen.precisionReason, has ? /^measured: / : /^no bf16: /)
  })
}

void t.test('auto is measured for each plan, at most once', async (t) => {
  const graph = residual()
  await using single = await Session.create(graph)
  await using half = await Session.create(graph, { precision: 'bf16' })
  await using auto = await Session.create(graph, { precision: 'auto', maxPlans: 3 })
  const batches = [1, 2, 3]
  const runs = await Promise.all([...batches, ...batches].map((batch) => auto.run(images(batch))))
  for (const [i, result] of runs.entries()) {
    const batch = batches[i % 3] as number
    const { precision } = auto.describe({ x: [batch, 3, side, side] })
    t.same(result, await (precision === 'bf16' ? half : single).run(images(batch)))
  }
  t.same(auto.runSync(images(4)), await auto.run(images(4)), 'measured on the calling thread')
})

void t.test('sessions of both precisions side by side', async (t) => {
  await using single = await Session.create(residual())
  await using half = await Session.create(residual(), { precision: 'bf16', threads: 2 })
  const alone = [await single.run(images(2)), await half.run(images(2))]
  const runs = Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? single : half).run(images(2)))
  for (const [i, result] of (await Promise.all(runs)).entries()) t.same(result, alone[i % 2])
})

void t.test('in worker threads, at once', async (t) => {
  const [graph, input] = [residual(), images(2)]
  await using half = await Session.create(graph, { precision: 'bf16' })
  const here = await half.run(input)
  const file = new URL('precision-worker.mjs', import.meta.url)
  const workers = [1, 2, 3].map(() => new Worker(file, { workerData: { graph, input }, execArgv: [] }))
  const ended = workers.map((worker) => once(worker, 'exit'))
  for (const [results] of await Promise.all(workers.map((worker) => once(worker, 'message')))) {
    for (const result of results as (typeof here)[]) {
      for (const [name, { data }] of Object.entries(here)) t.same(result[name]?.data, data)
    }
  }
  await Promise.all(ended)
})

void t.test('aborts in a run, and while auto is measured', async (t) => {
  const reason = new Error('enough')
  // So long that no timer, however late on a busy machine, comes after the end. `auto` is measured to its end all the same.
  const { POLYADIC_AMX: amx, POLYADIC_SANITIZER: sanitizer } = process.env
  const count = amx === 'emulated' ? 4 : wanted === 'scalar' ? 16 : sanitizer ? 128 : 2048
  const batch = floatTensor(generator(1).normal(count * 576), [count, 1, 24, 24])
  for (const precision of ['bf16', 'auto'] as const) {
    await using session = await Session.create(charNet(), { precision })
    const controller = new AbortController()
    const run = session.run(batch, { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 5)
    await t.rejects(run, reason)
    const [result] = Object.values(await session.run(floatTensor(new Float32Array(576), [1, 1, 24, 24])))
    t.same(result?.dims, [1, 36], 'and runs on')
  }
})

void t.test('a session closed while it measures', async (t) => {
  const session = await Session.create(residual(), { precision: 'auto' })
  const run = session.run(images(2))
  session.close()
  await t.resolves(run, 'the run still finishes')
  await session[Symbol.asyncDispose]()
})

void t.test('networks without anything to compute in bf16', async (t) => {
  const b = new NetworkBuilder()
  const graph = b.graph(b.node('Sigmoid', [b.input([1, 3, side, side], 'x')]))
  await using single = await Session.create(graph)
  for (const precision of ['bf16', 'auto'] as const) {
    await using session = await Session.create(graph, { precision })
    t.same(await session.run(images(1)), await single.run(images(1)))
    t.equal(session.describe().precision, 'f32')
    t.match(session.describe().precisionReason, has ? 'no step with a bf16 kernel' : 'POLYADIC_BF16=off')
  }
  await rejectsError(t, Session.create(graph, { precision: 'f16' as 'f32' }), 'POLYADIC_ARGUMENT', 'precision', 'f16')
})
