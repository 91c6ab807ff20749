import t from 'tap'
import { type FineTuneOptions, type FineTuneResult, fineTune } from '../../lib/training/fine-tune.js'
import type { TrainingEvent } from '../../lib/training/loop.js'
import { bars, bits, toyNetwork } from './toy.js'

const train = bars(600, 1)
const validation = bars(205, 2)
const names = ['conv1', 'conv2', 'fc'].flatMap((node) => [`${node}.weight`, `${node}.bias`])

async function tune(options: Partial<FineTuneOptions>): Promise<FineTuneResult> {
  return fineTune(toyNetwork(3), { train, validation, epochs: 12, batchSize: 32, learningRate: 0.1, threads: 1, ...options })
}

t.test('a small net learns from scratch', async (t) => {
  const { best, initial, history, graph } = await tune({})
  t.ok((initial?.accuracy ?? 1) < 0.7, `before: ${initial?.accuracy}`)
  t.ok(best.accuracy > 0.95, `after: ${best.accuracy}`)
  t.equal(history[0]?.validation?.count, 205)
  for (const name of names) t.not(bits(graph, name), bits(toyNetwork(3), name), `${name} was trained`)
})

t.test('same seed, same bits, on one thread or two', async (t) => {
  const run = async (threads: number): Promise<string[]> => {
    const { graph } = await tune({ threads, epochs: 2 })
    return names.map((name) => bits(graph, name))
  }
  const first = await run(2)
  t.strictSame(await run(2), first)
  t.strictSame(await run(1), first)
})

t.test('frozen parameters keep their bits, the others move', async (t) => {
  const { graph } = await tune({ epochs: 2, frozen: ['conv1', /^fc\.b/] })
  const start = toyNetwork(3)
  const moved = names.filter((name) => bits(graph, name) !== bits(start, name))
  t.strictSame(moved, ['conv2.weight', 'conv2.bias', 'fc.weight'])
})

t.test('an absurd rate is rolled back and reported', async (t) => {
  const good = await tune({})
  const options = { train, validation, epochs: 3, batchSize: 32, learningRate: 50, schedule: 'constant', maxRollbacks: 20 } as const
  const result = await fineTune(good.graph, options)
  t.ok(result.diverged)
  t.ok(result.rollbacks.length > 1, `${result.rollbacks.length} rollbacks`)
  t.ok(result.rollbacks.every((rollback, i) => rollback.rateScale === 0.5 ** (i + 1)))
  t.ok(result.history.some((record) => record.rollbacks.length > 0))
  t.ok((result.history.at(-1)?.validation?.accuracy ?? 0) > 0.9, `last ${result.history.at(-1)?.validation?.accuracy}`)
  t.ok(result.best.accuracy >= good.best.accuracy)
  await t.rejects(tune({ learningRate: 1e30, maxRollbacks: 2 }), { code: 'POLYADIC_NUMERIC', subject: 'learningRate' })
})

t.test('an abort mid-epoch rejects with the reason', async (t) => {
  const controller = new AbortController()
  const reason = new Error('enough')
  let steps = 0
  const onProgress = ({ step }: TrainingEvent): void => {
    steps = step
    if (step === 5) setImmediate(() => controller.abort(reason))
  }
  await t.rejects(tune({ epochs: 1000, signal: controller.signal, onProgress }), reason)
  t.ok(steps < 20)
})

t.test('the loop of events keeps turning', async (t) => {
  let turns = 0
  const timer = setInterval(() => {
    turns++
  }, 1)
  await tune({ epochs: 3 })
  clearInterval(timer)
  t.ok(turns > 10, `${turns} turns`)
})
