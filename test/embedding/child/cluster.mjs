// Processes of a cluster: the same bits in each, one killed in the middle of its work, the others end by themselves.
import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { prepared, same } from './common.mjs'

if (cluster.isPrimary) {
  const { session, x, expected } = await prepared({ threads: 2 })
  const workers = Array.from({ length: 3 }, () => cluster.fork())
  const hashes = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  const hash = createHash('sha256').update(expected).digest('hex')
  assert.deepEqual(hashes, [hash, hash, hash])
  const exits = workers.map((worker) => once(worker, 'exit'))
  workers[0].process.kill('SIGKILL')
  for (const worker of workers.slice(1)) worker.send('stop')
  const codes = await Promise.all(exits)
  assert.deepEqual(codes, [
    [null, 'SIGKILL'],
    [0, null],
    [0, null]
  ])
  assert(same((await session.run({ x })).y.data, expected))
  console.log(JSON.stringify({ workers: codes.length }))
} else {
  const { session, x, expected } = await prepared({ threads: 2 })
  let stopped = false
  process.once('message', () => {
    stopped = true
    process.disconnect()
  })
  process.send(createHash('sha256').update(expected).digest('hex'))
  while (!stopped) for (const { y } of await Promise.all([session.run({ x }), session.run({ x })])) assert(same(y.data, expected))
}
