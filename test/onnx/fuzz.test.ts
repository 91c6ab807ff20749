import t from 'tap'
import { fuzz } from './fuzz/run.js'

t.test('10,000 mutated models: a graph that can be written and read again, or an error with a code', async (t) => {
  const { outcomes, files, slowestMs } = await fuzz({ count: Number(process.env.FUZZ_COUNT ?? 10_000), seed: Number(process.env.FUZZ_SEED ?? 42), folder: t.testdir(), fileEvery: 10 })
  t.comment(`${JSON.stringify(outcomes)}, ${files} also as files, slowest ${slowestMs.toFixed(0)} ms`)
  t.equal(
    Object.values(outcomes).reduce((sum, count) => sum + count, 0),
    10_000
  )
  // A fuzzer that only makes rubbish, or only changes nothing, would test nothing.
  for (const outcome of ['valid', 'POLYADIC_FORMAT', 'POLYADIC_GRAPH']) t.ok((outcomes[outcome] ?? 0) > 300, outcome)
})
