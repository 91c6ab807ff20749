// node --expose-gc resident.js FILE DIMS: prints the bytes of resident memory that a session of the file's network takes.

import { setImmediate as turn } from 'node:timers/promises'
import { floatTensor, readOnnx, Session } from '../../lib/index.js'

async function resident(): Promise<number> {
  for (let i = 0; i < 6; i++) {
    globalThis.gc?.()
    await turn()
  }
  return process.memoryUsage().rss
}

async function open(file: string): Promise<Session> {
  return Session.create(await readOnnx(file), { threads: 1 })
}

const [file = '', list = ''] = process.argv.slice(2)
const dims = list.split(',').map(Number)
const image = floatTensor(
  new Float32Array(dims.reduce((a, b) => a * b, 1)).map((_, i) => Math.sin(i)),
  dims
)
const before = await resident()
const session = await open(file)
for (let i = 0; i < 3; i++) session.runSync({ image })
console.log((await resident()) - before)
