import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { Graph } from '../../lib/graph/graph.js'
import { native } from '../../lib/native/binding.js'
import type { PlanSpec } from '../../lib/runtime/plan-spec.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'
import { rejectsError } from '../helpers/expect-error.js'
import { NetworkBuilder } from '../helpers/network-builder.js'

// Plans are made on the compute thread, while this one goes on: the session may be closed, the caller may give up, and other runs come.

/** A layer whose weights take long enough to pack that what follows a call of run() comes before its plan is made. */
function network(): Graph {
  const b = new NetworkBuilder()
  const wide = b.conv(b.input(['N', 4, 6, 6], 'x'), [512, 4, 3, 3], { pads: [1, 1, 1, 1] })
  return b.graph(b.conv(b.conv(wide, [512, 512, 3, 3], { pads: [1, 1, 1, 1] }), [4, 512, 1, 1]))
}

const graph = network()
const images = [1, 2, 3].map((n) =>
  floatTensor(
    Float32Array.from({ length: n * 144 }, (_, i) => Math.sin(i)),
    [n, 4, 6, 6]
  )
)
const [first, second, third] = images as [Tensor, Tensor, Tensor]

/** What a session gives that makes its plans on the calling thread. */
const expected = await (async () => {
  await using session = await Session.create(graph)
  return images.map((x) => session.runSync(x))
})()

void t.test('a run keeps its plan when the session is closed while that is being made', async (t) => {
  const session = await Session.create(graph)
  const runs = [session.run(first), session.run(second), session.run(first)]
  session.close()
  await rejectsError(t, session.run(third), 'POLYADIC_ARGUMENT', 'closed')
  t.same(await Promise.all(runs), [expected[0], expected[1], expected[0]])
  session.close()
})

void t.test('disposal waits for runs whose plans are being made', async (t) => {
  const ended: string[] = []
  const session = await Session.create(graph)
  const run = session.run(first).then(() => ended.push('run'))
  await session[Symbol.asyncDispose]()
  ended.push('disposed')
  await run
  t.same(ended, ['run', 'disposed'])
})

void t.test('plans that make room for each other', async (t) => {
  await using session = await Session.create(graph, { maxPlans: 1 })
  // Each plan is closed when the next one is there, and all are made while these runs wait.
  const runs = [first, second, third, first, second].map((x) => session.run(x))
  t.same(session.runSync(third), expected[2], 'and another on this thread')
  t.same(
    await Promise.all(runs),
    [0, 1, 2, 0, 1].map((i) => expected[i])
  )
})

void t.test('a run on this thread makes its plan here', async (t) => {
  await using session = await Session.create(graph)
  const run = session.run(first)
  t.same(session.runSync(first), expected[0])
  t.same(await run, expected[0])
  t.same(await session.run(first), expected[0])
})

void t.test('who gives up does not wait for the plan', async (t) => {
  const ended: string[] = []
  await using session = await Session.create(graph)
  const controller = new AbortController()
  const reason = new Error('enough')
  const given = t.rejects(session.run(first, { signal: controller.signal }), reason).then(() => ended.push('aborted'))
  const kept = session.run(first).then((result) => {
    ended.push('run')
    return result
  })
  controller.abort(reason)
  t.same(await kept, expected[0], 'others still get it')
  await given
  t.same(ended, ['aborted', 'run'])
  t.same(await session.run(first, { signal: new AbortController().signal }), expected[0])
})

void t.test('all give up, and the session is closed', async (t) => {
  const session = await Session.create(graph)
  const controller = new AbortController()
  const reason = new Error('enough')
  const runs = [first, second].map((x) => session.run(x, { signal: controller.signal }))
  controller.abort(reason)
  for (const run of runs) await t.rejects(run, reason)
  await session[Symbol.asyncDispose]()
  await rejectsError(t, session.run(first), 'POLYADIC_ARGUMENT', 'closed')
})

void t.test('a run that is aborted when its plan has just been made', async (t) => {
  await using session = await Session.create(graph)
  const controller = new AbortController()
  const reason = new Error('enough')
  const run = session.run(first, { signal: controller.signal })
  run.catch(() => {})
  // Runs wait in their order: this one's plan is there, and its run queued, when the other has ended.
  await session.run(second)
  await nextTurn()
  controller.abort(reason)
  const [outcome] = await Promise.allSettled([run])
  t.ok(outcome?.status === 'fulfilled' || outcome?.reason === reason)
  t.same(await session.run(first), expected[0])
})

/** Sessions made meanwhile get plans for batches of 3 that refer to a value that is not there: the compute thread refuses them. */
async function withBrokenBatches<T>(work: () => Promise<T>): Promise<T> {
  const addon = native()
  const { createPlanner } = addon
  const broken = (spec: PlanSpec): PlanSpec => (spec.values[0]?.n === 3 ? { ...spec, outputs: [99] } : spec)
  addon.createPlanner = () => {
    const planner = createPlanner()
    return { createPlan: (spec) => planner.createPlan(broken(spec)), preparePlan: (spec) => planner.preparePlan(broken(spec)) }
  }
  try {
    return await work()
  } finally {
    addon.createPlanner = createPlanner
  }
}

void t.test('a plan that cannot be made', async (t) => {
  await using session = await withBrokenBatches(() => Session.create(graph))
  const runs = [session.run(third), session.run(third), session.run(first)]
  t.throws(() => session.runSync(third), { code: 'POLYADIC_ARGUMENT' })
  for (const run of runs.slice(0, 2)) await rejectsError(t, run, 'POLYADIC_ARGUMENT', 'unknown value')
  t.same(await runs[2], expected[0])
  await rejectsError(t, session.run(third), 'POLYADIC_ARGUMENT', 'unknown value')
  t.same(await session.run(second), expected[1], 'and the session runs on')
  const fixed = { ...graph, inputs: graph.inputs.map((input) => ({ ...input, dims: third.dims })) }
  await withBrokenBatches(() => rejectsError(t, Session.create(fixed), 'POLYADIC_ARGUMENT', 'unknown value'))
})

void t.test('memory that the caller gives away while the plan is being made is not read', async (t) => {
  await using session = await Session.create(graph)
  const given = floatTensor(new Float32Array(144), [1, 4, 6, 6])
  const run = session.run(given)
  structuredClone(given.data, { transfer: [given.data.buffer as ArrayBuffer] })
  await rejectsError(t, run, 'POLYADIC_SHAPE', 'transferred away')
  t.same(await session.run(first), expected[0])
})

void t.test('weights in memory that others may change are copied', async (t) => {
  const shared = (tensor: Tensor): Tensor => {
    const data = new Float32Array(new SharedArrayBuffer(tensor.data.length * 4))
    data.set(tensor.data as Float32Array)
    return { ...tensor, data }
  }
  const initializers = new Map([...graph.initializers].map(([name, tensor]) => [name, shared(tensor)]))
  await using session = await Session.create({ ...graph, initializers })
  t.same(await session.run(first), expected[0])
})

void t.test('precision auto measures off this thread, and likewise keeps its plan', async (t) => {
  const session = await Session.create(graph, { precision: 'auto' })
  const runs = [session.run(first), session.run(first)]
  session.close()
  const [one, two] = await Promise.all(runs)
  t.same(one, two)
})
