import { getEventListeners } from 'node:events'
import t from 'tap'
import { onAbort, unlessAborted } from '../lib/abortable.js'
import { cpd, floatTensor, Session } from '../lib/index.js'
import { charNet } from './helpers/charnet.js'
import { generator } from './helpers/plan-builder.js'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

void t.test('one listener for all who wait, none when nobody does', async (t) => {
  const { signal } = new AbortController()
  const forget = Array.from({ length: 100 }, () => onAbort(signal, () => t.fail('called without an abort')))
  t.equal(listeners(signal), 1)
  for (const [i, each] of forget.entries()) {
    t.equal(listeners(signal), 1, `${100 - i} wait`)
    each()
    each() // the second time nothing is left to forget
  }
  t.equal(listeners(signal), 0)
  await unlessAborted(Promise.resolve(), signal)
  await t.rejects(unlessAborted(Promise.reject(new Error('its own')), signal), { message: 'its own' })
  t.equal(listeners(signal), 0)
})

void t.test('an abort calls everyone who still waits once, in order', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  const called: number[] = []
  const call = (i: number) => (): void => {
    called.push(i)
  }
  const same = call(0)
  onAbort(signal, same)
  onAbort(signal, same)
  const forget = onAbort(signal, call(1))
  onAbort(signal, () => {
    called.push(2)
    onAbort(signal, call(3)) // after the abort: at once
  })
  onAbort(signal, call(4))
  forget()
  controller.abort()
  t.same(called, [0, 0, 2, 3, 4])
  t.equal(listeners(signal), 0)
  forget()
  await t.rejects(unlessAborted(new Promise(() => {}), signal), { name: 'AbortError' })
  await t.rejects(unlessAborted(Promise.reject(new Error('too late')), signal), { name: 'AbortError' })
})

void t.test('100 calls with one signal: no warning of a leak, all are aborted, the signal is left as it was', async (t) => {
  const warnings: Error[] = []
  const keep = (warning: Error): number => warnings.push(warning)
  process.on('warning', keep)
  t.teardown(() => process.off('warning', keep))
  const controller = new AbortController()
  const { signal } = controller
  await using session = await Session.create(charNet())
  const batch = floatTensor(generator(1).normal(512 * 576), [512, 1, 24, 24])
  const tensor = floatTensor(generator(2).normal(16 ** 3), [16, 16, 16])
  const calls = Array.from({ length: 100 }, (_, i) =>
    i % 10 === 9 ? cpd(tensor, { rank: 8, maxIterations: 1e6, tolerance: 0, signal }) : session.run(batch, { signal })
  )
  t.equal(listeners(signal), 1)
  const reason = new Error('enough')
  setImmediate(() => controller.abort(reason))
  const results = await Promise.allSettled(calls)
  t.equal(results.filter((result) => result.status === 'rejected' && result.reason === reason).length, 100)
  t.equal(listeners(signal), 0)
  await new Promise(setImmediate) // warnings are emitted in a later turn
  t.same(warnings, [])
  const [result] = Object.values(await session.run(floatTensor(new Float32Array(576), [1, 1, 24, 24])))
  t.same(result?.dims, [1, 36], 'and runs on')
})
