// Run with --expose-gc. Memory is flat over many runs, and sessions that are dropped, closed or not, give theirs back.
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { Session } from '../../../dist/lib/index.js'
import { count, input, network, prepared } from './common.mjs'

const MB = 2 ** 20
async function resident() {
  for (let i = 0; i < 6; i++) {
    globalThis.gc()
    await turn()
  }
  return process.memoryUsage().rss / MB
}
const total = count(10_000)
// Sanitizers keep what is freed for a while, to catch who still uses it. What is lost they find by themselves.
const limit = (megabytes) => (process.env.POLYADIC_SANITIZER === undefined ? megabytes : Infinity)

async function manyRuns() {
  const { session, x } = await prepared()
  const runs = async (n) => {
    for (let i = 0; i < n; i += 4) await Promise.all([1, 2, 3, 4].map(() => session.run({ x })))
  }
  await runs(total / 2)
  const before = await resident()
  await runs(total)
  const growth = (await resident()) - before
  session.close()
  // A leak of one output of a run would be 18 KB a run, 180 MB.
  assert(growth < limit(16), `${growth.toFixed(1)} MB more after ${total} runs`)
  return growth
}

// Each takes some 9 MB for its weights and as much again for activations.
async function droppedSessions(n, close) {
  const graph = network(96, 128)
  const x = input(96)
  const open = async () => {
    const session = await Session.create(graph)
    await session.run({ x })
    if (close) session.close()
  }
  for (let i = 0; i < 10; i++) await open()
  const before = await resident()
  let highest = before
  for (let i = 0; i < n; i++) {
    await open()
    highest = Math.max(highest, process.memoryUsage().rss / MB)
  }
  const growth = (await resident()) - before
  assert(growth < limit(100), `${growth.toFixed(1)} MB more after ${n} sessions, ${close ? 'closed' : 'dropped'}`)
  // The garbage collector knows how heavy a session is: it does not wait for hundreds of them.
  assert(highest - before < limit(1500), `${(highest - before).toFixed(0)} MB at the highest`)
  return { growth, highest: highest - before }
}

const sessions = Math.ceil(total / 50)
const round = (value) => Math.round(value * 10) / 10
const runs = await manyRuns()
const closed = await droppedSessions(sessions, true)
const dropped = await droppedSessions(sessions, false)
console.log(
  JSON.stringify({
    MB: { runs: round(runs), closed: round(closed.growth), dropped: round(dropped.growth), highest: round(dropped.highest) }
  })
)
