// The addon is loaded by worker threads only: when the last of them has ended, Node closes the library, and our threads still stand in it. Without
// `-z nodelete` most runs of this end in SIGSEGV.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker } from 'node:worker_threads'

const mapped = () => existsSync('/proc/self/maps') && /polyadic[^/]*\.node/.test(readFileSync('/proc/self/maps', 'utf8'))

async function inWorker() {
  const { prepared, same } = await import('./common.mjs')
  const { session, x, expected } = await prepared({ threads: 3 })
  for (const { y } of await Promise.all([1, 2, 3].map(() => session.run({ x })))) assert(same(y.data, expected))
}

async function main() {
  const rounds = 8
  for (let round = 0; round < rounds; round++) {
    assert.equal(mapped(), round > 0 && process.platform === 'linux', 'loaded by the first worker, and kept')
    const worker = new Worker(fileURLToPath(import.meta.url))
    const code = await new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve))
    assert.equal(code, 0)
    // Time for the helpers of the team to stop spinning and to go to sleep, in code that must still be there.
    await sleep(20)
  }
  console.log(JSON.stringify({ rounds }))
}

await (isMainThread ? main() : inWorker())
