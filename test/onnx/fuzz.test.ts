import t from 'tap'
import { fuzz } from './fuzz/run.js'

// The long tier asks for more: FUZZ_COUNT mutants from FUZZ_SEED.
const count = Number(process.env.FUZZ_COUNT ?? 10_000)
const seed = Number(process.env.FUZZ_SEED ?? 42)

t.test(`${count} mutated models: a graph that can be written and read again, or an error with a code`, async (t) => {
  const { outcomes, files, slowestMs } = await fuzz({ count, seed, folder: t.testdir(), fileEvery: 10 })
  t.comment(`${JSON.stringify(outcomes)}, ${files} also as files, slowest ${slowestMs.toFixed(0)} ms`)
  t.equal(
    Object.values(outcomes).reduce((sum, number) => sum + number, 0),
    count
  )
  // A fuzzer that only makes rubbish, or only changes nothing, would test nothing.
  for (const outcome of ['valid', 'POLYADIC_FORMAT', 'POLYADIC_GRAPH']) t.ok((outcomes[outcome] ?? 0) > 0.03 * count, outcome)
})
