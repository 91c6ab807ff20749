// Memory of every kind as input: each is read where it begins, or copied where it may move, or refused.
import assert from 'node:assert/strict'
import { network, prepared, same } from './common.mjs'
import { Session } from '../../../dist/lib/index.js'

const { session, x, expected } = await prepared({ size: 48 })
const { dims } = x
const run = async (data) => (await session.run({ x: { dtype: 'float32', dims, data } })).y.data
const bytes = x.data.byteLength

// A pooled Buffer lies somewhere within 8 KB; float32 has to begin at a multiple of 4.
const small = await Session.create(network(4))
const smallData = x.data.slice(0, 128)
const smallRun = async (data) => (await small.run({ x: { dtype: 'float32', dims: [1, 8, 4, 4], data } })).y.data
const wanted = await smallRun(smallData)
Buffer.from('x')
const pooled = Buffer.from(Buffer.from(smallData.buffer))
const start = (4 - (pooled.byteOffset % 4)) % 4
const roomy = Buffer.allocUnsafe(smallData.byteLength + 4)
const aligned = (4 - (roomy.byteOffset % 4)) % 4
roomy.set(pooled, aligned)
const view = new Float32Array(roomy.buffer, roomy.byteOffset + aligned, smallData.length)
assert(view.byteOffset > 0 && start >= 0)
assert(same(await smallRun(view), wanted), 'a pooled Buffer')
for (const offset of [1, 7, 1000]) {
  const long = new Float32Array(x.data.length + offset + 3).fill(NaN)
  long.set(x.data, offset)
  assert(same(await run(long.subarray(offset, offset + x.data.length)), expected), `a subarray at ${offset}`)
}

const shared = new Float32Array(new SharedArrayBuffer(bytes))
shared.set(x.data)
const fromShared = run(shared)
shared.fill(NaN) // copied when the run was asked for
assert(same(await fromShared, expected), 'a shared buffer')

const resizable = new ArrayBuffer(bytes, { maxByteLength: bytes * 2 })
new Float32Array(resizable).set(x.data)
const fromResizable = run(new Float32Array(resizable, 0, x.data.length))
resizable.resize(0) // its memory goes back to the system
assert(same(await fromResizable, expected), 'a resizable buffer, shrunk while it is being read')

// Views that follow the length of their buffer.
const growable = new Float32Array(new SharedArrayBuffer(bytes, { maxByteLength: bytes * 2 }))
growable.set(x.data)
const fromGrowable = run(growable)
growable.buffer.grow(bytes * 2)
growable.fill(NaN)
assert(same(await fromGrowable, expected), 'a shared buffer that grows while it is being read')
await assert.rejects(run(growable), { code: 'POLYADIC_SHAPE' }, 'and has too many elements afterwards')
const outside = new Float32Array(new ArrayBuffer(bytes, { maxByteLength: bytes }), 0, x.data.length)
outside.buffer.resize(4)
await assert.rejects(run(outside), { code: 'POLYADIC_SHAPE' }, 'a view that its buffer no longer holds')

const moved = x.data.slice()
const fromMoved = run(moved)
const receiver = structuredClone(moved.buffer, { transfer: [moved.buffer] })
assert(same(await fromMoved, expected), 'a buffer transferred while it is being read, its memory being alive')
assert.equal(receiver.byteLength, bytes)
await assert.rejects(run(moved), { code: 'POLYADIC_SHAPE' }, 'and refused afterwards')

for (const wrong of [new Float64Array(x.data.length), new DataView(new ArrayBuffer(bytes)), [...x.data], new ArrayBuffer(bytes), null])
  await assert.rejects(run(wrong), { code: 'POLYADIC_ARGUMENT' })
assert(same(await run(x.data), expected))
console.log(JSON.stringify({ ok: true }))
