import { charnetFile } from '../examples/charnet/paths.js'
import type { Graph } from '../lib/graph/graph.js'
import { floatTensor, readOnnx, Session } from '../lib/index.js'
import { native } from '../lib/native/binding.js'
import { type Candidate, measureInterleaved, median, type Measured } from '../lib/report/measure.js'
import { draftPlan, makePlan, type Plan } from '../lib/runtime/plan.js'
import { elementCount } from '../lib/tensor.js'
import { charnetAtRank } from './charnet.js'
import { type BenchCase, checkCase, type Suite, type SuiteContext } from './format.js'
import { GraphBuilder } from './graphs.js'
import { gaussian, maxAbsDiff } from './harness.js'

/**
 * What a call costs over the plan's own time, at batch 1 and with results that go to the same memory again and again: the peer of
 * each case is the same plan, run over and over inside of native code. `run` waits for one result before it asks for the next.
 */
export const overheadSuite: Suite = {
  name: 'overhead',
  async *run(context) {
    const charnet = await readOnnx(charnetFile)
    yield* overheadOf('tiny network', tinyNetwork(), [4, 4, 4], context)
    yield* overheadOf('CharNet cp, R = 64', await charnetAtRank(charnet, 64), [1, 24, 24], context)
    yield* overheadOf('CharNet dense', charnet, [1, 24, 24], context)
  }
}

/** One convolution that takes no time: what is left is the call. */
function tinyNetwork(): Graph {
  const b = new GraphBuilder('dense')
  const output = b.convolution('conv', b.input, { inputs: 4, outputs: 4, kernel: 1 })
  return b.graph('tiny', output, [4, 4, 4], [4, 4, 4])
}

async function* overheadOf(name: string, graph: Graph, dims: readonly number[], context: SuiteContext): AsyncGenerator<BenchCase> {
  if (!name.includes(context.only)) return
  const batch = [1, ...dims]
  const image = floatTensor(gaussian(elementCount(batch)), batch)
  const { threads } = context
  const session = await Session.create(graph, { threads })
  const inputShapes = new Map([[graph.inputs[0]?.name as string, batch]])
  const request = { graph, inputShapes, inputValues: {}, threads, planner: native().createPlanner() }
  const plan = makePlan(request, draftPlan(request, { precision: 'f32' }))
  const outputs = await session.run(image)
  const alone = planAlone(plan, image.data, Object.values(outputs)[0]?.data as Float32Array)
  const calls: Candidate[] = [
    { name: 'run', run: () => session.run(image, { outputs }) },
    { name: 'runSync', run: () => {}, time: (runs) => Promise.resolve(syncMs(() => session.runSync(image, { outputs }), runs)) }
  ]
  try {
    const [own, ...measured] = await measureInterleaved([alone, ...calls], {
      runs: context.quick ? 5 : 51,
      sampleMs: context.quick ? 2 : 10
    })
    for (const call of measured) yield caseOf(`${name}: ${call.name}`, call, own as Measured, context)
  } finally {
    session.close()
    plan.native.close()
  }
}

/** The plan by itself; throws when it does not compute what the session does. */
function planAlone({ native }: Plan, image: Float32Array, expected: Float32Array): Candidate {
  const output = new Float32Array(expected.length)
  native.runSync([image], [output])
  if (maxAbsDiff(output, expected) !== 0) throw new Error('overhead: the plan and the session compute different results')
  return { name: 'plan', run: () => {}, time: (runs) => Promise.resolve((native.timeRuns([image], [output], runs) * 1e3) / runs) }
}

// Without a promise a call: that is no part of it.
function syncMs(call: () => unknown, runs: number): number {
  const start = performance.now()
  for (let i = 0; i < runs; i++) call()
  return (performance.now() - start) / runs
}

function caseOf(name: string, call: Measured, own: Measured, { threads, isa }: SuiteContext): BenchCase {
  return checkCase({
    suite: 'overhead',
    name,
    threads,
    isa,
    precision: 'float32',
    ours_ms: call.medianMs,
    peer: "the plan's own time",
    peer_ms: own.medianMs,
    ratio: own.medianMs / call.medianMs,
    overhead_us: 1e3 * median(call.samplesMs.map((ms, round) => ms - (own.samplesMs[round] as number)))
  })
}
