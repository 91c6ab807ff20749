import t from 'tap'
import { makeSchedule } from '../../lib/training/schedule.js'

t.test('shapes', async (t) => {
  const at = (name: Parameters<typeof makeSchedule>[0], ...points: number[]): number[] =>
    points.map((point) => Number(makeSchedule(name)(point).toFixed(6)))
  t.strictSame(at('constant', 0, 0.5, 1), [1, 1, 1])
  t.strictSame(at('step', 0, 0.49, 0.5, 0.74, 0.75, 1), [1, 1, 0.1, 0.1, 0.01, 0.01])
  t.strictSame(at('cosine', 0, 0.5, 1), [1, 0.5, 0])
  t.strictSame(at('one-cycle', 0, 0.15, 0.3, 1), [0.04, 0.52, 1, 0.000004])
  t.strictSame(
    at((progress) => 1 - progress, 0.25),
    [0.75]
  )
  t.equal(makeSchedule()(0), 1, 'cosine by default')
})

t.test('warm-up is linear from a tenth, and the shape follows it', async (t) => {
  const schedule = makeSchedule('cosine', { warmUp: 0.2 })
  t.equal(schedule(0), 0.1)
  t.ok(Math.abs(schedule(0.1) - 0.55) < 1e-12)
  t.equal(schedule(0.2), 1)
  t.ok(Math.abs(schedule(0.6) - 0.5) < 1e-12)
  t.equal(makeSchedule('constant', { warmUp: 1 })(1), 1)
})

t.test('errors', async (t) => {
  t.throws(() => makeSchedule('linear' as 'step'), { code: 'POLYADIC_ARGUMENT', message: /one of constant, step, cosine, one-cycle/ })
  t.throws(() => makeSchedule('step', { warmUp: 2 }), { code: 'POLYADIC_ARGUMENT', subject: 'warmUp' })
  t.throws(() => makeSchedule(() => NaN)(0.5), { code: 'POLYADIC_ARGUMENT', message: /progress 0.5/ })
})
