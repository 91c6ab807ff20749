import t from 'tap'
import { type BenchCase, checkCase } from '../../bench/format.js'
import { compare, gaussian, maxAbsDiff } from '../../bench/harness.js'

const context = {
  threads: 2,
  isa: 'avx2',
  quick: true,
  bf16: undefined,
  peers: [],
  only: '',
  peer: undefined,
  starts: 1,
  patience: 1
}
const plain: BenchCase = { suite: 's', name: 'n', threads: 1, isa: 'avx2', precision: 'float32', ours_ms: 1 }

t.test('a case a peer, with the ratio of the two medians', async (t) => {
  const [slow, fast] = [
    {
      name: 'slow',
      run: () =>
        new Promise((resolve) => {
          setTimeout(resolve, 3)
        })
    },
    { name: 'fast', run: () => {} }
  ]
  const cases = await compare(
    { suite: 's', name: 'n', form: 'cp', ours: fast, peers: [slow, { ...slow, name: 'other' }], macs: 1000, maxAbsDiff: [1e-7, 0] },
    context
  )
  t.strictSame(
    cases.map(({ peer }) => peer),
    ['slow', 'other']
  )
  for (const measured of cases) {
    t.strictSame(Object.keys(measured), [
      'suite',
      'name',
      'form',
      'threads',
      'isa',
      'precision',
      'ours_ms',
      'gflops',
      'peak_fraction',
      'peer',
      'peer_ms',
      'ratio',
      'max_abs_diff'
    ])
    t.equal(measured.ratio, (measured.peer_ms ?? 0) / measured.ours_ms)
    t.ok((measured.ratio ?? 0) > 1)
    // The peak, measured beside it: at least one multiply-add a nanosecond on any machine that runs this.
    t.ok((measured.peak_fraction ?? 0) > 0 && (measured.peak_fraction ?? 1) < (measured.gflops ?? 0))
  }
})

t.test('without peers one case, without what does not apply', async (t) => {
  const cases = await compare({ suite: 's', name: 'n', ours: { name: 'x', run: () => {} }, peers: [] }, context)
  t.strictSame(
    cases.map((measured) => Object.keys(measured)),
    [['suite', 'name', 'threads', 'isa', 'precision', 'ours_ms']]
  )
})

t.test('a case of another form is refused', async (t) => {
  t.strictSame(checkCase(plain), plain)
  t.throws(() => checkCase({ ...plain, extra: 1 } as BenchCase), /unknown field extra/)
  t.throws(() => checkCase({ ...plain, ours_ms: Number.NaN }), /ours_ms is NaN/)
  t.throws(() => checkCase({ ...plain, ratio: 2 }), /come together/)
  t.throws(() => checkCase({ ...plain, isa: undefined as never }), /isa is missing/)
})

t.test('differences and inputs', async (t) => {
  t.equal(maxAbsDiff([1, 2], [1, 4]), 2)
  t.equal(maxAbsDiff([1, Number.NaN, 3], [1, 2, 3]), Infinity)
  t.throws(() => maxAbsDiff([1], [1, 2]), RangeError)
  const values = gaussian(10_000, 5)
  t.strictSame(values, gaussian(10_000, 5))
  t.ok(Math.abs(values.reduce((sum, value) => sum + value, 0)) / 10_000 < 0.05)
})
