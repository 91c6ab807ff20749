// Aborts at random moments, before, while queued, while running and too late: each run either gives what it always gives or rejects with the
// signal's reason, and the next one is not harmed.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpd, floatTensor } from '../../../dist/lib/index.js'
import { count, prepared, same, values } from './common.mjs'

const total = count(2000)
const { session, x, expected } = await prepared({ size: 48, threads: 2 })
const outcomes = { done: 0, aborted: 0 }
let state = 7
const random = () => (state = (state * 48271) % 2147483647) / 2147483647

const moments = [
  (abort) => abort(),
  (abort) => queueMicrotask(abort),
  (abort) => setImmediate(abort),
  (abort) => setTimeout(abort, random() * 4),
  (abort) => sleep(random() * 12).then(abort),
  () => {}
]

async function one(start, check) {
  const controller = new AbortController()
  const reason = new Error('enough')
  const running = start(controller.signal)
  moments[Math.floor(random() * moments.length)](() => controller.abort(reason))
  try {
    check(await running)
    outcomes.done++
  } catch (error) {
    assert.equal(error, reason)
    outcomes.aborted++
  }
}

let left = total
const lanes = Array.from({ length: 4 }, async () => {
  while (left-- > 0)
    await one(
      (signal) => session.run({ x }, { signal }),
      ({ y }) => assert(same(y.data, expected))
    )
})
await Promise.all(lanes)
const tensor = floatTensor(values(16 * 12 * 9 * 9), [16, 12, 9, 9])
for (let i = 0; i < total / 40; i++)
  await one(
    (signal) => cpd(tensor, { rank: 6, maxIterations: 30, seed: i, signal }),
    ({ relativeError }) => assert(relativeError <= 1)
  )
assert(same((await session.run({ x })).y.data, expected))
assert(outcomes.aborted > total / 8 && outcomes.done > total / 8, JSON.stringify(outcomes))
console.log(JSON.stringify(outcomes))
