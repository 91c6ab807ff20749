// 64 run() calls at a time from several sessions: the right result in each, and one team of threads however many calls there are.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { count, prepared, same } from './common.mjs'

const tasks = () => (existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0)
const sessions = await Promise.all([16, 20, 24, 33].map((size) => prepared({ size, threads: 2 })))
await Promise.all(sessions.map(({ session, x }) => session.run({ x })))
const before = tasks()
let most = before
let done = 0
for (let round = 0; round < count(40); round++) {
  await Promise.all(
    Array.from({ length: 64 }, async (_, i) => {
      const { session, x, expected } = sessions[i % sessions.length]
      assert(same((await session.run({ x })).y.data, expected))
      done++
    })
  )
  most = Math.max(most, tasks())
}
assert(most <= before, `${most} threads, ${before} after the first run`)
console.log(JSON.stringify({ done, threads: most }))
