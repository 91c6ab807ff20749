import t from 'tap'
import type { Graph } from '../lib/graph/graph.js'
import { cpd, fineTune, floatTensor, makeGraph, makeNode, Session } from '../lib/index.js'
import { initialise } from '../lib/training/initialise.js'
import { generator } from './helpers/plan-builder.js'
import { bars, toyNetwork } from './training/toy.js'

// What is counted are a timer's ticks, never time: work is repeated until the timer has fired often, and a loop that is
// blocked during the work gives a tick or two a repetition at most.
const wanted = 40
const mostRepetitions = 60

async function ticksDuring(work: () => Promise<unknown>): Promise<{ ticks: number; repetitions: number }> {
  let ticks = 0
  let repetitions = 0
  const timer = setInterval(() => ticks++, 5)
  while (ticks < wanted && repetitions < mostRepetitions) {
    await work()
    repetitions++
  }
  clearInterval(timer)
  return { ticks, repetitions }
}

t.test('a 5 ms timer keeps firing during Session.run', async (t) => {
  const random = generator(1)
  const graph = makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 32, 96, 96] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 64, 90, 90] }],
    initializers: new Map([['w', floatTensor(random.normal(64 * 32 * 49, 0.02), [64, 32, 7, 7])]]),
    nodes: [makeNode({ opType: 'Conv', inputs: ['x', 'w'], outputs: ['y'] })]
  })
  const session = await Session.create(graph)
  const x = floatTensor(random.normal(4 * 32 * 96 * 96), [4, 32, 96, 96])
  await session.run({ x })
  const { ticks, repetitions } = await ticksDuring(() => session.run({ x }))
  t.ok(ticks >= wanted, `${ticks} ticks in ${repetitions} runs`)
  session.close()
})

t.test('and while weights are packed', async (t) => {
  const weights = new Map([['w', floatTensor(generator(3).normal(512 * 512 * 9, 0.02), [512, 512, 3, 3])]])
  const network = (batch: number | string): Graph =>
    makeGraph({
      inputs: [{ name: 'x', dtype: 'float32', dims: [batch, 512, 4, 4] }],
      outputs: [{ name: 'y', dtype: 'float32', dims: [batch, 512, 4, 4] }],
      initializers: weights,
      nodes: [makeNode({ opType: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { pads: [1, 1, 1, 1] } })]
    })
  const fixed = network(1)
  const created = await ticksDuring(async () => (await Session.create(fixed)).close())
  t.ok(created.ticks >= wanted, `${created.ticks} ticks in ${created.repetitions} sessions`)
  // Two batches, of which only one keeps its plan.
  const batches = [1, 2].map((n) => floatTensor(new Float32Array(n * 512 * 16), [n, 512, 4, 4]))
  await using session = await Session.create(network('N'), { maxPlans: 1 })
  const run = await ticksDuring(async () => {
    for (const x of batches) await session.run({ x })
  })
  t.ok(run.ticks >= wanted, `${run.ticks} ticks in ${run.repetitions} pairs of runs`)
})

t.test('and during cpd', async (t) => {
  const tensor = floatTensor(generator(2).normal(64 * 48 * 9 * 9), [64, 48, 9, 9])
  let seed = 0
  const { ticks, repetitions } = await ticksDuring(() => cpd(tensor, { rank: 32, maxIterations: 40, tolerance: 0, seed: seed++ }))
  t.ok(ticks >= wanted, `${ticks} ticks in ${repetitions} decompositions`)
})

t.test('and during fineTune', async (t) => {
  const train = bars(2048, 1)
  const { ticks, repetitions } = await ticksDuring(() =>
    fineTune(initialise(toyNetwork()), { train, epochs: 4, batchSize: 256, threads: 1 })
  )
  t.ok(ticks >= wanted, `${ticks} ticks in ${repetitions} trainings`)
})
